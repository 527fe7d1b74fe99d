#include "lake/checksum.h"

#include <algorithm>
#include <cctype>
#include <openssl/evp.h>

#include <zlib.h>

#include "core/encoding.h"
#include "lake/crc.h"

namespace fleetward::lake {
namespace {

struct AlgorithmFacts {
  ChecksumAlgorithm algorithm;
  std::string_view name;
  size_t bytes;
};
constexpr AlgorithmFacts kAlgorithms[] = {
    {ChecksumAlgorithm::kCrc32, "CRC32", 4},         {ChecksumAlgorithm::kCrc32c, "CRC32C", 4},
    {ChecksumAlgorithm::kCrc64Nvme, "CRC64NVME", 8}, {ChecksumAlgorithm::kSha1, "SHA1", 20},
    {ChecksumAlgorithm::kSha256, "SHA256", 32},
};

template <typename T>
std::string big_endian(T value) {
  std::string out(sizeof(T), '\0');
  for (size_t i = 0; i < sizeof(T); ++i) {
    out[sizeof(T) - 1 - i] = static_cast<char>(value & 0xff);
    value = static_cast<T>(value >> 8);
  }
  return out;
}

template <typename T>
T from_big_endian(std::string_view bytes) {
  T value = 0;
  for (const char c : bytes) value = static_cast<T>((value << 8) | static_cast<uint8_t>(c));
  return value;
}

template <typename C, typename T>
std::string combine_all(const std::vector<PartDigest>& parts) {
  T whole = 0;  // the CRC of nothing
  for (const PartDigest& part : parts) whole = C::combine(whole, from_big_endian<T>(part.raw), part.size);
  return big_endian(whole);
}

// A message digest of OpenSSL. The calls fail only when memory is out.
class EvpDigest {
 public:
  explicit EvpDigest(const EVP_MD* type) : context_(EVP_MD_CTX_new()) {
    EVP_DigestInit_ex(context_, type, nullptr);
  }
  ~EvpDigest() { EVP_MD_CTX_free(context_); }
  EvpDigest(const EvpDigest&) = delete;
  EvpDigest& operator=(const EvpDigest&) = delete;
  void update(std::string_view bytes) { EVP_DigestUpdate(context_, bytes.data(), bytes.size()); }
  std::string finish() {
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    EVP_DigestFinal_ex(context_, out, &size);
    return {reinterpret_cast<const char*>(out), size};
  }

 private:
  EVP_MD_CTX* context_;
};

std::string digest_of(const EVP_MD* type, std::string_view bytes) {
  EvpDigest digest(type);
  digest.update(bytes);
  return digest.finish();
}

}  // namespace

std::string_view to_string(ChecksumAlgorithm algorithm) {
  for (const AlgorithmFacts& facts : kAlgorithms) {
    if (facts.algorithm == algorithm) return facts.name;
  }
  return {};
}

std::optional<ChecksumAlgorithm> parse_checksum_algorithm(std::string_view name) {
  for (const AlgorithmFacts& facts : kAlgorithms) {
    if (std::equal(name.begin(), name.end(), facts.name.begin(), facts.name.end(), [](char a, char b) {
          return std::toupper(static_cast<unsigned char>(a)) == static_cast<unsigned char>(b);
        })) {
      return facts.algorithm;
    }
  }
  return std::nullopt;
}

size_t digest_bytes(ChecksumAlgorithm algorithm) {
  for (const AlgorithmFacts& facts : kAlgorithms) {
    if (facts.algorithm == algorithm) return facts.bytes;
  }
  return 0;
}

StoreStatus check_digest_text(ChecksumAlgorithm algorithm, std::string_view base64) {
  const auto raw = from_base64(base64);
  if (!raw || raw->size() != digest_bytes(algorithm)) {
    return refuse(Reason::kInvalidRequest,
                  "The value of the " + std::string(to_string(algorithm)) + " checksum is invalid.");
  }
  return {};
}

struct Digests::State {
  EvpDigest md5_digest{EVP_md5()};
  std::unique_ptr<EvpDigest> sha1, sha256;
  bool crc32_wanted = false;
  uLong crc32_value = crc32(0, nullptr, 0);
  std::unique_ptr<Crc32c> crc32c;
  std::unique_ptr<Crc64Nvme> crc64;
  std::string md5;
  std::vector<std::pair<ChecksumAlgorithm, std::string>> results;
};

Digests::Digests(const std::vector<ChecksumAlgorithm>& algorithms) : state_(std::make_unique<State>()) {
  for (const ChecksumAlgorithm algorithm : algorithms) {
    switch (algorithm) {
      case ChecksumAlgorithm::kCrc32:
        state_->crc32_wanted = true;
        break;
      case ChecksumAlgorithm::kCrc32c:
        state_->crc32c = std::make_unique<Crc32c>();
        break;
      case ChecksumAlgorithm::kCrc64Nvme:
        state_->crc64 = std::make_unique<Crc64Nvme>();
        break;
      case ChecksumAlgorithm::kSha1:
        state_->sha1 = std::make_unique<EvpDigest>(EVP_sha1());
        break;
      case ChecksumAlgorithm::kSha256:
        state_->sha256 = std::make_unique<EvpDigest>(EVP_sha256());
        break;
      case ChecksumAlgorithm::kNone:
        break;
    }
  }
}
Digests::~Digests() = default;
Digests::Digests(Digests&&) noexcept = default;
Digests& Digests::operator=(Digests&&) noexcept = default;

void Digests::update(std::string_view bytes) {
  State& s = *state_;
  s.md5_digest.update(bytes);
  if (s.crc32_wanted) {
    s.crc32_value = crc32_z(s.crc32_value, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  }
  if (s.crc32c) s.crc32c->update(bytes);
  if (s.crc64) s.crc64->update(bytes);
  if (s.sha1) s.sha1->update(bytes);
  if (s.sha256) s.sha256->update(bytes);
}

void Digests::finish() {
  State& s = *state_;
  if (!s.md5.empty()) return;
  s.md5 = s.md5_digest.finish();
  if (s.crc32_wanted) {
    s.results.emplace_back(ChecksumAlgorithm::kCrc32, big_endian(static_cast<uint32_t>(s.crc32_value)));
  }
  if (s.crc32c) s.results.emplace_back(ChecksumAlgorithm::kCrc32c, big_endian(s.crc32c->value()));
  if (s.crc64) s.results.emplace_back(ChecksumAlgorithm::kCrc64Nvme, big_endian(s.crc64->value()));
  if (s.sha1) s.results.emplace_back(ChecksumAlgorithm::kSha1, s.sha1->finish());
  if (s.sha256) s.results.emplace_back(ChecksumAlgorithm::kSha256, s.sha256->finish());
}

const std::string& Digests::md5() const {
  return state_->md5;
}

std::string Digests::raw(ChecksumAlgorithm algorithm) const {
  for (const auto& [computed, value] : state_->results) {
    if (computed == algorithm) return value;
  }
  return {};
}

std::string composite_checksum(ChecksumAlgorithm algorithm, const std::vector<PartDigest>& parts) {
  Digests whole({algorithm});
  for (const PartDigest& part : parts) whole.update(part.raw);
  whole.finish();
  return to_base64(whole.raw(algorithm)) + "-" + std::to_string(parts.size());
}

std::string full_object_checksum(ChecksumAlgorithm algorithm, const std::vector<PartDigest>& parts) {
  switch (algorithm) {
    case ChecksumAlgorithm::kCrc32:
      return to_base64(combine_all<Crc32, uint32_t>(parts));
    case ChecksumAlgorithm::kCrc32c:
      return to_base64(combine_all<Crc32c, uint32_t>(parts));
    case ChecksumAlgorithm::kCrc64Nvme:
      return to_base64(combine_all<Crc64Nvme, uint64_t>(parts));
    default:
      return {};
  }
}

std::string multipart_etag(const std::vector<std::string>& part_md5s) {
  std::string all;
  all.reserve(part_md5s.size() * 16);
  for (const std::string& one : part_md5s) all += one;
  return to_hex(md5(all)) + "-" + std::to_string(part_md5s.size());
}

std::string md5(std::string_view bytes) {
  return digest_of(EVP_md5(), bytes);
}

}  // namespace fleetward::lake
