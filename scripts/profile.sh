#!/usr/bin/env bash
# Where the time goes: samples of `perf` on the scale benchmark's two clusters, as nanoseconds per request.
# scripts/profile.sh writes results/<date>-profile/README.md. Needs perf; run it while nothing else runs.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v perf > /dev/null || { echo "no perf: install linux-perf" >&2; exit 2; }
. scripts/bench-lib.sh
cargo build --release --quiet
start profile
# The small one is short: many times.
for case in 10,10000,8,40 1000,1000000,800,1; do
    IFS=, read -r workers requests rate runs <<< "$case"
    perf record --quiet -o "$place/perf" -F 1999 bash -c 'for _ in $(seq "$1"); do "${@:2}"; done' runs "$runs" \
        target/release/kvroute simulate "${large[@]}" --workers "$workers" --num-requests "$requests" \
        --request-rate "$rate" --no-plots --threads 1 --quiet --out "$place/out" > /dev/null
    perf report -i "$place/perf" --no-children --stdio -n \
        > "$place/$workers-$((requests * runs)).txt" 2> /dev/null
done
python3 scripts/profile-report.py "$place" 1999 > "$folder/README.md"
echo "recorded $folder"
