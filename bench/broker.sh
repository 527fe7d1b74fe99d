#!/usr/bin/env bash
# The broker beside Debian's mosquitto (and other peers), one after the other in the same run, over loopback:
# QoS 1 publishes, no subscriber. Prints messages per second, per CPU-second of the server, p99, and the ratio.
#   bench/broker.sh [--connections N] [--payload B] [--windows "100 10 1"] [--duration S] [--threads T] [--mqtt 4|5]
#                   [--peer NAME PORT COMMAND]...   a further broker: started with COMMAND, reached at PORT
#                   [--serve "OPTIONS"]             further options of `fleetward serve`
#                   [--json FILE]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build/release}
load=$build/bench/fleetward-load
fleetward=${FLEETWARD:-$build/fleetward}
connections=50 payload=300 windows="100 10 1" duration=5 threads=2 mqtt=4 serve="" json=""
peers=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --connections) connections=$2; shift 2 ;;
    --payload) payload=$2; shift 2 ;;
    --windows) windows=$2; shift 2 ;;
    --duration) duration=$2; shift 2 ;;
    --threads) threads=$2; shift 2 ;;
    --mqtt) mqtt=$2; shift 2 ;;
    --serve) serve=$2; shift 2 ;;
    --json) json=$2; shift 2 ;;
    --peer) peers+=("$2" "$3" "$4"); shift 4 ;;
    *) sed -n '2,9p' "$0"; exit 2 ;;
  esac
done

work=$(mktemp -d)
server=
stop_server() {
  [[ -n $server ]] || return 0
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  server=
}
trap 'stop_server; rm -rf "$work"' EXIT

wait_port() {
  for _ in $(seq 100); do
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  echo "the server does not listen on port $1:" >&2; tail -5 "$work/server.log" >&2
  exit 1
}

# measure NAME PORT: one JSON line for each window into $work/results.
measure() {
  for window in $windows; do
    local line
    line=$("$load" --port "$2" --connections "$connections" --payload "$payload" --window "$window" --threads "$threads" \
      --mqtt "$mqtt" --duration "$duration" --server-pid "$server" --json) || { echo "$1, window $window: $line" >&2; exit 1; }
    echo "{\"server\": \"$1\", ${line#\{}" >>"$work/results"
  done
}

mosquitto_port=${MOSQUITTO_PORT:-21883}
cat >"$work/mosquitto.conf" <<EOF
listener $mosquitto_port 127.0.0.1
allow_anonymous true
persistence false
max_inflight_messages 0
max_queued_messages 0
log_type error
EOF
mosquitto=$(command -v mosquitto || echo /usr/sbin/mosquitto)
"$mosquitto" -c "$work/mosquitto.conf" >"$work/server.log" 2>&1 & server=$!
wait_port "$mosquitto_port"; measure mosquitto "$mosquitto_port"; stop_server

for ((i = 0; i < ${#peers[@]}; i += 3)); do
  ${peers[i + 2]} >"$work/server.log" 2>&1 & server=$!
  wait_port "${peers[i + 1]}"; measure "${peers[i]}" "${peers[i + 1]}"; stop_server
done

"$fleetward" serve --data-dir "$work/data" --mqtt-listen 127.0.0.1:0 --mqtt-policy open \
  --api-listen 127.0.0.1:0 --api-tls-listen 127.0.0.1:0 --mqtts-listen 127.0.0.1:0 --alpn-listen 127.0.0.1:0 $serve >"$work/server.log" 2>&1 & server=$!
for _ in $(seq 150); do [[ -s $work/data/endpoints.json ]] && break; sleep 0.1; done
[[ -s $work/data/endpoints.json ]] || { tail -5 "$work/server.log" >&2; exit 1; }
port=$(jq -r '.mqtt | split(":") | last' "$work/data/endpoints.json")
wait_port "$port"; measure fleetward "$port"; stop_server

[[ -z $json ]] || jq -s . "$work/results" >"$json"
echo "$connections connections, QoS 1, $payload B, MQTT $mqtt, $duration s each, no subscriber"
jq -rs '
  ["window", "server", "messages/s", "per CPU-s", "p50 us", "p99 us", "x mosquitto", "per CPU-s x"],
  (group_by(.window) | reverse | .[] | (map(select(.server == "mosquitto"))[0]) as $base | .[] |
    [.window, .server, .published_per_s, .published_per_server_cpu_s, .publish_us.p50, .publish_us.p99,
     (.published_per_s / $base.published_per_s * 100 | round / 100),
     (if .published_per_server_cpu_s and $base.published_per_server_cpu_s
      then .published_per_server_cpu_s / $base.published_per_server_cpu_s * 100 | round / 100 else "-" end)])
  | @tsv' "$work/results" |
  awk -F'\t' '{printf "%-7s %-12s %12s %12s %10s %10s %12s %12s\n", $1, $2, $3, $4, $5, $6, $7, $8}'
