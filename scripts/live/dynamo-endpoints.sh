#!/usr/bin/env bash
# kvroute routes over three real Dynamo endpoints (mocker workers) by their KV events, in three modes; recorded in
# results/DATE-live-routing-{multi-turn,shared-prefix}. Needs ../shared/peers/install.sh dynamo. RUNS (default 3) runs of each.
set -euo pipefail
repo=$(cd "$(dirname "$0")/../.." && pwd)
peers=${PEERS_DIR:-$HOME/.cache/kvroute-peers} shared=$repo/../shared/peers
cargo build --release --quiet --manifest-path "$repo/Cargo.toml"
stop() { xargs -r kill < "$peers/endpoints.pids" 2>/dev/null || true; }
trap stop EXIT
BLOCKS=${BLOCKS:-4096} bash "$shared/dynamo-endpoints.sh" 3
workers=()
for i in 0 1 2; do
  for _ in $(seq 60); do
    curl -sf "http://127.0.0.1:$((8200 + i))/v1/models" | grep -q tiny && break
    sleep 1
  done
  workers+=(--worker "http://127.0.0.1:$((8200 + i))" --kv-events-endpoint "tcp://127.0.0.1:$((5600 + i))"
    --kv-replay-endpoint "tcp://127.0.0.1:$((5700 + i))")
done
cd "$peers"
for workload in ${WORKLOADS:-multi-turn shared-prefix}; do
  rate=3; [[ $workload == shared-prefix ]] && rate=8
  "$repo/scripts/live/record.sh" "$(date +%F)-live-routing-$workload" \
    "What do kvroute's own routers do for $workload over three Dynamo endpoints?" \
    "three Dynamo 1.6.1 mocker endpoints with KV events over ZMQ, ${BLOCKS:-4096} blocks of 16 tokens (\`../shared/peers/dynamo-endpoints.sh 3\`)" \
    "$workload" "${workers[@]}" --router-mode kv,round-robin,random --runs "${RUNS:-3}" --tokenizer tinymodel \
    --kv-blocks "${BLOCKS:-4096}" --request-rate "$rate" --num-requests "${REQUESTS:-120}"
done
