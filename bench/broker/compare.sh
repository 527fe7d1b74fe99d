#!/usr/bin/env bash
# usage: bench/broker/compare.sh [seconds]
# Messages per second of this broker and of Debian's mosquitto, one after the other with the same load: QoS 1, 300 bytes, 50 plain
# connections, no subscriber, windows of 100 and of 1. Prints a line for each and the two ratios.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-5}
load=build/release/bench/fleetward_mqtt_load
work=$(mktemp -d)
ours= theirs=
stop() { for pid in $ours $theirs; do kill "$pid" 2>/dev/null || true; done; wait; rm -rf "$work"; }
trap stop EXIT

build/release/fleetward serve --data-dir "$work/data" --api-listen 127.0.0.1:0 --api-tls-listen 127.0.0.1:0 --mqtts-listen 127.0.0.1:0 \
  --alpn-listen '' --mqtt-listen 127.0.0.1:0 --mqtt-policy open >"$work/ours.log" 2>&1 &
ours=$!
for _ in $(seq 100); do grep -q '^ready' "$work/ours.log" && break; sleep 0.1; done
grep -q "^ready" "$work/ours.log" || { cat "$work/ours.log"; exit 1; }
ours_port=$(python3 -c "import json,sys; print(json.load(open(sys.argv[1]))['mqtt'].rsplit(':',1)[1])" "$work/data/endpoints.json")
theirs_port=$(python3 -c "import socket; s=socket.socket(); s.bind(('127.0.0.1',0)); print(s.getsockname()[1])")
mosquitto -p "$theirs_port" >"$work/theirs.log" 2>&1 &
theirs=$!
sleep 1

for window in 100 1; do
  for side in ours theirs; do
    port=${side}_port
    pid=$side
    line=$("$load" --port "${!port}" --pid "${!pid}" --window "$window" --seconds "$seconds")
    echo "$side $line"
    rate=${line#messages_per_second=}
    declare "rate_$side=${rate%% *}"
  done
  echo "window $window: $(python3 -c "print(f'{$rate_ours/$rate_theirs:.2f}')") times mosquitto"
done
