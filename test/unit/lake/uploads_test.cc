#include "core/encoding.h"
#include "test/unit/lake/store_fixture.h"

namespace fleetward::lake {
namespace {

const std::string kFirst(40, 'a');
const std::string kSecond(50, 'b');

class UploadTest : public StoreTest {
 protected:
  std::string begin(UploadRequest request = {}) {
    return store->begin_upload("fleet.data", "k", std::move(request))->id;
  }
  std::string part(const std::string& upload, int number, std::string_view bytes,
                   std::vector<ChecksumAlgorithm> algorithms = {}) {
    auto done = store->put_part("fleet.data", "k", upload, number, content(bytes, algorithms), {});
    return done ? done->etag : "<" + done.error().message + ">";
  }
  StoreResult<ObjectInfo> complete(const std::string& upload, std::vector<CompletedPart> parts) {
    CompleteRequest request;
    request.parts = std::move(parts);
    return store->complete_upload("fleet.data", "k", upload, std::move(request));
  }
};

TEST_F(UploadTest, PartsBecomeOneObject) {
  UploadRequest request;
  request.attributes.content_type = "text/csv";
  request.checksum_algorithm = ChecksumAlgorithm::kCrc32;
  request.checksum_type = ChecksumType::kFullObject;
  const std::string id = begin(request);
  const std::vector<ChecksumAlgorithm> crc = {ChecksumAlgorithm::kCrc32};
  part(id, 7, "an earlier second part that is replaced", crc);
  const std::string e1 = part(id, 2, kFirst, crc), e2 = part(id, 7, kSecond, crc), e3 = part(id, 9, "c", crc);
  part(id, 10, "never named, so it is dropped with the upload", crc);
  EXPECT_EQ(get("k"), "<The specified key does not exist.>");
  const auto info = complete(id, {{2, e1, {}}, {7, e2, {}}, {9, e3, {}}});
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->etag, multipart_etag({md5(kFirst), md5(kSecond), md5("c")}));
  EXPECT_EQ(info->parts, 3);
  Digests whole({ChecksumAlgorithm::kCrc32});
  whole.update(kFirst + kSecond + "c");
  whole.finish();
  EXPECT_EQ(info->checksum.value, to_base64(whole.raw(ChecksumAlgorithm::kCrc32)));
  reopen();
  EXPECT_EQ(get("k"), kFirst + kSecond + "c");
  EXPECT_EQ(store->head("fleet.data", "k")->attributes.content_type, "text/csv");
  EXPECT_EQ(files(), 2u);  // the third lives in the index
  auto reader = store->open("fleet.data", "k");
  EXPECT_EQ((*reader)->part(7)->offset, 40u);
  EXPECT_EQ((*reader)->part(1).error().reason, Reason::kPartNumber);
  EXPECT_EQ(drain(**reader, 85), "bbbbbc");
  EXPECT_EQ(store->object_parts("fleet.data", "k", 2, 10)->size(), 2u);
  // The answer got lost and the client asks again.
  EXPECT_EQ(complete(id, {{2, e1, {}}})->etag, info->etag);
  ASSERT_TRUE(put("k", ""));
  EXPECT_EQ(complete(id, {{2, e1, {}}}).error().reason, Reason::kNoSuchUpload);
  EXPECT_EQ(drain(**reader), kFirst + kSecond + "c");
  reader = refuse(Reason::kNoSuchKey, "");
  EXPECT_EQ(files(), 0u);
}

TEST_F(UploadTest, WhatCompleteRefuses) {
  const std::string id = begin();
  const std::string e1 = part(id, 1, kFirst), e2 = part(id, 2, "small"), e3 = part(id, 3, kSecond);
  const auto reason = [&](std::vector<CompletedPart> parts) { return complete(id, parts).error().reason; };
  EXPECT_EQ(reason({{3, e3, {}}, {1, e1, {}}}), Reason::kInvalidPartOrder);
  EXPECT_EQ(reason({{1, e1, {}}, {1, e1, {}}}), Reason::kInvalidPartOrder);
  EXPECT_EQ(reason({{1, e3, {}}}), Reason::kInvalidPart);
  EXPECT_EQ(reason({{4, e3, {}}}), Reason::kInvalidPart);
  EXPECT_EQ(reason({{1, e1, {}}, {2, e2, {}}, {3, e3, {}}}), Reason::kEntityTooSmall);
  EXPECT_EQ(store->complete_upload("fleet.data", "other", id, {}).error().reason, Reason::kNoSuchUpload);
  EXPECT_EQ(store->list_parts("fleet.data", "k", id, 0, 2)->truncated, true);
  EXPECT_EQ(store->list_parts("fleet.data", "k", id, 2, 2)->parts.at(0).number, 3);
  EXPECT_TRUE(complete(id, {{1, e1, {}}, {2, e2, {}}}));
  EXPECT_EQ(get("k"), kFirst + "small");
}

TEST_F(UploadTest, AbortLeavesNothing) {
  const std::string id = begin();
  part(id, 1, kFirst);
  EXPECT_EQ(files(), 1u);
  ASSERT_TRUE(store->abort_upload("fleet.data", "k", id));
  EXPECT_EQ(files(), 0u);
  EXPECT_EQ(store->abort_upload("fleet.data", "k", id).error().reason, Reason::kNoSuchUpload);
  EXPECT_EQ(part(id, 1, kFirst).substr(0, 4), "<The");
  EXPECT_EQ(files(), 0u);
  part(begin(), 1, kFirst);
  EXPECT_TRUE(store->delete_bucket("fleet.data"));
  EXPECT_EQ(files(), 0u);
}

TEST_F(UploadTest, CompositeChecksumsAreCheckedAtTheEnd) {
  UploadRequest request;
  request.checksum_algorithm = ChecksumAlgorithm::kSha256;
  const std::string id = begin(request);
  const std::string e1 = part(id, 1, kFirst, {ChecksumAlgorithm::kSha256});
  CompleteRequest end;
  end.parts = {{1, e1, {}}};
  end.expected = {ChecksumAlgorithm::kSha256, ChecksumType::kComposite, "AAAA-1"};
  EXPECT_EQ(store->complete_upload("fleet.data", "k", id, end).error().reason, Reason::kBadDigest);
  const Digest256 digest = sha256(kFirst);
  end.expected.value =
      composite_checksum(ChecksumAlgorithm::kSha256, {{std::string(digest.begin(), digest.end()), 40}});
  const auto info = store->complete_upload("fleet.data", "k", id, end);
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->checksum, end.expected);
}

}  // namespace
}  // namespace fleetward::lake
