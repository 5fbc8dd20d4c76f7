#!/usr/bin/env bash
# How much faster the shipped sweep is on two threads than on one: scripts/bench-sweep.sh [REPEATS] writes
# results/<date>-sweep-threads/{README.md,runs.csv}. Run it while nothing else runs.
set -euo pipefail
cd "$(dirname "$0")/.."
repeats="${1:-5}"
. scripts/bench-lib.sh
cargo build --release --quiet
start sweep-threads threads,repeat
for repeat in $(seq "$repeats"); do
    for threads in 1 2; do
        rm -rf "$place/out"
        timed "$threads,$repeat" target/release/kvroute sweep \
            workloads/sweeps/weight-temperature.toml --threads "$threads" --out "$place/out"
    done
done
python3 scripts/bench-report.py sweep "$folder"
