#!/usr/bin/env bash
# The checks that need no running server: layering, formatting, generated documents up to date.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 tools/check_layers.py
format=$(command -v clang-format-19 || command -v clang-format)
git ls-files '*.h' '*.cc' | xargs "$format" --dry-run --Werror
tools/docs.sh --check
