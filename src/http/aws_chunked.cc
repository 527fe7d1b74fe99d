#include "http/aws_chunked.h"

#include <algorithm>

#include "core/encoding.h"
#include "core/text.h"

namespace fleetward::http {
namespace sigv4 = identity::sigv4;

namespace {

// Around the parts of a line.
constexpr std::string_view kSpaces = " \t\r\n";

}  // namespace

struct ChunkedDecoder::State {
  enum class Expect { kChunkLine, kData, kDataEnd, kTrailerLine } expect = Expect::kChunkLine;
  bool is_signed = false;
  bool has_trailer = false;
  ChunkSigning signing;
  std::string previous_signature;
  uint64_t announced = 0, decoded = 0;
  uint64_t chunk_left = 0;
  std::string chunk_signature;
  std::string line;   // the line being gathered
  std::string chunk;  // signed form: the chunk being gathered
  std::string trailer_text;
  std::string trailer_signature;
  Headers trailers;
  Status failed;

  Status refuse(ErrorCode code, std::string message) {
    failed = fail(code, std::move(message));
    return failed;
  }
  std::string sign(std::string_view kind, std::string_view tail) const {
    std::string text(kind);
    text += '\n' + signing.amz_date + '\n' + signing.scope_text + '\n' + previous_signature + '\n';
    text += tail;
    return sigv4::signature(signing.signing_key, text);
  }
  Status check_chunk() {
    const std::string expected =
        sign("AWS4-HMAC-SHA256-PAYLOAD", std::string(sigv4::kEmptySha256) + '\n' + sha256_hex(chunk));
    if (!equal_constant_time(expected, chunk_signature)) {
      return refuse(ErrorCode::kUnauthenticated, "the signature of a chunk does not match");
    }
    previous_signature = expected;
    return {};
  }

  // True once a whole line (without its end) is in `line`.
  Result<bool> take_line(std::string_view& bytes) {
    const size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    if (line.size() + piece.size() > kLineBytesMax) {
      return fail(ErrorCode::kLimitExceeded, "a line of the chunked body is too long");
    }
    line += piece;
    if (end == std::string_view::npos) {
      bytes = {};
      return false;
    }
    bytes.remove_prefix(end + 1);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    return true;
  }
  Status on_chunk_line();
  Status on_trailer_line();
};

Status ChunkedDecoder::State::on_chunk_line() {
  const size_t semicolon = line.find(';');
  const std::string_view size_text = std::string_view(line).substr(0, semicolon);
  const auto announced_size = parse_number<uint64_t>(size_text, 16);
  if (!announced_size) {
    return refuse(ErrorCode::kMalformed, "the size of a chunk is not a hexadecimal number");
  }
  const uint64_t size = *announced_size;
  chunk_signature.clear();
  if (is_signed) {
    constexpr std::string_view kName = ";chunk-signature=";
    const size_t at = line.find(kName);
    if (at == std::string::npos) return refuse(ErrorCode::kMalformed, "a chunk without a signature");
    chunk_signature = trim(std::string_view(line).substr(at + kName.size()), kSpaces);
  }
  if (is_signed && size > kChunkBytesMax) {
    return refuse(ErrorCode::kLimitExceeded,
                  "a signed chunk may have at most " + std::to_string(kChunkBytesMax) + " bytes");
  }
  if (size > announced - decoded) {
    return refuse(ErrorCode::kLimitExceeded, "the body is longer than X-Amz-Decoded-Content-Length");
  }
  line.clear();
  chunk.clear();
  chunk_left = size;
  if (size > 0) {
    expect = Expect::kData;
    return {};
  }
  if (is_signed) {
    if (auto ok = check_chunk(); !ok) return ok;
  }
  expect = Expect::kTrailerLine;
  return {};
}

Status ChunkedDecoder::State::on_trailer_line() {
  if (line.empty()) {
    // SDKs put an empty line between the trailer's fields and its signature or not; the end of the stream
    // decides.
    return {};
  }
  const size_t colon = line.find(':');
  if (colon == std::string::npos) return refuse(ErrorCode::kMalformed, "a trailer field without ':'");
  if (!has_trailer) return refuse(ErrorCode::kMalformed, "a trailer that was not announced");
  const std::string name = to_lower(trim(std::string_view(line).substr(0, colon), kSpaces));
  const std::string value(trim(std::string_view(line).substr(colon + 1), kSpaces));
  line.clear();
  if (name == "x-amz-trailer-signature") {
    trailer_signature = value;
    return {};
  }
  if (trailers.all().size() == kTrailersMax) {
    return refuse(ErrorCode::kLimitExceeded, "too many trailer fields");
  }
  trailer_text += name + ':' + value + '\n';
  trailers.add(name, value);
  return {};
}

ChunkedDecoder::ChunkedDecoder(PayloadForm form, ChunkSigning signing, uint64_t decoded_length)
    : state_(std::make_unique<State>()) {
  state_->is_signed = form != PayloadForm::kStreamingUnsignedTrailer;
  state_->has_trailer = form != PayloadForm::kStreamingSigned;
  state_->previous_signature = signing.seed_signature;
  state_->signing = std::move(signing);
  state_->announced = decoded_length;
}

ChunkedDecoder::~ChunkedDecoder() = default;

const Headers& ChunkedDecoder::trailers() const {
  return state_->trailers;
}

Status ChunkedDecoder::feed(std::string_view bytes, std::string& out) {
  State& s = *state_;
  using Expect = State::Expect;
  if (!s.failed) return s.failed;
  while (!bytes.empty()) {
    if (s.expect == Expect::kData) {
      const size_t n = static_cast<size_t>(std::min<uint64_t>(s.chunk_left, bytes.size()));
      (s.is_signed ? s.chunk : out).append(bytes.substr(0, n));
      bytes.remove_prefix(n);
      s.chunk_left -= n;
      s.decoded += n;
      if (s.chunk_left > 0) continue;
      if (s.is_signed) {
        if (auto ok = s.check_chunk(); !ok) return ok;
        out += s.chunk;
        s.chunk.clear();
      }
      s.expect = Expect::kDataEnd;
      continue;
    }
    auto whole = s.take_line(bytes);
    if (!whole) return s.refuse(whole.error().code, whole.error().message);
    if (!*whole) break;
    if (s.expect == Expect::kDataEnd) {
      if (!s.line.empty()) return s.refuse(ErrorCode::kMalformed, "a chunk is longer than its size says");
      s.expect = Expect::kChunkLine;
      continue;
    }
    const Status ok = s.expect == Expect::kChunkLine ? s.on_chunk_line() : s.on_trailer_line();
    if (!ok) return ok;
  }
  return {};
}

Status ChunkedDecoder::finish() {
  State& s = *state_;
  if (!s.failed) return s.failed;
  if (s.expect != State::Expect::kTrailerLine) {
    return s.refuse(ErrorCode::kMalformed, "the chunked body ended before its last chunk");
  }
  if (!s.line.empty()) {  // a last line without its end
    if (auto ok = s.on_trailer_line(); !ok) return ok;
  }
  if (s.decoded != s.announced) {
    return s.refuse(ErrorCode::kMalformed, "the body has " + std::to_string(s.decoded) + " bytes, not the " +
                                               std::to_string(s.announced) + " announced");
  }
  if (s.is_signed && s.has_trailer) {
    const std::string expected = s.sign("AWS4-HMAC-SHA256-TRAILER", sha256_hex(s.trailer_text));
    if (!equal_constant_time(expected, s.trailer_signature)) {
      return s.refuse(ErrorCode::kUnauthenticated, "the signature of the trailer does not match");
    }
  }
  return {};
}

}  // namespace fleetward::http
