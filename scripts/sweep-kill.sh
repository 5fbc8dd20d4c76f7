#!/usr/bin/env bash
# Kills a small sweep with SIGKILL at ten random moments and resumes it, and runs it again as four
# shards: both must end with the bytes of an uninterrupted run.
#   scripts/sweep-kill.sh [KVROUTE [SWEEP-ARGS...]]
set -euo pipefail
cd "$(dirname "$0")/.."
kvroute=${1:-target/release/kvroute}
shift || true
sweep=("$@")
[ ${#sweep[@]} -gt 0 ] || sweep=(multi-turn --kv-overlap-score-weight 0,1,2 --router-temperature 0,0.5
  --router-mode kv,round-robin --num-requests 1000 --seeds 3)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

same() { diff -r --exclude timing.json "$place/whole" "$place/$1" && echo "$1: the same bytes"; }

"$kvroute" sweep "${sweep[@]}" --quiet --out "$place/whole" > /dev/null
for round in $(seq 10); do
  "$kvroute" sweep "${sweep[@]}" --quiet --resume --out "$place/killed" > /dev/null &
  sleep "0.$(printf '%03d' $((RANDOM % 400)))"
  kill -KILL $! 2> /dev/null || true
  wait $! 2> /dev/null || true
  echo "killed $round: $(wc -l < "$place/killed/journal.jsonl" 2> /dev/null || echo 0) lines"
done
"$kvroute" sweep "${sweep[@]}" --quiet --resume --out "$place/killed" > /dev/null
same killed

for shard in 1 2 3 4; do
  "$kvroute" sweep "${sweep[@]}" --quiet --shard "$shard/4" --out "$place/part$shard" > /dev/null
done
"$kvroute" sweep merge "$place"/part{1,2,3,4} --quiet --out "$place/merged" > /dev/null
same merged
