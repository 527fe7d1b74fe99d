#!/usr/bin/env bash
# The broker beside Debian's mosquitto (and other peers), one after the other in the same run, over loopback:
# QoS 1 publishes. Prints messages per second, per CPU-second of the server, p50 and p99, and the ratio: of publishes
# to their PUBACK where nobody subscribes, of deliveries where somebody does.
#   shapes: ingest    --connections publishers, no subscriber, each of --windows
#           fan-out   1 publisher, 1,000 subscribers of its topic
#           fan-in    1,000 publishers, 1 subscriber of all
#           pairs     10,000 publishers, each with a subscriber of its own (fewer where `ulimit -Hn` is below 22,500)
# In the last three a message stays in the window (10 of each publisher, in the last two also 1) until it is delivered.
#   bench/broker.sh [--shapes "ingest fan-out fan-in pairs"] [--connections N] [--payload B] [--windows "100 10 1"] [--duration S] [--threads T] [--mqtt 4|5]
#                   [--peer NAME PORT COMMAND]...   a further broker: started with COMMAND, reached at PORT
#                   [--serve "OPTIONS"]             further options of `fleetward serve`
#                   [--json FILE]
set -euo pipefail
files=$(ulimit -Hn); [[ $files != unlimited ]] || files=1000000
ulimit -n "$files"
pairs=$((files >= 22500 ? 10000 : (files - 2500) / 2))
cd "$(dirname "$0")/.."
build=${BUILD:-build/release}
load=$build/bench/fleetward-load
fleetward=${FLEETWARD:-$build/fleetward}
shapes=ingest connections=50 payload=300 windows="100 10 1" duration=5 threads=2 mqtt=4 serve="" json=""
peers=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --shapes) shapes=$2; shift 2 ;;
    --connections) connections=$2; shift 2 ;;
    --payload) payload=$2; shift 2 ;;
    --windows) windows=$2; shift 2 ;;
    --duration) duration=$2; shift 2 ;;
    --threads) threads=$2; shift 2 ;;
    --mqtt) mqtt=$2; shift 2 ;;
    --serve) serve=$2; shift 2 ;;
    --json) json=$2; shift 2 ;;
    --peer) peers+=("$2" "$3" "$4"); shift 4 ;;
    *) sed -n '2,15p' "$0"; exit 2 ;;
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

# once NAME PORT SHAPE OPTIONS...: one JSON line into $work/results.
once() {
  local name=$1 port=$2 shape=$3 line
  shift 3
  line=$("$load" --port "$port" --payload "$payload" --threads "$threads" --mqtt "$mqtt" --duration "$duration" \
    --server-pid "$server" --json "$@") || { echo "$name, $shape $*: $line" >&2; exit 1; }
  echo "{\"server\": \"$name\", \"shape\": \"$shape\", ${line#\{}" >>"$work/results"
}

# measure NAME PORT: every shape.
measure() {
  for shape in $shapes; do
    case $shape in
      ingest) for window in $windows; do once "$1" "$2" "ingest, window $window" --connections "$connections" --window "$window"; done ;;
      fan-out) once "$1" "$2" fan-out --closed --connections 1 --window 10 --subscribers 1000 --topic load/all --filter load/all ;;
      fan-in) for window in 10 1; do once "$1" "$2" "fan-in, window $window" --closed --connections 1000 --window "$window" --subscribers 1; done ;;
      pairs) for window in 10 1; do
        once "$1" "$2" "$pairs pairs, window $window" --closed --connections "$pairs" --window "$window" --subscribers "$pairs" --filter load/%c/telemetry
      done ;;
      *) echo "no shape $shape" >&2; exit 2 ;;
    esac
  done
}

mosquitto_port=${MOSQUITTO_PORT:-21883}
cat >"$work/mosquitto.conf" <<EOF
listener $mosquitto_port 127.0.0.1
allow_anonymous true
persistence false
max_inflight_messages 0
max_connections -1
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
echo "QoS 1, $payload B, MQTT $mqtt, $duration s each"
jq -rs '
  def figures: if .subscribers > 0 then {rate: .received_per_s, per_cpu: .received_per_server_cpu_s, us: .delivery_us}
    else {rate: .published_per_s, per_cpu: .published_per_server_cpu_s, us: .publish_us} end;
  ["", "server", "messages/s", "per CPU-s", "p50 us", "p99 us", "x mosquitto", "per CPU-s x"],
  ([.[] | {shape, server} + figures] as $all | [$all[].shape] | reduce .[] as $s ([]; if index([$s]) then . else . + [$s] end) | .[] as $shape |
    [$all[] | select(.shape == $shape)] | (map(select(.server == "mosquitto"))[0]) as $base | .[] |
    [.shape, .server, .rate, .per_cpu, .us.p50, .us.p99, (.rate / $base.rate * 100 | round / 100),
     (if .per_cpu and $base.per_cpu then .per_cpu / $base.per_cpu * 100 | round / 100 else "-" end)])
  | @tsv' "$work/results" |
  awk -F'\t' '{printf "%-24s %-12s %12s %12s %10s %10s %12s %12s\n", $1, $2, $3, $4, $5, $6, $7, $8}'
