#!/usr/bin/env bash
# CPU time and memory beside Dynamo's offline replay, on the same traces and settings, in one session,
# interleaved: scripts/bench-peers.sh [REPEATS]. Writes results/<date>-peers/{README.md,runs.csv}.
#
# Needs Dynamo's replay (DYNAMO_PYTHON, default ~/.cache/kvroute-peers/dynamo/bin/python; recipe
# ../shared/peers/README.md) and the traces in ../shared. Run it while nothing else runs.
set -euo pipefail
cd "$(dirname "$0")/.."
repeats="${1:-5}"
python="${DYNAMO_PYTHON:-$HOME/.cache/kvroute-peers/dynamo/bin/python}"
replay=../shared/peers/dynamo-replay.py
trace=../shared/data/traces/mooncake_conversation_trace.jsonl
[ -x "$python" ] || { echo "no $python: install Dynamo's replay as ../shared/peers/README.md says" >&2; exit 2; }
[ -f "$trace" ] || { echo "no $trace" >&2; exit 2; }
. scripts/bench-lib.sh
cargo build --release --quiet
start peers workers,block_tokens,kv_blocks,program,repeat

# ours PROGRAM: kvroute on the case
ours() {
    timed "$case,$1,$repeat" target/release/kvroute simulate "$trace" \
        --workers "$workers" --block-tokens "$block" --kv-blocks "$blocks" --router-mode kv \
        --engine dynamo-mocker --latency mocker --no-plots --threads 1 --quiet --out "$place/ours"
}

for repeat in $(seq "$repeats"); do
    for case in 16,16,16384 8,512,2048 4,512,512; do
        IFS=, read -r workers block blocks <<< "$case"
        timed "$case,dynamo,$repeat" "$python" "$replay" --trace "$trace" --router kv_router \
            --workers "$workers" --blocks "$blocks" --block-size "$block" --out "$place/dynamo.json"
        ours kvroute
    done
done
# What small blocks cost: the same clusters with as much room for tokens, nothing else in between.
for repeat in $(seq $((5 * repeats))); do
    for case in 16,16,16384 16,512,512 8,16,65536 8,512,2048; do
        IFS=, read -r workers block blocks <<< "$case"
        ours kvroute-alone
    done
done
python3 scripts/bench-report.py peers "$folder"
