#!/usr/bin/env bash
# How much faster the shipped sweep is on two threads than on one: scripts/bench-sweep.sh [REPEATS] writes
# results/<date>-sweep-threads/{README.md,runs.csv}. Run it while nothing else runs.
set -euo pipefail
cd "$(dirname "$0")/.."
repeats="${1:-5}"
cargo build --release --quiet
folder="results/$(date +%F)-sweep-threads"
mkdir -p "$folder"
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
echo "threads,repeat,wall_s,cpu_s,peak_mb" > "$folder/runs.csv"
for repeat in $(seq "$repeats"); do
    for threads in 1 2; do
        rm -rf "$place/out"
        /usr/bin/time -o "$place/time" -f '%e %U %S %M' target/release/kvroute sweep \
            workloads/sweeps/weight-temperature.toml --threads "$threads" --out "$place/out" > "$place/table" 2> /dev/null
        awk -v head="$threads,$repeat" '{ printf "%s,%.2f,%.2f,%.0f\n", head, $1, $2 + $3, $4 / 1000 }' \
            "$place/time" | tee -a "$folder/runs.csv"
    done
done
python3 scripts/bench-report.py sweep "$folder"
