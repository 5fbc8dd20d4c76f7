#!/usr/bin/env bash
# Runs a comparison and records it: scripts/record-result.sh FOLDER "QUESTION" SIMULATE-ARGS...
# Writes results/FOLDER/ with the table, command, commit and machine, and what fits into a repository.
set -euo pipefail
cd "$(dirname "$0")/.."
folder="results/$1"; question="$2"; shift 2
cargo build --release --quiet
run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT
table=$(target/release/kvroute simulate "$@" --out "$run" --quiet)
mkdir -p "$folder/plots"
cp "$run"/{summary.json,scenario.toml,workers.csv,timing.json} "$folder/"
cp "$run"/plots/*.svg "$folder/plots/"
timing() { python3 -c "import json,sys; t=json.load(open('$run/timing.json')); print(t['$1'])"; }
cat > "$folder/README.md" <<MD
# $question

\`\`\`
kvroute simulate $* --out DIR
\`\`\`

\`\`\`
$table
\`\`\`

- commit: $(git rev-parse --short HEAD)$(git diff --quiet HEAD || echo " and uncommitted changes")
- machine: $(nproc) cores, $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $(free -g | awk '/Mem/{print $2}') GiB
- cost: $(timing wall_seconds | cut -c1-5) s wall, $(timing cpu_seconds) s CPU, $(($(timing peak_memory_bytes) / 1000000)) MB peak, all routers together

![Routers compared](plots/summary.svg)
MD
echo "recorded $folder"
