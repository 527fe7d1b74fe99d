// Chunks of metric history: any bytes, as they are and sealed as the body of a chunk, are an error or can be
// read; any row is refused or comes back from its chunk.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <xxhash.h>
#include <zstd.h>

#include "detect/bytes.h"
#include "detect/history.h"

namespace {

using namespace fleetward;
using namespace fleetward::detect;

size_t read_all(const HistoryChunk& chunk) {
  size_t points = 0;
  for (const std::string_view series : chunk.series()) {
    size_t left = 1000;
    (void)chunk.visit(series, {INT64_MIN}, [&](Timestamp, const Value&) {
      ++points;
      return --left > 0;
    });
    (void)chunk.visit(series, {1000}, [](Timestamp, const Value&) { return false; });
  }
  return points;
}

std::string sealed(std::string_view body) {
  std::string rest;
  bytes::put_varint(rest, body.size());
  std::string frame(ZSTD_compressBound(body.size()), '\0');
  frame.resize(ZSTD_compress(frame.data(), frame.size(), body.data(), body.size(), 1));
  rest += frame;
  std::string out(1, '\2');
  bytes::put_u64(out, XXH3_64bits(rest.data(), rest.size()));
  return out + rest;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto chunk = HistoryChunk::open(bytes)) read_all(*chunk);
  if (const auto chunk = HistoryChunk::open(sealed(bytes))) read_all(*chunk);
  HistoryBuilder builder;
  size_t parts = 0;
  if (builder.add({7}, bytes) && visit_row(bytes, [&](std::string_view, std::string_view) { ++parts; })) {
    const auto stored = builder.take();
    if (!stored) __builtin_trap();
    const auto chunk = HistoryChunk::open(*stored);
    if (!chunk || (parts > 0 && read_all(*chunk) == 0)) __builtin_trap();
  }
  return 0;
}
