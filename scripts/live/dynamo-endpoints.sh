#!/usr/bin/env bash
# kvroute routes over three real Dynamo endpoints (mocker workers) by their KV events, in three modes; recorded in
# results/DATE-live-routing-{multi-turn,shared-prefix}. Needs ../shared/peers/install.sh dynamo. RUNS (default 4) runs of each.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
build
stop_at_exit "$peers/endpoints.pids"
BLOCKS=${BLOCKS:-4096} nice -n -5 bash "$shared/dynamo-endpoints.sh" 3
workers=()
for i in 0 1 2; do
  wait_for "http://127.0.0.1:$((8200 + i))" tiny 120
  workers+=(--worker "http://127.0.0.1:$((8200 + i))" --kv-events-endpoint "tcp://127.0.0.1:$((5600 + i))"
    --kv-replay-endpoint "tcp://127.0.0.1:$((5700 + i))")
done
cd "$peers"
for workload in ${WORKLOADS:-multi-turn shared-prefix}; do
  dynamo_shape "$workload"
  "$repo/scripts/live/record.sh" "$(date +%F)-live-routing-$workload" \
    "What do kvroute's own routers do for $workload over three Dynamo endpoints?" \
    "three Dynamo 1.6.1 mocker endpoints with KV events over ZMQ, ${BLOCKS:-4096} blocks of 16 tokens (\`../shared/peers/dynamo-endpoints.sh 3\`)" \
    "$workload" "${workers[@]}" --router-mode kv,round-robin,random --runs "${RUNS:-4}" --tokenizer tinymodel \
    --kv-blocks "${BLOCKS:-4096}" "${shape[@]}" ${LIVE_ARGS:-}
done
