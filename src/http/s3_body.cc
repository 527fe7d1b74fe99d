#include "http/s3_body.h"

#include <optional>

#include "core/encoding.h"
#include "core/text.h"
#include "http/aws_chunked.h"
#include "http/hash.h"

namespace fleetward::http {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;

tl::unexpected<ApiError> unreadable(const Error& error) {
  return api_fail(500, "InternalError", error.message);
}

// The bytes as they arrived, hashed on the way if the signature names their hash.
class PlainReader final : public S3BodyReader {
 public:
  PlainReader(std::unique_ptr<Body> body, std::string expected_sha256)
      : body_(std::move(body)), expected_(std::move(expected_sha256)) {}

  ApiResult<std::string> next() override {
    auto piece = body_->read(position_, kPieceBytes);
    if (!piece) return unreadable(piece.error());
    position_ += piece->size();
    if (!expected_.empty()) {
      hash_.update(*piece);
      if (position_ == body_->size() && !checked_) {
        checked_ = true;
        wrong_ = hash_.finish_hex() != expected_;
      }
    }
    if (wrong_) {
      return api_fail(400, "XAmzContentSHA256Mismatch",
                      "The provided 'x-amz-content-sha256' header does not match what was computed.");
    }
    return std::move(*piece);
  }
  std::optional<uint64_t> size() const override { return body_->size(); }
  const Headers& trailers() const override { return trailers_; }

 private:
  std::unique_ptr<Body> body_;
  std::string expected_;
  Sha256 hash_;
  uint64_t position_ = 0;
  bool checked_ = false, wrong_ = false;
  Headers trailers_;
};

ApiError chunk_error(const Error& error) {
  if (error.code == ErrorCode::kUnauthenticated) return {403, "SignatureDoesNotMatch", error.message, {}};
  if (error.code == ErrorCode::kLimitExceeded) return {400, "InvalidRequest", error.message, {}};
  return {400, "IncompleteBody", error.message, {}};
}

class ChunkedReader final : public S3BodyReader {
 public:
  ChunkedReader(std::unique_ptr<Body> body, const Verified& verified, uint64_t length)
      : body_(std::move(body)), length_(length), decoder_(verified.payload, verified.chunks, length) {}

  ApiResult<std::string> next() override {
    std::string out;
    while (out.empty() && position_ < body_->size()) {
      auto piece = body_->read(position_, kPieceBytes);
      if (!piece) return unreadable(piece.error());
      position_ += piece->size();
      if (auto ok = decoder_.feed(*piece, out); !ok) return tl::unexpected<ApiError>(chunk_error(ok.error()));
    }
    if (out.empty()) {
      if (auto ok = decoder_.finish(); !ok) return tl::unexpected<ApiError>(chunk_error(ok.error()));
    }
    return out;
  }
  std::optional<uint64_t> size() const override { return length_; }
  const Headers& trailers() const override { return decoder_.trailers(); }

 private:
  std::unique_ptr<Body> body_;
  uint64_t length_;
  uint64_t position_ = 0;
  ChunkedDecoder decoder_;
};

}  // namespace

ApiResult<std::unique_ptr<S3BodyReader>> make_s3_body(std::unique_ptr<Body> body, const RequestHead& head,
                                                      const Verified& verified) {
  if (verified.payload == PayloadForm::kHashed || verified.payload == PayloadForm::kUnsigned) {
    return std::make_unique<PlainReader>(std::move(body), verified.payload_sha256);
  }
  const std::string_view text = head.headers.get("x-amz-decoded-content-length");
  const auto length = parse_number<uint64_t>(text);
  if (!length) {
    return api_fail(411, "MissingContentLength",
                    "You must provide the X-Amz-Decoded-Content-Length HTTP header.");
  }
  return std::make_unique<ChunkedReader>(std::move(body), verified, *length);
}

}  // namespace fleetward::http
