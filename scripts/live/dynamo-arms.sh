#!/usr/bin/env bash
# Two real Dynamo front ends as two arms: one routes by kv, one round robin, each over three mocker workers of its own;
# recorded in results/DATE-live-dynamo-arms-{multi-turn,shared-prefix}. Needs ../shared/peers/install.sh dynamo. RUNS
# (default 4) runs of each. As ../shared/peers/dynamo-frontend.sh, which starts one.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
build
py=$peers/dynamo/bin/python pids=$peers/dynamo-arms.pids blocks=${BLOCKS:-4096}
stop_at_exit "$pids"
: > "$pids"
export DYN_DISCOVERY_BACKEND=file DYN_REQUEST_PLANE=tcp DYN_EVENT_PLANE=zmq DYN_LOG=warn DYN_TCP_RPC_HOST=127.0.0.1 HF_HUB_OFFLINE=1
port=8140 arms=()
for mode in kv round-robin; do
  export DYN_FILE_KV=$peers/dynamo-arms-$mode
  rm -rf "$DYN_FILE_KV" && mkdir -p "$DYN_FILE_KV"
  nice -n -5 "$py" -m dynamo.mocker --model-path "$peers/tinymodel" --model-name tiny --num-workers 3 --block-size 16 \
    --num-gpu-blocks-override "$blocks" > "$peers/arm-mocker-$mode.log" 2>&1 &
  echo $! >> "$pids"
  nice -n -5 "$py" -m dynamo.frontend --http-host 127.0.0.1 --http-port $port --router-mode $mode > "$peers/arm-frontend-$mode.log" 2>&1 &
  echo $! >> "$pids"
  arms+=(--arm "$mode=http://127.0.0.1:$port")
  port=$((port + 1))
done
for url in 8140 8141; do wait_for "http://127.0.0.1:$url" tiny 120; done
cd "$peers"
for workload in ${WORKLOADS:-multi-turn shared-prefix}; do
  dynamo_shape "$workload"
  "$repo/scripts/live/record.sh" "$(date +%F)-live-dynamo-arms-$workload" \
    "Does Dynamo's kv router help $workload against its round robin, and does the simulation agree?" \
    "two Dynamo 1.6.1 front ends, kv and round robin, three mocker workers each, $blocks blocks of 16 tokens (\`scripts/live/dynamo-arms.sh\`)" \
    "$workload" "${arms[@]}" --workers 3 --runs "${RUNS:-4}" --tokenizer tinymodel --kv-blocks "$blocks" "${shape[@]}" ${LIVE_ARGS:-}
done
