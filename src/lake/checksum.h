#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lake/errors.h"

// The digests S3 knows. Values travel in base64 of the big-endian digest.
namespace fleetward::lake {

enum class ChecksumAlgorithm : uint8_t { kNone, kCrc32, kCrc32c, kCrc64Nvme, kSha1, kSha256 };
enum class ChecksumType : uint8_t { kFullObject, kComposite };

// "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"; empty for kNone.
std::string_view to_string(ChecksumAlgorithm algorithm);
// By name without regard to case; nullopt if there is no such algorithm.
std::optional<ChecksumAlgorithm> parse_checksum_algorithm(std::string_view name);
// Bytes of the raw digest.
size_t digest_bytes(ChecksumAlgorithm algorithm);

// kNone: nothing known. Composite values end in "-<parts>".
struct Checksum {
  ChecksumAlgorithm algorithm = ChecksumAlgorithm::kNone;
  ChecksumType type = ChecksumType::kFullObject;
  std::string value;
  bool operator==(const Checksum&) const = default;
};

// kInvalidRequest unless the value is base64 of a digest of the right length.
StoreStatus check_digest_text(ChecksumAlgorithm algorithm, std::string_view base64);

// Digests of one stream of bytes: MD5 always, and the algorithms asked for. One thread at a time.
class Digests {
 public:
  explicit Digests(const std::vector<ChecksumAlgorithm>& algorithms);
  ~Digests();
  Digests(Digests&&) noexcept;
  Digests& operator=(Digests&&) noexcept;

  void update(std::string_view bytes);
  // Ends the stream; the answers below hold afterwards.
  void finish();
  const std::string& md5() const;  // 16 raw bytes
  // Raw digest; empty if it was not asked for.
  std::string raw(ChecksumAlgorithm algorithm) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// One part of a multipart object as its checksums are combined.
struct PartDigest {
  std::string raw;
  uint64_t size = 0;
};
// The digest of the digests, base64 with "-<parts>".
std::string composite_checksum(ChecksumAlgorithm algorithm, const std::vector<PartDigest>& parts);
// The CRC of the whole from the CRCs of its parts, base64. CRC algorithms only.
std::string full_object_checksum(ChecksumAlgorithm algorithm, const std::vector<PartDigest>& parts);

// Lower-case hex MD5 of the parts' raw MD5s, then "-<parts>": the ETag of a multipart object.
std::string multipart_etag(const std::vector<std::string>& part_md5s);
std::string md5(std::string_view bytes);  // raw

}  // namespace fleetward::lake
