#!/usr/bin/env bash
# Holds kvroute against the router crates of NVIDIA Dynamo 1.6.1: choices, costs, index, bookkeeping
# and hashes, on random states. Fetches and builds about 300 crates the first time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../tests/dynamo"
exec cargo test --locked "$@" -- --nocapture
