#!/usr/bin/env bash
# kvroute routes over three real vLLM servers on CPU (tiny random model) by their KV events, in three modes, and simulates
# the same; recorded in results/DATE-live-vllm-{multi-turn,shared-prefix}. Needs ../shared/peers/install.sh vllm. RUNS
# (default 4) runs of each mode; KEEP=1 leaves the servers running, and takes those that run already.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
build
blocks=${BLOCKS:-384} pids=$peers/vllm-workers.pids
[[ ${KEEP:-} ]] || stop_at_exit "$pids"
if ! curl -sf http://127.0.0.1:8300/v1/models > /dev/null; then
  : > "$pids"
  for i in 0 1 2; do # before whatever else runs here, where that is allowed
    nice -n -5 bash "$shared/vllm-serve.sh" $((8300 + i)) $((5800 + 2 * i)) 32 "$blocks" > "$peers/vllm$i.log" 2>&1 &
    echo $! >> "$pids"
  done
fi
workers=()
for i in 0 1 2; do
  wait_for "http://127.0.0.1:$((8300 + i))" sim 1200
  workers+=(--worker "http://127.0.0.1:$((8300 + i))" --kv-events-endpoint "bind:tcp://127.0.0.1:$((5800 + 2 * i))"
    --kv-replay-endpoint "tcp://127.0.0.1:$((5801 + 2 * i))")
done
# The bundled workloads, as short as a model on half a processor needs them: about 700 tokens a prompt.
multi_turn=(--set 'workload.multi_turn.prefix={law="constant", value=160}'
  --set 'workload.multi_turn.first={law="lognormal", mean=160, cv=1.0, max=800}'
  --set 'workload.multi_turn.follow_up={law="lognormal", mean=80, cv=1.0, max=400}'
  --set 'workload.multi_turn.output={law="lognormal", mean=24, cv=0.8, max=80}'
  --set 'workload.multi_turn.think_time={law="lognormal", mean=4, cv=0.7, max=12}' --request-rate 0.25)
shared_prefix=(--set workload.shared_prefix.prefixes=30
  --set 'workload.shared_prefix.prefix={law="lognormal", mean=600, cv=0.3, max=1600}'
  --set 'workload.shared_prefix.question={law="lognormal", mean=60, cv=0.8, max=400}'
  --set 'workload.shared_prefix.output={law="lognormal", mean=16, cv=0.6, max=60}' --request-rate 1.2)
cd "$peers"
for workload in ${WORKLOADS:-multi-turn shared-prefix}; do
  shape=("${multi_turn[@]}"); [[ $workload == shared-prefix ]] && shape=("${shared_prefix[@]}")
  "$repo/scripts/live/record.sh" "$(date +%F)-live-vllm-$workload" \
    "Does kv routing help $workload over three vLLM servers, and does the simulation agree?" \
    "three vLLM $("$peers/vllm/bin/python" -c 'import vllm; print(vllm.__version__)' 2> /dev/null) servers on CPU, tiny random model, KV events over ZMQ, $blocks blocks of 32 tokens (\`../shared/peers/vllm-serve.sh\`)" \
    "$workload" "${workers[@]}" --router-mode kv,round-robin,random --runs "${RUNS:-4}" --tokenizer vllm-small \
    --block-tokens 32 --kv-blocks "$blocks" --max-num-batched-tokens 2048 --max-num-seqs 16 --reset-kv-cache vllm \
    --num-requests "${REQUESTS:-100}" "${shape[@]}" ${LIVE_ARGS:-}
done
