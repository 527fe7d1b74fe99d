#include "lake/checksum.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/encoding.h"
#include "core/random.h"

namespace fleetward::lake {
namespace {

std::string digest(ChecksumAlgorithm algorithm, std::string_view text) {
  Digests digests({algorithm});
  digests.update(text);
  digests.finish();
  return digests.raw(algorithm);
}

TEST(Checksum, KnownAnswers) {
  // The check values of the CRC catalogue and of FIPS 180.
  EXPECT_EQ(to_hex(digest(ChecksumAlgorithm::kCrc32, "123456789")), "cbf43926");
  EXPECT_EQ(to_hex(digest(ChecksumAlgorithm::kCrc32c, "123456789")), "e3069283");
  EXPECT_EQ(to_hex(digest(ChecksumAlgorithm::kCrc64Nvme, "123456789")), "ae8b14860a799888");
  EXPECT_EQ(to_hex(digest(ChecksumAlgorithm::kSha1, "abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(to_hex(digest(ChecksumAlgorithm::kSha256, "abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(md5("")), "d41d8cd98f00b204e9800998ecf8427e");
}

TEST(Checksum, PiecesOfAnyLengthGiveTheSameAsTheWhole) {
  SeededRandom random(7);
  const std::string text = random.bytes(10'001);
  for (const auto algorithm :
       {ChecksumAlgorithm::kCrc32, ChecksumAlgorithm::kCrc32c, ChecksumAlgorithm::kCrc64Nvme}) {
    Digests digests({algorithm});
    for (size_t at = 0, step = 1; at < text.size(); at += step, step = step * 2 % 37 + 1) {
      digests.update(std::string_view(text).substr(at, step));
    }
    digests.finish();
    EXPECT_EQ(digests.raw(algorithm), digest(algorithm, text)) << to_string(algorithm);
  }
}

TEST(Checksum, FullObjectOfPartsIsTheCrcOfTheWhole) {
  SeededRandom random(11);
  const std::string text = random.bytes(100'000);
  for (const auto algorithm :
       {ChecksumAlgorithm::kCrc32, ChecksumAlgorithm::kCrc32c, ChecksumAlgorithm::kCrc64Nvme}) {
    std::vector<PartDigest> parts;
    size_t at = 0;
    for (const size_t size : {1u, 33'333u, 0u, 50'000u, 16'666u}) {
      parts.push_back({digest(algorithm, std::string_view(text).substr(at, size)), size});
      at += size;
    }
    EXPECT_EQ(full_object_checksum(algorithm, parts), to_base64(digest(algorithm, text)))
        << to_string(algorithm);
  }
}

TEST(Checksum, CompositeAndMultipartEtag) {
  const std::string a = digest(ChecksumAlgorithm::kSha256, "a"), b = digest(ChecksumAlgorithm::kSha256, "b");
  EXPECT_EQ(composite_checksum(ChecksumAlgorithm::kSha256, {{a, 1}, {b, 1}}),
            to_base64(digest(ChecksumAlgorithm::kSha256, a + b)) + "-2");
  EXPECT_EQ(multipart_etag({md5("a"), md5("b")}), to_hex(md5(md5("a") + md5("b"))) + "-2");
}

TEST(Checksum, NamesAndTexts) {
  EXPECT_EQ(parse_checksum_algorithm("crc64nvme"), ChecksumAlgorithm::kCrc64Nvme);
  EXPECT_EQ(parse_checksum_algorithm("XXHASH64"), std::nullopt);
  EXPECT_EQ(parse_checksum_algorithm(""), std::nullopt);
  EXPECT_TRUE(check_digest_text(ChecksumAlgorithm::kCrc32, "yZRlqg=="));
  EXPECT_FALSE(check_digest_text(ChecksumAlgorithm::kCrc32, "yZRlqg"));
  EXPECT_FALSE(check_digest_text(ChecksumAlgorithm::kSha1, "yZRlqg=="));
}

}  // namespace
}  // namespace fleetward::lake
