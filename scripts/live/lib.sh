# What the scripts of this folder share; source it. Sets repo, peers (environments), shared (recipes).
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
peers=${PEERS_DIR:-$HOME/.cache/kvroute-peers} shared=$repo/../shared/peers

# The program; KVROUTE names one that is built already.
kvroute=${KVROUTE:-$repo/target/release/kvroute}
build() { [[ ${KVROUTE:-} ]] || cargo build --release --quiet --manifest-path "$repo/Cargo.toml"; }

# Processes whose ids are in the file are stopped when the script ends.
stop_at_exit() { trap "xargs -r kill < '$1' 2>/dev/null || true" EXIT; }

# wait_for URL MODEL SECONDS: until the endpoint lists the model.
wait_for() {
  for _ in $(seq "$3"); do
    curl -sf "$1/v1/models" | grep -q "$2" && return
    sleep 1
  done
  echo "$1 does not list $2 after $3 s" >&2
  return 1
}

# dynamo_shape WORKLOAD: sets shape, options under which three mockers are busy and not overloaded.
dynamo_shape() {
  if [[ $1 == shared-prefix ]]; then
    shape=(--set workload.shared_prefix.prefixes=24 --request-rate 4 --num-requests 200)
  else
    shape=(--set 'workload.multi_turn.think_time={law="lognormal", mean=2, cv=0.7, max=10}' --request-rate 1.5
      --num-requests 120)
  fi
}
