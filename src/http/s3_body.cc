#include "http/s3_body.h"

#include "core/encoding.h"
#include "core/text.h"
#include "http/aws_chunked.h"
#include "http/hash.h"

namespace fleetward::http {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;

// The bytes as they arrived, hashed on the way if the signature names their hash.
class PlainDecoder final : public S3BodyDecoder {
 public:
  explicit PlainDecoder(std::string expected_sha256) : expected_(std::move(expected_sha256)) {}

  ApiStatus feed(std::string_view bytes, std::string& out) override {
    if (!expected_.empty()) hash_.update(bytes);
    out += bytes;
    return {};
  }
  ApiStatus finish() override {
    if (expected_.empty() || hash_.finish_hex() == expected_) return {};
    return api_fail(400, "XAmzContentSHA256Mismatch",
                    "The provided 'x-amz-content-sha256' header does not match what was computed.");
  }
  const Headers& trailers() const override { return trailers_; }

 private:
  const std::string expected_;
  Sha256 hash_;
  const Headers trailers_;
};

ApiError chunk_error(const Error& error) {
  if (error.code == ErrorCode::kUnauthenticated) return {403, "SignatureDoesNotMatch", error.message, {}};
  if (error.code == ErrorCode::kLimitExceeded) return {400, "InvalidRequest", error.message, {}};
  return {400, "IncompleteBody", error.message, {}};
}

class ChunkedBodyDecoder final : public S3BodyDecoder {
 public:
  ChunkedBodyDecoder(const Verified& verified, uint64_t length)
      : decoder_(verified.payload, verified.chunks, length) {}

  ApiStatus feed(std::string_view bytes, std::string& out) override {
    return checked(decoder_.feed(bytes, out));
  }
  ApiStatus finish() override { return checked(decoder_.finish()); }
  const Headers& trailers() const override { return decoder_.trailers(); }

 private:
  static ApiStatus checked(const Status& status) {
    if (status) return {};
    return tl::unexpected<ApiError>(chunk_error(status.error()));
  }

  ChunkedDecoder decoder_;
};

class Reader final : public S3BodyReader {
 public:
  Reader(std::unique_ptr<Body> body, S3Decoding decoding)
      : body_(std::move(body)), decoding_(std::move(decoding)) {}

  ApiResult<std::string> next() override {
    std::string out;
    while (out.empty() && position_ < body_->size()) {
      auto piece = body_->read(position_, kPieceBytes);
      if (!piece) return api_fail(500, "InternalError", piece.error().message);
      position_ += piece->size();
      if (auto ok = decoding_.decoder->feed(*piece, out); !ok) return tl::unexpected<ApiError>(ok.error());
    }
    if (out.empty() && !finished_) {
      if (auto ok = decoding_.decoder->finish(); !ok) return tl::unexpected<ApiError>(ok.error());
      finished_ = true;
    }
    return out;
  }
  std::optional<uint64_t> size() const override { return decoding_.length.value_or(body_->size()); }
  const Headers& trailers() const override { return decoding_.decoder->trailers(); }

 private:
  const std::unique_ptr<Body> body_;
  const S3Decoding decoding_;
  uint64_t position_ = 0;
  bool finished_ = false;
};

}  // namespace

ApiResult<S3Decoding> make_s3_decoder(const RequestHead& head, const Verified& verified) {
  if (verified.payload == PayloadForm::kHashed || verified.payload == PayloadForm::kUnsigned) {
    S3Decoding plain{std::make_unique<PlainDecoder>(verified.payload_sha256), std::nullopt};
    if (head.headers.has("content-length")) plain.length = head.content_length;
    return plain;
  }
  const std::string_view text = head.headers.get("x-amz-decoded-content-length");
  const auto length = parse_number<uint64_t>(text);
  if (!length) {
    return api_fail(411, "MissingContentLength",
                    "You must provide the X-Amz-Decoded-Content-Length HTTP header.");
  }
  return S3Decoding{std::make_unique<ChunkedBodyDecoder>(verified, *length), *length};
}

std::unique_ptr<S3BodyReader> make_s3_reader(std::unique_ptr<Body> body, S3Decoding decoding) {
  return std::make_unique<Reader>(std::move(body), std::move(decoding));
}

}  // namespace fleetward::http
