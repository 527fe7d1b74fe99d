#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"
#include "http/message.h"
#include "http/sigv4.h"

namespace fleetward::http {

// Undoes `Content-Encoding: aws-chunked` without I/O, verifying each chunk's signature and the trailer's
// where the form has them. Bytes of a signed chunk are handed over only after its signature was found good,
// so a chunk may have at most kChunkBytesMax. Source: S3 API Reference, "Signature Calculations: chunked
// upload".
class ChunkedDecoder {
 public:
  static constexpr uint64_t kChunkBytesMax = uint64_t{16} << 20;
  static constexpr size_t kLineBytesMax = 8 * 1024;
  static constexpr size_t kTrailersMax = 16;

  // `form` is one of the three streaming ones. `decoded_length` is X-Amz-Decoded-Content-Length.
  ChunkedDecoder(PayloadForm form, ChunkSigning signing, uint64_t decoded_length);
  ~ChunkedDecoder();

  // Consumes bytes and appends what was decoded to `out`. kMalformed: framing; kUnauthenticated: a signature
  // is wrong; kLimitExceeded: a line or a chunk is too large, or more bytes than announced. After an error
  // the decoder stays in it.
  Status feed(std::string_view bytes, std::string& out);
  // kMalformed if the stream ended early or the length is not the announced one.
  Status finish();
  // Complete after finish(): "x-amz-checksum-crc32" and the like, names in lower case, without the signature.
  const Headers& trailers() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fleetward::http
