#!/usr/bin/env bash
# Makes build/node, the JavaScript clients of the end-to-end tests, if it is not there or its list changed. Prints its path.
set -euo pipefail
cd "$(dirname "$0")/.."
want=$(sha256sum test/e2e/clients/package.json)
if [[ $(cat build/node/.made-from 2>/dev/null) != "$want" ]]; then
  rm -rf build/node
  mkdir -p build/node
  cp test/e2e/clients/package.json build/node/
  (cd build/node && npm install --silent --no-audit --no-fund --ignore-scripts >&2)
  echo "$want" > build/node/.made-from
fi
echo "$PWD/build/node"
