#include "test/unit/lake/store_fixture.h"

namespace fleetward::lake {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class ListingTest : public StoreTest {
 protected:
  void fill(const std::vector<std::string>& keys) {
    for (const std::string& key : keys) ASSERT_TRUE(put(key, ""));
  }
  // "key key prefix/ ..."; with "+" at the end if there is more.
  std::string listed(const ListQuery& query) {
    const auto page = store->list("fleet.data", query);
    if (!page) return page.error().message;
    std::string out;
    for (const ObjectSummary& object : page->objects) out += object.key + " ";
    out += "|";
    for (const std::string& prefix : page->common_prefixes) out += " " + prefix;
    last = page->last;
    return out + (page->truncated ? " +" : "");
  }
  std::string last;
};

TEST_F(ListingTest, ByteOrderPrefixesAndDelimiters) {
  fill({"b", "a/2", "a/1", "a", "B", "a.txt", "\xc3\xa9", "a//x", "c/d/e"});
  EXPECT_EQ(listed({}), "B a a.txt a//x a/1 a/2 b c/d/e \xc3\xa9 |");
  EXPECT_EQ(listed({"", "/", "", 1000}), "B a a.txt b \xc3\xa9 | a/ c/");
  EXPECT_EQ(listed({"a/", "/", "", 1000}), "a/1 a/2 | a//");
  EXPECT_EQ(listed({"a", "", "", 1000}), "a a.txt a//x a/1 a/2 |");
  EXPECT_EQ(listed({"c/", "d/", "", 1000}), "| c/d/");
  EXPECT_EQ(listed({"zzz", "", "", 1000}), "|");
}

TEST_F(ListingTest, PagesMeetWithoutGapOrRepeat) {
  fill({"a", "d/1", "d/2", "d/3", "e", "f/1", "g"});
  for (size_t max = 1; max <= 6; ++max) {
    std::string all;
    ListQuery query{"", "/", "", max};
    for (int page = 0; page < 10; ++page) {
      const auto got = store->list("fleet.data", query);
      ASSERT_TRUE(got);
      std::vector<std::string> entries = got->common_prefixes;
      for (const auto& object : got->objects) entries.push_back(object.key);
      EXPECT_LE(entries.size(), max);
      std::sort(entries.begin(), entries.end());
      for (const auto& entry : entries) all += entry + " ";
      if (!got->truncated) break;
      query.after = got->last;
    }
    EXPECT_EQ(all, "a d/ e f/ g ") << max;
  }
  EXPECT_EQ(listed({"", "", "", 0}), "|");
  EXPECT_EQ(listed({"", "", "", 7}), "a d/1 d/2 d/3 e f/1 g |");
  EXPECT_EQ(listed({"", "", "", 6}), "a d/1 d/2 d/3 e f/1 | +");
}

TEST_F(ListingTest, After) {
  fill({"a", "d/1", "d/2", "e"});
  EXPECT_EQ(listed({"", "", "d/1", 10}), "d/2 e |");
  EXPECT_EQ(listed({"", "", "d/", 10}), "d/1 d/2 e |");
  EXPECT_EQ(listed({"", "/", "d/", 10}), "e |");      // a common prefix of this very query
  EXPECT_EQ(listed({"", "/", "d/1", 10}), "e | d/");  // an ordinary key: what follows it is rolled up
  EXPECT_EQ(listed({"d/", "", "a", 10}), "d/1 d/2 |");
  EXPECT_EQ(listed({"d/", "", "z", 10}), "|");
}

TEST_F(ListingTest, UploadsByKeyThenId) {
  std::vector<std::string> ids;
  for (const char* key : {"b", "a", "d/1", "d/2"}) {
    ids.push_back(store->begin_upload("fleet.data", key, {})->id);
  }
  ids.push_back(store->begin_upload("fleet.data", "a", {})->id);
  const auto all = store->list_uploads("fleet.data", {});
  ASSERT_TRUE(all);
  ASSERT_EQ(all->uploads.size(), 5u);
  EXPECT_EQ(all->uploads[0].key, "a");
  EXPECT_LT(all->uploads[0].id, all->uploads[1].id);
  UploadQuery query;
  query.delimiter = "/";
  query.max = 1;
  std::string seen;
  for (int page = 0; page < 10; ++page) {
    const auto got = store->list_uploads("fleet.data", query);
    for (const auto& upload : got->uploads) seen += upload.key + " ";
    for (const auto& prefix : got->common_prefixes) seen += prefix + " ";
    if (!got->truncated) break;
    query.key_after = got->last_key;
    query.upload_after = got->last_upload;
  }
  EXPECT_EQ(seen, "a a b d/ ");
}

}  // namespace
}  // namespace fleetward::lake
