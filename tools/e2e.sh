#!/usr/bin/env bash
# End-to-end tests: the built program under real clients. Arguments go to pytest (tools/e2e.sh -k retained).
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$(tools/venv.sh)
exec "$venv/bin/python" -m pytest test/e2e -n "$(nproc)" --dist loadfile -q --timeout 300 -p no:cacheprovider "$@"
