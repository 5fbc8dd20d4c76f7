#!/usr/bin/env bash
# `kvroute live` against a real Dynamo front end (kv router) over four mocker workers; recorded in
# results/DATE-live-dynamo. Needs ../shared/peers/install.sh dynamo.
set -euo pipefail
repo=$(cd "$(dirname "$0")/../.." && pwd)
peers=${PEERS_DIR:-$HOME/.cache/kvroute-peers} shared=$repo/../shared/peers
cargo build --release --quiet --manifest-path "$repo/Cargo.toml"
stop() { xargs -r kill < "$peers/dynamo.pids" 2>/dev/null || true; }
trap stop EXIT
bash "$shared/dynamo-frontend.sh" 4 kv
for _ in $(seq 60); do
  curl -sf http://127.0.0.1:8123/v1/models | grep -q tiny && break
  sleep 1
done
cd "$peers"
"$repo/scripts/live/record.sh" "$(date +%F)-live-dynamo" \
  "Do usage and the server's counters agree on a Dynamo front end's hit rate?" \
  "Dynamo 1.6.1 front end, kv router, four mocker workers (\`../shared/peers/dynamo-frontend.sh 4 kv\`)" \
  multi-turn --url http://127.0.0.1:8123 --tokenizer tinymodel --request-rate 2 --num-requests 300
