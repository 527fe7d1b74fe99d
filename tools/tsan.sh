#!/usr/bin/env bash
# Builds with ThreadSanitizer into build/tsan and runs the unit tests of the rooms that have threads, or of those named:
# tools/tsan.sh [room...]. A race makes this fail.
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/tsan
rooms=("$@")
[[ $# -gt 0 ]] || rooms=(log registry alerts broker pipeline)
[[ -f $build/build.ninja ]] || cmake -G Ninja -B "$build" -DFLEETWARD_SANITIZE=thread -DFLEETWARD_BENCH=OFF \
  -DCMAKE_CXX_FLAGS_RELEASE="-O1 -g1" >/dev/null
targets=("${rooms[@]/#/fleetward_}")
ninja -C "$build" -j "${JOBS:-$(nproc)}" "${targets[@]/%/_test}" >/dev/null || exit 1
export TSAN_OPTIONS="history_size=4 exitcode=66 ${TSAN_OPTIONS:-}"
status=0
for room in "${rooms[@]}"; do
  # Without address randomization: newer kernels put mappings where this sanitizer does not expect them. It cannot
  # follow a fork that starts threads, as the log's kill test does.
  if setarch -R "$build/test/fleetward_${room}_test" --gtest_filter='-KillMinusNine.*' >"$build/$room.log" 2>&1; then
    echo "ok    $room"
  else
    echo "FAILED $room, see $build/$room.log"
    grep -c "WARNING: ThreadSanitizer" "$build/$room.log" || true
    status=1
  fi
done
exit $status
