#!/usr/bin/env bash
# Builds every fuzz target with clang into build/fuzz and runs each over its committed corpus and RUNS new inputs
# (20,000 by default), or for SECONDS_EACH: tools/fuzz.sh [target...]. A crash leaves its input in build/fuzz/crashes
# and makes this fail.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${RUNS:-20000}
build=build/fuzz
cc=$(command -v clang-19 || command -v clang)
cxx=$(command -v clang++-19 || command -v clang++)
[[ -f $build/build.ninja ]] || cmake -G Ninja -B "$build" -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" \
  -DFLEETWARD_FUZZ=ON -DFLEETWARD_TESTS=OFF -DFLEETWARD_BENCH=OFF -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_CXX_FLAGS="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined" \
  -DCMAKE_EXE_LINKER_FLAGS="-fsanitize=address,undefined" >/dev/null
targets=("${@/#/fuzz_}")
[[ $# -gt 0 ]] || targets=(fuzz_targets)
ninja -C "$build" -j "${JOBS:-$(nproc)}" "${targets[@]}" >/dev/null || ninja -C "$build" "${targets[@]}"

mkdir -p "$build/crashes"
status=0
for target in "$build"/fuzz/fuzz_*; do
  [[ -x $target ]] || continue
  name=${target##*/fuzz_}
  [[ $# -eq 0 || " $* " == *" $name "* ]] || continue
  corpus=test/fuzz/corpus/$name
  found=$build/found/$name
  mkdir -p "$found"
  limit=(-runs="$runs")
  [[ -z ${SECONDS_EACH:-} ]] || limit=(-max_total_time="$SECONDS_EACH")
  dictionary=()
  [[ ! -f test/fuzz/$name.dict ]] || dictionary=(-dict="test/fuzz/$name.dict")
  if "$target" "${limit[@]}" "${dictionary[@]}" -max_len=8192 -timeout=10 -rss_limit_mb=1024 -seed=1 \
      -artifact_prefix="$build/crashes/$name-" -print_final_stats=0 -verbosity=0 \
      "$found" $([[ -d $corpus ]] && echo "$corpus") >"$build/$name.log" 2>&1; then
    echo "ok    $name"
  else
    echo "FAILED $name, see $build/$name.log"; tail -n 30 "$build/$name.log"
    status=1
  fi
done
exit $status
