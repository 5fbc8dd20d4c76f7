#!/usr/bin/env bash
# What a request costs as the cluster grows: 10,000 requests on 10 workers and 1,000,000 on 1,000, the
# same workload at the same load per worker, one thread. scripts/bench-scale.sh [REPEATS] writes
# results/<date>-scale/{README.md,runs.csv}. Run it while nothing else runs.
set -euo pipefail
cd "$(dirname "$0")/.."
repeats="${1:-5}"
cargo build --release --quiet
folder="results/$(date +%F)-scale"
mkdir -p "$folder"
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
# Mean prompt about 4,000 tokens, mean output 300; workers are busy 80 to 90 % of the time.
workload=(multi-turn --router-mode kv
    --set 'workload.multi_turn.first={ law = "lognormal", mean = 1500, cv = 1.0, max = 14000 }'
    --set 'workload.multi_turn.follow_up={ law = "lognormal", mean = 200, cv = 1.0, max = 6000 }'
    --set 'workload.multi_turn.output={ law = "lognormal", mean = 300, cv = 0.8, max = 2000 }')
echo "workers,requests,repeat,cpu_s,wall_s,peak_mb" > "$folder/runs.csv"
for repeat in $(seq "$repeats"); do
    for case in 10,10000,8 1000,1000000,800; do
        IFS=, read -r workers requests rate <<< "$case"
        /usr/bin/time -o "$place/time" -f '%U %S %e %M' target/release/kvroute simulate \
            "${workload[@]}" --workers "$workers" --num-requests "$requests" --request-rate "$rate" \
            --no-plots --threads 1 --quiet --out "$place/out" > /dev/null
        awk -v head="$workers,$requests,$repeat" \
            '{ printf "%s,%.2f,%.2f,%.0f\n", head, $1 + $2, $3, $4 / 1000 }' "$place/time" |
            tee -a "$folder/runs.csv"
    done
done
# What scoring costs beside it.
cargo bench --bench core -- '^decision' --quick 2> /dev/null | grep -E -A 1 'workers/kv( |$)' > "$place/decisions" || true
python3 scripts/bench-report.py scale "$folder" "$place/decisions"
