#include <csignal>
#include <fstream>
#include <sys/resource.h>
#include <thread>

#include "core/encoding.h"
#include "test/unit/lake/store_fixture.h"

namespace fleetward::lake {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kLarge(1000, 'x');  // in a file

TEST_F(StoreTest, KeepsWhatWasPut) {
  PutRequest request;
  request.attributes.content_type = "text/plain";
  request.attributes.user = {{"unit",
                              "d\xc3\xa9"
                              "Bm"},
                             {"raw", "\xff"}};
  request.attributes.tags = {{"a", "1"}};
  const auto info = put("a/b", "hello", request);
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->etag, "5d41402abc4b2a76b9719d911017c592");
  ASSERT_TRUE(put("large", kLarge));
  ASSERT_TRUE(put("empty", ""));
  reopen();
  EXPECT_EQ(get("a/b"), "hello");
  EXPECT_EQ(get("large"), kLarge);
  EXPECT_EQ(get("empty"), "");
  const auto head = store->head("fleet.data", "a/b");
  ASSERT_TRUE(head);
  EXPECT_EQ(head->size, 5u);
  EXPECT_EQ(head->modified, clock.now());
  EXPECT_EQ(head->attributes.content_type, "text/plain");
  EXPECT_EQ(head->attributes.user, request.attributes.user);
  EXPECT_EQ(head->attributes.tags, request.attributes.tags);
  EXPECT_EQ(files(), 1u);  // only the large one
}

TEST_F(StoreTest, ReadersKeepTheBytesTheyOpened) {
  for (const std::string& first : {std::string("small"), kLarge}) {
    ASSERT_TRUE(put("k", first));
    auto overwritten = store->open("fleet.data", "k");
    ASSERT_TRUE(put("k", "second, which is more than sixteen bytes"));
    auto deleted = store->open("fleet.data", "k");
    ASSERT_TRUE(*store->erase("fleet.data", "k"));
    EXPECT_EQ(drain(**overwritten), first);
    EXPECT_EQ(drain(**deleted), "second, which is more than sixteen bytes");
    EXPECT_THAT(get("k"), HasSubstr("does not exist"));
  }
  EXPECT_EQ(files(), 0u);  // gone with their last readers
}

TEST_F(StoreTest, DigestsAreCheckedBeforeAnythingIsKept) {
  ASSERT_TRUE(put("k", "old"));
  const auto reason = [&](ExpectedDigests expected, std::vector<ChecksumAlgorithm> algorithms) {
    PutRequest request;
    request.expected = std::move(expected);
    auto result = store->put("fleet.data", "k", content(kLarge, algorithms), std::move(request));
    return result ? std::optional<Reason>() : result.error().reason;
  };
  const auto crc = ChecksumAlgorithm::kCrc32;
  EXPECT_EQ(reason({to_base64(md5("other")), {}}, {}), Reason::kBadDigest);
  EXPECT_EQ(reason({"nonsense", {}}, {}), Reason::kInvalidDigest);
  EXPECT_EQ(reason({"", {crc, ChecksumType::kFullObject, "AAAAAA=="}}, {crc}), Reason::kBadDigest);
  EXPECT_EQ(reason({"", {crc, ChecksumType::kFullObject, "AAAA"}}, {crc}), Reason::kInvalidRequest);
  EXPECT_EQ(get("k"), "old");
  EXPECT_EQ(files(), 0u);
  EXPECT_EQ(reason({to_base64(md5(kLarge)), {}}, {}), std::nullopt);
  EXPECT_EQ(get("k"), kLarge);
}

TEST_F(StoreTest, ConditionsAndChangeAreOneStep) {
  PutRequest only_new;
  only_new.conditions.if_none_match = {{"*"}};
  EXPECT_TRUE(put("k", "1", only_new));
  EXPECT_EQ(put("k", "2", only_new).error().reason, Reason::kPreconditionFailed);
  PutRequest replace;
  replace.conditions.if_match = {{to_hex(md5("1"))}};
  EXPECT_TRUE(put("k", "2", replace));
  EXPECT_EQ(put("k", "3", replace).error().reason, Reason::kPreconditionFailed);
  EXPECT_EQ(put("absent", "3", replace).error().reason, Reason::kNoSuchKey);
  EXPECT_EQ(get("k"), "2");

  int winners = 0;
  std::vector<std::thread> threads;
  std::mutex mutex;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      if (!put("race", kLarge, only_new)) return;
      const std::lock_guard lock(mutex);
      ++winners;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(winners, 1);
  EXPECT_EQ(files(), 1u);
}

TEST_F(StoreTest, ReadConditionsFollowTheRfc) {
  ObjectInfo info;
  info.etag = "e";
  info.modified = {10'500};
  const auto result = [&](Conditions conditions) {
    auto ok = check_read_conditions(conditions, info);
    return ok ? std::optional<Reason>() : ok.error().reason;
  };
  EXPECT_EQ(result({}), std::nullopt);
  EXPECT_EQ(result({{{"x", "e"}}, {}, {}, {}}), std::nullopt);
  EXPECT_EQ(result({{{"x"}}, {}, {}, {}}), Reason::kPreconditionFailed);
  EXPECT_EQ(result({{}, {{"e"}}, {}, {}}), Reason::kNotModified);
  EXPECT_EQ(result({{}, {}, Timestamp{10'000}, {}}), Reason::kNotModified);  // the same second
  EXPECT_EQ(result({{}, {}, Timestamp{9'000}, {}}), std::nullopt);
  EXPECT_EQ(result({{}, {}, {}, Timestamp{9'000}}), Reason::kPreconditionFailed);
  EXPECT_EQ(result({{{"e"}}, {}, {}, Timestamp{9'000}}), std::nullopt);  // If-Match is stronger
  EXPECT_EQ(result({{}, {{"x"}}, Timestamp{20'000}, {}}), std::nullopt);
}

TEST_F(StoreTest, BoundsOfKeysAndMetadata) {
  EXPECT_EQ(put(std::string(1025, 'k'), "").error().reason, Reason::kKeyTooLong);
  EXPECT_TRUE(put(std::string(1024, 'k'), ""));
  EXPECT_EQ(put("\xff", "").error().reason, Reason::kInvalidArgument);
  PutRequest request;
  request.attributes.user = {{"n", std::string(2048, 'v')}};
  EXPECT_EQ(put("k", "", request).error().reason, Reason::kMetadataTooLarge);
  request.attributes.user.clear();
  request.attributes.tags.resize(11, {"t", ""});
  EXPECT_EQ(put("k", "", request).error().reason, Reason::kInvalidTag);
  EXPECT_EQ(store->begin_content({}, options.limits.put_bytes_max + 1).error().reason,
            Reason::kEntityTooLarge);
}

TEST_F(StoreTest, EraseMany) {
  for (const char* key : {"a", "b", "c"}) ASSERT_TRUE(put(key, kLarge));
  EXPECT_EQ(*store->erase_many("fleet.data", {"a", "c", "nothing"}), 2u);
  EXPECT_EQ(files(), 1u);
  EXPECT_EQ(get("b"), kLarge);
  EXPECT_FALSE(*store->erase("fleet.data", "a"));
}

TEST_F(StoreTest, WhatACrashLeftIsCleanedAtStart) {
  ASSERT_TRUE(put("k", kLarge));
  // A body on its way when the process died: a file that the index does not name.
  auto writer = content(kLarge);
  const std::string snapshot = directory.path() + "/after_crash";
  std::filesystem::copy(options.directory, snapshot, std::filesystem::copy_options::recursive);
  writer.reset();
  options.directory = snapshot;
  EXPECT_EQ(files(), 2u);
  reopen();
  EXPECT_EQ(files(), 1u);
  EXPECT_EQ(get("k"), kLarge);
  ASSERT_TRUE(put("k", kLarge + "2"));  // no id is used twice
  EXPECT_EQ(get("k"), kLarge + "2");
}

TEST_F(StoreTest, GarbageThatOutlivedTheProcessIsRemoved) {
  ASSERT_TRUE(put("k", kLarge));
  const std::string snapshot = directory.path() + "/after_crash";
  auto reader = store->open("fleet.data", "k");  // keeps the file after the delete
  ASSERT_TRUE(*store->erase("fleet.data", "k"));
  std::filesystem::copy(options.directory, snapshot, std::filesystem::copy_options::recursive);
  options.directory = snapshot;
  EXPECT_EQ(files(), 1u);
  reader = refuse(Reason::kNoSuchKey, "");
  reopen();
  EXPECT_EQ(files(), 0u);
}

TEST_F(StoreTest, OneProcessAtATime) {
  auto second = open_local_store(options, clock, random, logger, metrics);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
}

TEST_F(StoreTest, ADiskThatRefusesLeavesNoPartialObject) {
  ASSERT_TRUE(put("k", "old"));
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  // The index's journal may grow to 8 MiB, a content of 16 MiB may not be written.
  rlimit small = before;
  small.rlim_cur = 8 << 20;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  auto writer = store->begin_content({}, std::nullopt);
  StoreStatus appended;
  const std::string piece(1 << 20, 'p');
  for (int i = 0; i < 16 && appended; ++i) appended = (*writer)->append(piece);
  writer->reset();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_FALSE(appended);
  EXPECT_EQ(appended.error().reason, Reason::kUnavailable);
  EXPECT_EQ(files(), 0u);
  EXPECT_EQ(get("k"), "old");
}

TEST_F(StoreTest, AFullDiskIsSaidBeforeTheBodyComes) {
  options.free_bytes_min = uint64_t{1} << 62;
  reopen();
  auto writer = store->begin_content({}, 10);
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().reason, Reason::kUnavailable);
  EXPECT_THAT(writer.error().message, HasSubstr("No space left"));
}

}  // namespace
}  // namespace fleetward::lake
