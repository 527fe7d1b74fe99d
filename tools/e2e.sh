#!/usr/bin/env bash
# End-to-end tests, the built program under real clients; test/model, the engine against a reference model; test/differential, the
# broker against mosquitto.
# Arguments go to pytest (tools/e2e.sh -k retained); a path among them takes the place of all folders.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$(tools/venv.sh)
paths=(test/e2e test/model test/differential)
for argument in "$@"; do [[ $argument != test/* ]] || paths=(); done
exec "$venv/bin/python" -m pytest "${paths[@]}" -n "$(nproc)" --dist loadfile -q --timeout 300 -p no:cacheprovider "$@"
