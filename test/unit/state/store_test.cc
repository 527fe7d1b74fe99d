#include "state/store.h"

#include <csignal>
#include <filesystem>
#include <sys/resource.h>

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

namespace fleetward::state {
namespace {

struct Item {
  std::string text;
};
json::object item_to_json(const Item& item) {
  return {{"text", item.text}};
}
Result<Item> item_from_json(const json::object& o) {
  if (json::find(o, "text") == nullptr) return fail(ErrorCode::kCorrupt, "no text");
  return Item{std::string(json::string_or(o, "text"))};
}

struct Fixture {
  Store store;
  Table<Item> items = store.add_table<Item>({"items", item_to_json, item_from_json});
  Table<Item> others = store.add_table<Item>({"others", item_to_json, item_from_json});

  Status put(std::string_view key, std::string text) {
    return store.transact([&](Transaction& t) -> Status {
      t.put(items, key, Item{std::move(text)});
      return {};
    });
  }
};

class StoreTest : public testing::Test {
 protected:
  StoreTest() {
    std::string name = (std::filesystem::temp_directory_path() / "fleetward-state-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    path_ = directory_ + "/state.db";
  }
  ~StoreTest() override { std::filesystem::remove_all(directory_); }

  void sql(const char* text) {
    sqlite3* handle = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &handle), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(handle, text, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(handle);
    sqlite3_close(handle);
  }

  static constexpr const char* kFormat1 = "DROP TABLE sums; PRAGMA user_version=1";
  std::string directory_;
  std::string path_;
};

TEST(Key, JoinsAndSplits) {
  EXPECT_EQ(key("a", "b"), std::string("a\0b", 3));
  EXPECT_EQ(key("a", "b", "c"), std::string("a\0b\0c", 5));
  EXPECT_EQ(key_tail(key("a", "b", "c")), std::string("b\0c", 3));
  EXPECT_EQ(key_tail("a"), "");
}

TEST_F(StoreTest, SurvivesARestart) {
  {
    Fixture f;
    ASSERT_TRUE(f.store.open(path_));
    ASSERT_TRUE(f.put("b", "2"));
    ASSERT_TRUE(f.put(key("a", "x"), "1"));
    ASSERT_TRUE(f.put("b", "two"));
    ASSERT_TRUE(f.put("c", "3"));
    ASSERT_TRUE(f.store.transact([&](Transaction& t) -> Status {
      t.erase(f.items, "c");
      t.put(f.others, "", Item{"empty key"});
      return {};
    }));
  }
  Fixture f;
  ASSERT_TRUE(f.store.open(path_));
  const auto snapshot = f.store.snapshot();
  const auto& items = snapshot->get(f.items);
  EXPECT_EQ(items.size(), 2u);
  EXPECT_EQ(items.find("b")->text, "two");
  EXPECT_EQ(items.find(key("a", "x"))->text, "1");
  EXPECT_EQ(snapshot->get(f.others).find("")->text, "empty key");
}

TEST_F(StoreTest, FailedChangeWritesNothing) {
  Fixture f;
  ASSERT_TRUE(f.store.open(path_));
  ASSERT_TRUE(f.put("a", "1"));
  const uint64_t version = f.store.snapshot()->version();
  const auto failed = f.store.transact([&](Transaction& t) -> Status {
    t.put(f.items, "a", Item{"2"});
    EXPECT_EQ(t.get(f.items).find("a")->text, "2");  // its own writes are seen
    return fail(ErrorCode::kNotFound, "no");
  });
  EXPECT_EQ(failed.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(f.store.snapshot()->version(), version);
  EXPECT_EQ(f.store.snapshot()->get(f.items).find("a")->text, "1");
}

TEST_F(StoreTest, ThrowingChangeWritesNothing) {
  Fixture f;
  ASSERT_TRUE(f.store.open(path_));
  const auto failed = f.store.transact([&](Transaction& t) -> Status {
    t.put(f.items, "a", Item{"2"});
    throw std::runtime_error("oh");
  });
  EXPECT_EQ(failed.error().code, ErrorCode::kInternal);
  EXPECT_EQ(f.store.snapshot()->get(f.items).size(), 0u);
  EXPECT_TRUE(f.put("a", "works again"));
}

TEST_F(StoreTest, SnapshotsAreIsolatedAndVersionsRise) {
  Fixture f;
  ASSERT_TRUE(f.store.open(":memory:"));
  std::vector<uint64_t> seen;
  f.store.on_change([&](SnapshotPtr snapshot) { seen.push_back(snapshot->version()); });
  const auto before = f.store.snapshot();
  ASSERT_TRUE(f.put("a", "1"));
  ASSERT_TRUE(f.store.transact([](Transaction&) -> Status { return {}; }));  // nothing changed: no version
  ASSERT_TRUE(f.put("a", "2"));
  EXPECT_EQ(before->get(f.items).size(), 0u);
  EXPECT_EQ(seen, (std::vector<uint64_t>{before->version() + 1, before->version() + 2}));
  EXPECT_EQ(f.store.snapshot()->version(), seen.back());
}

TEST_F(StoreTest, MemoryTablesAreInSnapshotsAndNowhereElse) {
  struct WithMemory : Fixture {
    Table<int> counts = store.add_memory_table<int>();
    Table<Item> after = store.add_table<Item>({"after", item_to_json, item_from_json});
  };
  {
    WithMemory f;
    ASSERT_TRUE(f.store.open(path_));
    int heard = 0;
    f.store.on_change([&](const SnapshotPtr&) { ++heard; });
    const auto before = f.store.snapshot();
    const auto count = [&](int to, bool durable, bool fails) {
      return f.store.transact([&](Transaction& t) -> Status {
        t.put(f.counts, "a", to);
        EXPECT_EQ(*t.get(f.counts).find("a"), to);
        if (durable) t.put(f.after, "x", Item{"1"});
        if (fails) return fail(ErrorCode::kNotFound, "no");
        return {};
      });
    };
    ASSERT_TRUE(count(1, false, false));
    EXPECT_EQ(heard, 0);
    EXPECT_EQ(f.store.snapshot()->version(), before->version() + 1);
    EXPECT_EQ(before->get(f.counts).size(), 0u);
    EXPECT_FALSE(count(2, false, true));
    EXPECT_EQ(*f.store.snapshot()->get(f.counts).find("a"), 1);
    ASSERT_TRUE(count(3, true, false));
    EXPECT_EQ(heard, 1);
    ASSERT_TRUE(f.store.transact([&](Transaction& t) -> Status {
      t.erase(f.counts, "a");
      return {};
    }));
    EXPECT_EQ(f.store.snapshot()->get(f.counts).size(), 0u);
    ASSERT_TRUE(count(4, false, false));
  }
  WithMemory f;
  ASSERT_TRUE(f.store.open(path_));
  EXPECT_EQ(f.store.snapshot()->get(f.counts).size(), 0u);
  EXPECT_EQ(f.store.snapshot()->get(f.after).find("x")->text, "1");
}

TEST_F(StoreTest, SecondOpenerGetsConflict) {
  Fixture first;
  ASSERT_TRUE(first.store.open(path_));
  Fixture second;
  const auto opened = second.store.open(path_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kConflict);
  EXPECT_TRUE(first.put("a", "1"));
}

TEST_F(StoreTest, NewerFormatIsRefused) {
  {
    Fixture f;
    ASSERT_TRUE(f.store.open(path_));
  }
  sql("PRAGMA user_version=3");
  Fixture f;
  const auto opened = f.store.open(path_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(opened.error().message.find("format 3"), std::string::npos);
}

TEST_F(StoreTest, CorruptDocumentsAreNamed) {
  struct Case {
    const char* document;
    const char* reason;
  };
  for (const Case& c : {Case{"{\"text\":", "JSON"}, Case{"[]", "not a JSON object"}, Case{"{}", "no text"}}) {
    std::filesystem::remove(path_);
    std::filesystem::remove(path_ + ".acknowledged");
    {
      Fixture f;
      ASSERT_TRUE(f.store.open(path_));
    }
    sql(kFormat1);
    sql((std::string("INSERT INTO documents VALUES('items', x'610062', '") + c.document + "')").c_str());
    Fixture f;
    const auto opened = f.store.open(path_);
    ASSERT_FALSE(opened) << c.document;
    EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(opened.error().message.find("table items, key 'a/b'"), std::string::npos);
    EXPECT_NE(opened.error().message.find(c.reason), std::string::npos) << opened.error().message;
  }
}

TEST_F(StoreTest, AForeignFileIsCorrupt) {
  FILE* file = fopen(path_.c_str(), "w");
  for (int i = 0; i < 1000; ++i) fputs("not a database ", file);
  fclose(file);
  Fixture f;
  const auto opened = f.store.open(path_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt) << opened.error().message;
}

TEST_F(StoreTest, OversizeDocumentsAreRefused) {
  Fixture f;
  ASSERT_TRUE(f.store.open(path_));
  const auto put = f.put("a", std::string(kDocumentBytesMax, 'x'));
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(f.store.snapshot()->get(f.items).size(), 0u);
}

TEST_F(StoreTest, AFullDiskIsUnavailableAndNothingChanges) {
  Fixture f;
  ASSERT_TRUE(f.store.open(path_));
  ASSERT_TRUE(f.put("a", "1"));
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto put = f.put("b", std::string(100'000, 'x'));
  setrlimit(RLIMIT_FSIZE, &old);
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, ErrorCode::kUnavailable) << put.error().message;
  EXPECT_EQ(f.store.snapshot()->get(f.items).size(), 1u);
  EXPECT_TRUE(f.put("b", "room again"));
}

// Also those that a format without sums left.
TEST_F(StoreTest, ManyRowsLoad) {
  {
    Fixture f;
    ASSERT_TRUE(f.store.open(path_));
  }
  sql(kFormat1);
  sql("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 199999)"
      " INSERT INTO documents SELECT 'items', CAST(printf('thing-%07d', i) AS BLOB), '{\"text\":\"t\"}' FROM "
      "n");
  for (int start = 0; start < 2; ++start) {
    Fixture f;
    ASSERT_TRUE(f.store.open(path_));
    EXPECT_EQ(f.store.snapshot()->get(f.items).size(), 200'000u);
    EXPECT_NE(f.store.snapshot()->get(f.items).find("thing-0199999"), nullptr);
  }
}

}  // namespace
}  // namespace fleetward::state
