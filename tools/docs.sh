#!/usr/bin/env bash
# Writes docs/reference/ from the tables in the built program and from the marks in the tests; with --check only compares.
set -euo pipefail
cd "$(dirname "$0")/.."
status=0
for page in configuration metrics operations; do
  file=docs/reference/$page.md
  if [[ ${1:-} == --check ]]; then
    build/release/fleetward docs "$page" | diff -u "$file" - || { echo "$file is out of date: run tools/docs.sh" >&2; status=1; }
  else
    build/release/fleetward docs "$page" > "$file"
  fi
done
python3 tools/mqtt_conformance.py "$@" || status=1
exit $status
