#include "test/unit/lake/store_fixture.h"

namespace fleetward::lake {
namespace {

TEST(BucketName, Rules) {
  for (const char* good : {"abc", "123456789012.dd.metric.export", "a-b.c9", "1.2.3"}) {
    EXPECT_TRUE(check_bucket_name(good)) << good;
  }
  for (const char* bad : {"", "ab", "Abc", "a_b", "-ab", "ab-", ".ab", "ab.", "a..b", "a.-b", "a-.b",
                          "192.168.0.1", "xn--abc", "sthree-a", "abc-s3alias", "abc--ol-s3", "a/b",
                          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}) {
    EXPECT_FALSE(check_bucket_name(bad)) << bad;
  }
}

TEST_F(StoreTest, BucketsLiveAndDie) {
  EXPECT_EQ(store->create_bucket("fleet.data", "eu-west-1", {}).error().reason, Reason::kBucketAlreadyOwned);
  ASSERT_TRUE(store->create_bucket("a-bucket", "eu-west-1", {{"k", "v"}}));
  const auto all = store->buckets("", "", 10);
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].name, "a-bucket");
  EXPECT_EQ((*all)[1].region, "eu-west-1");
  EXPECT_EQ(store->buckets("fl", "", 10)->size(), 1u);
  EXPECT_EQ(store->buckets("", "a-bucket", 10)->size(), 1u);
  EXPECT_EQ(*store->bucket_tags("a-bucket"), (std::vector<Tag>{{"k", "v"}}));

  ASSERT_TRUE(put("k", "v"));
  EXPECT_EQ(store->delete_bucket("fleet.data").error().reason, Reason::kBucketNotEmpty);
  ASSERT_TRUE(store->erase("fleet.data", "k"));
  EXPECT_TRUE(store->delete_bucket("fleet.data"));
  EXPECT_EQ(store->bucket("fleet.data").error().reason, Reason::kNoSuchBucket);
  EXPECT_EQ(put("k", "v").error().reason, Reason::kNoSuchBucket);
}

TEST_F(StoreTest, ABucketsBound) {
  options.limits.buckets_max = 2;
  reopen();
  EXPECT_TRUE(store->create_bucket("second", "eu-west-1", {}));
  EXPECT_EQ(store->create_bucket("third", "eu-west-1", {}).error().reason, Reason::kTooMany);
}

TEST_F(StoreTest, PoliciesAreCheckedAndKept) {
  EXPECT_EQ(store->bucket_policy("fleet.data").error().reason, Reason::kNoSuchBucketPolicy);
  EXPECT_EQ(store->set_bucket_policy("fleet.data", "{}").error().reason, Reason::kMalformedPolicy);
  const std::string text =
      R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",)"
      R"("Resource":"arn:aws:s3:::fleet.data/*"}]})";
  ASSERT_TRUE(store->set_bucket_policy("fleet.data", text));
  reopen();
  const auto policy = store->bucket_policy("fleet.data");
  ASSERT_TRUE(policy) << policy.error().message;
  EXPECT_EQ((*policy)->text(), text);
  ASSERT_TRUE(store->set_bucket_policy("fleet.data", ""));
  EXPECT_EQ(store->bucket_policy("fleet.data").error().reason, Reason::kNoSuchBucketPolicy);
}

}  // namespace
}  // namespace fleetward::lake
