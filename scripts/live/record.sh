#!/usr/bin/env bash
# Runs `kvroute live` and records it: scripts/live/record.sh FOLDER "QUESTION" "SERVERS" LIVE-ARGS...
# Writes results/FOLDER/ with the table, command, commit, machine and plots. Run it where the tokenizer's folder lies, so
# that no path of this machine gets into the results.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
folder=$repo/results/$1 question=$2 servers=$3; shift 3
run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT
# A line of the shell that does the same, options on lines of their own.
command_line() {
  local line=
  for word; do
    [[ $word =~ [^A-Za-z0-9_./:=,@%+-] ]] && word=${word@Q}
    if [[ $word == --* ]]; then line+=$' \\\n  '; else line+=' '; fi
    line+=$word
  done
  printf 'kvroute live%s' "$line"
}
table=$("$kvroute" live "$@" --out "$run" --quiet)
printf '%s\n' "$table"
mkdir -p "$folder/plots"
cp "$run"/{summary.json,scenario.toml,workers.csv,timing.json} "$folder/"
for file in server_metrics.csv compare-sim.csv calibrated.toml probe-{prefill,decode,beside}.csv; do
  [[ ! -e $run/$file ]] || cp "$run/$file" "$folder/"
done
cp "$run"/plots/*.svg "$folder/plots/"
cat > "$folder/README.md" <<MD
# $question

Servers: $servers

\`\`\`
$(command_line "$@" --out DIR)
\`\`\`

\`\`\`
$table
\`\`\`

- commit: $(git -C "$repo" rev-parse --short HEAD)
- machine: $(nproc) cores, $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $(free -g | awk '/Mem/{print $2}') GiB; servers and client share it

$(cd "$folder" && for plot in plots/*.svg; do echo "![$(basename "$plot" .svg | tr _ ' ')]($plot)"; done)
MD
echo "recorded results/$(basename "$folder")"
