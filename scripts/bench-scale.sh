#!/usr/bin/env bash
# What a request costs as the cluster grows: 10,000 requests on 10 workers and 1,000,000 on 1,000, the
# same workload at the same load per worker, one thread. scripts/bench-scale.sh [REPEATS] writes
# results/<date>-scale/{README.md,runs.csv}. Run it while nothing else runs.
set -euo pipefail
cd "$(dirname "$0")/.."
repeats="${1:-5}"
. scripts/bench-lib.sh
cargo build --release --quiet
start scale workers,requests,repeat
for repeat in $(seq "$repeats"); do
    for case in 10,10000,8 1000,1000000,800; do
        IFS=, read -r workers requests rate <<< "$case"
        timed "$workers,$requests,$repeat" target/release/kvroute simulate \
            "${large[@]}" --workers "$workers" --num-requests "$requests" --request-rate "$rate" \
            --no-plots --threads 1 --quiet --out "$place/out"
    done
done
# What scoring costs beside it.
cargo bench --bench core -- '^decision' --quick 2> /dev/null | grep -E -A 1 'workers/kv( |$)' > "$place/decisions" || true
python3 scripts/bench-report.py scale "$folder" "$place/decisions"
