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
run() {
    timed "$1,$2,$repeat" target/release/kvroute simulate "${large[@]}" --workers "$1" --num-requests "$2" \
        --request-rate "$3" --no-plots --threads 1 --quiet --out "$place/out"
}
for repeat in $(seq "$repeats"); do
    # The small one takes a tenth of a second: often, before and after, as the machine's speed comes and goes.
    for _ in $(seq 10); do run 10 10000 8; done
    run 1000 1000000 800
    for _ in $(seq 10); do run 10 10000 8; done
done
# What scoring costs beside it.
cargo bench --bench core -- '^decision' --quick 2> /dev/null | grep -E -A 1 'workers/kv( |$)' > "$place/decisions" || true
python3 scripts/bench-report.py scale "$folder" "$place/decisions"
