#!/usr/bin/env bash
# `kvroute live` against a real Dynamo front end (kv router) over four mocker workers; recorded in
# results/DATE-live-dynamo. Needs ../shared/peers/install.sh dynamo.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
build
stop_at_exit "$peers/dynamo.pids"
bash "$shared/dynamo-frontend.sh" 4 kv
wait_for http://127.0.0.1:8123 tiny 120
cd "$peers"
"$repo/scripts/live/record.sh" "$(date +%F)-live-dynamo" \
  "Do usage and the server's counters agree on a Dynamo front end's hit rate?" \
  "Dynamo 1.6.1 front end, kv router, four mocker workers (\`../shared/peers/dynamo-frontend.sh 4 kv\`)" \
  multi-turn --url http://127.0.0.1:8123 --tokenizer tinymodel --request-rate 2 --num-requests 300
