#!/usr/bin/env bash
# Writes docs/fidelity.md from what the tests print; takes the tests' time. With --dynamo also the
# differential tests against Dynamo's router crates (a large build).
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --test it -- --nocapture > "$log" 2>&1 || { tail -40 "$log"; exit 1; }
if [ "${1:-}" = --dynamo ]; then
  scripts/test-dynamo.sh >> "$log" 2>&1 || { tail -40 "$log"; exit 1; }
fi
if grep -q '^SKIPPED' "$log"; then
  echo "some tests had nothing to check against; docs/fidelity.md is left as it is:" >&2
  grep '^SKIPPED' "$log" | sort -u >&2
  exit 1
fi
rows=$(grep -ao 'FIDELITY.*' "$log" | LC_ALL=C sort -u | awk -F'\t' '{ print "| " $2 " | " $3 " | " $4 " | " $5 " |" }')
cat > docs/fidelity.md <<MD
# Fidelity: what is claimed, against what it was checked, and what was found

Made by \`scripts/fidelity.sh --dynamo\` from the tests' own output; not typed. Files under \`oracle/\` and \`data/\`
are the shared recordings; a test that does not find them says SKIPPED.

| claim | checked against | by test | found |
|---|---|---|---|
$rows
MD
echo "wrote docs/fidelity.md: $(grep -c . <<< "$rows") rows"
