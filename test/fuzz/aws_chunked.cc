// aws-chunked bodies: any bytes in pieces of any size; the pieces must not change what comes out.
#include "http/aws_chunked.h"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

using namespace fleetward;

struct Outcome {
  bool whole = false;
  std::string decoded;
  size_t trailers = 0;
};

Outcome run(http::PayloadForm form, uint64_t length, std::string_view bytes, size_t step) {
  http::ChunkedDecoder decoder(form, {"key", "20261124T070000Z", "scope", "seed"}, length);
  Outcome out;
  for (size_t at = 0; at < bytes.size(); at += step) {
    if (!decoder.feed(bytes.substr(at, step), out.decoded)) return {};
  }
  out.whole = decoder.finish().has_value();
  out.trailers = decoder.trailers().all().size();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const auto form = static_cast<http::PayloadForm>(2 + data[0] % 3);
  const uint64_t length = data[1];
  const size_t step = 1 + data[2] % 16;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 3, size - 3);
  const Outcome pieces = run(form, length, bytes, step);
  const Outcome at_once = run(form, length, bytes, bytes.size() + 1);
  if (pieces.whole != at_once.whole || (pieces.whole && pieces.decoded != at_once.decoded)) std::abort();
  if (at_once.whole && at_once.decoded.size() != length) std::abort();
  if (at_once.trailers > http::ChunkedDecoder::kTrailersMax) std::abort();
  return 0;
}
