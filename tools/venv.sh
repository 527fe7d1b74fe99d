#!/usr/bin/env bash
# Makes build/venv, the Python environment of the end-to-end tests, if it is not there or its list changed. Prints its path.
set -euo pipefail
cd "$(dirname "$0")/.."
want=$(sha256sum test/e2e/requirements.txt)
if [[ $(cat build/venv/.made-from 2>/dev/null) != "$want" ]]; then
  rm -rf build/venv
  python3 -m venv build/venv
  build/venv/bin/pip install -q --disable-pip-version-check -r test/e2e/requirements.txt >&2
  echo "$want" > build/venv/.made-from
fi
echo "$PWD/build/venv"
