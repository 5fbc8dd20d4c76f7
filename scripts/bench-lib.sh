# What the bench scripts share; source it from the repository's root.

# start QUESTION [COLUMNS]: folder=results/<date>-QUESTION/, its runs.csv with these columns before cpu_s, wall_s and
# peak_mb, and place, a folder that goes when the script ends.
start() {
    folder="results/$(date +%F)-$1"
    mkdir -p "$folder"
    place=$(mktemp -d)
    trap 'rm -rf "$place"' EXIT
    [ $# -lt 2 ] || echo "$2,cpu_s,wall_s,peak_mb" > "$folder/runs.csv"
}

# timed VALUES COMMAND...: runs it, and adds a line to runs.csv.
timed() {
    local values="$1"; shift
    python3 scripts/timed.py "$place/time" "$@" > "$place/log" 2>&1 || { cat "$place/log" >&2; exit 1; }
    awk -v head="$values" '{ printf "%s,%.3f,%.3f,%.0f\n", head, $1 + $2, $3, $4 / 1000 }' "$place/time" |
        tee -a "$folder/runs.csv"
}

# Of bench-scale.sh and profile.sh: mean prompt about 4,000 tokens, mean output 300; with 0.8 conversations a second and
# worker, workers are busy 80 to 90 % of the time.
large=(multi-turn --router-mode kv
    --set 'workload.multi_turn.first={ law = "lognormal", mean = 1500, cv = 1.0, max = 14000 }'
    --set 'workload.multi_turn.follow_up={ law = "lognormal", mean = 200, cv = 1.0, max = 6000 }'
    --set 'workload.multi_turn.output={ law = "lognormal", mean = 300, cv = 0.8, max = 2000 }')
