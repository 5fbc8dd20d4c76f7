#!/usr/bin/env bash
# kvroute's prefix index beside the three of dynamo-kv-router, same queries and events, same process:
# scripts/bench-indexers.sh [ROUNDS] writes results/<date>-indexers/{README.md,runs.csv}. Fetches and builds some
# hundred crates the first time. Run it while nothing else runs.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-5}"
trace=../shared/data/traces/mooncake_conversation_trace.jsonl
[ -f "$trace" ] || { echo "no $trace" >&2; exit 2; }
. scripts/bench-lib.sh
start indexers
manifest=tests/dynamo/Cargo.toml
cargo build --release --quiet --locked --manifest-path $manifest --bin index-bench
echo "workload,index,round,ns_per_query,events_per_s,blocks_per_s" > "$folder/runs.csv"
for workload in shared-prefix multi-turn "$trace"; do
    name=$(basename "$workload" .jsonl)
    tests/dynamo/target/release/index-bench "$workload" "$rounds" 2> "$place/said" |
        tail -n +2 | sed "s/^/$name,/" | tee -a "$folder/runs.csv"
    sed "s|.*/||" "$place/said" >> "$place/streams"
done
python3 scripts/bench-report.py indexers "$folder" "$place/streams"
