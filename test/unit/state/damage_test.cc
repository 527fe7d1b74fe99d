// Every file of a control store, as a killed process leaves them, damaged in every way: it is refused, or all
// documents are there. Never is one missing or changed without a word.
#include <filesystem>
#include <fstream>
#include <map>

#include <gtest/gtest.h>
#include <unistd.h>

#include "state/database.h"

namespace fleetward::state {
namespace {

constexpr std::uintmax_t kPage = 4096;

using Documents = std::map<std::string, std::string>;

class StateDamage : public testing::Test {
 protected:
  StateDamage() {
    std::string name = (std::filesystem::temp_directory_path() / "fleetward-state-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    whole_ = directory_ + "/whole";
    copy_ = directory_ + "/copy";
    std::filesystem::create_directories(directory_ + "/live");
    const std::string live = directory_ + "/live/state.db";
    {
      Database database;
      EXPECT_TRUE(database.open(live));
      for (int i = 0; i < 10; ++i) write(database, i * 20, 20, "first");
      EXPECT_TRUE(database.write([](const auto&, const Database::Erase& erase) -> Status {
        for (int i = 50; i < 90; ++i) {
          if (auto ok = erase("things", key(i)); !ok) return ok;
        }
        return {};
      }));
      for (int i = 50; i < 90; ++i) documents_.erase(key(i));
    }
    Database database;
    EXPECT_TRUE(database.open(live));
    for (int i = 0; i < 5; ++i) write(database, 150 + i * 20, 20, "second");  // these are in the WAL
    std::filesystem::copy(directory_ + "/live", whole_);
  }
  ~StateDamage() override { std::filesystem::remove_all(directory_); }

  static std::string key(int i) { return "thing-" + std::to_string(1000 + i); }
  void write(Database& database, int from, int count, const std::string& text) {
    EXPECT_TRUE(database.write([&](const Database::Put& put, const auto&) -> Status {
      for (int i = from; i < from + count; ++i) {
        documents_[key(i)] = text + std::to_string(i) + std::string(400, 'x');
        if (auto ok = put("things", key(i), documents_[key(i)]); !ok) return ok;
      }
      return {};
    }));
  }
  // "refused: ...", "whole" or "MISSING".
  std::string outcome() {
    Database database;
    const Status opened = database.open(copy_ + "/state.db");
    if (!opened) return "refused: " + opened.error().message;
    Documents found;
    const Status loaded = database.load("things", [&](std::string k, std::string_view text) -> Status {
      found[k] = text;
      return {};
    });
    if (!loaded) return "refused: " + loaded.error().message;
    return found == documents_ ? "whole" : "MISSING";
  }
  void fresh_copy() {
    std::filesystem::remove_all(copy_);
    std::filesystem::copy(whole_, copy_);
  }
  void overwrite(const std::string& file, std::uintmax_t at, const std::string& bytes) {
    std::fstream out(copy_ + "/" + file, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(static_cast<std::streamoff>(at));
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  std::uintmax_t size_of(const std::string& file) { return std::filesystem::file_size(whole_ + "/" + file); }

  std::string directory_, whole_, copy_;
  Documents documents_;
};

TEST_F(StateDamage, PagesOfTheFileAreNeverPassedOver) {
  fresh_copy();
  ASSERT_EQ(outcome(), "whole");
  const std::uintmax_t pages = size_of("state.db") / kPage;
  ASSERT_GT(pages, 15U);
  std::ifstream in(whole_ + "/state.db", std::ios::binary);
  std::string bytes(size_of("state.db"), '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  size_t refused = 0;
  for (std::uintmax_t page = 0; page < pages; ++page) {
    const std::string other = bytes.substr((page == pages - 1 ? 2 : pages - 1) * kPage, kPage);
    const std::string damages[] = {std::string(kPage, '\0'), std::string(kPage, '\x5a'), other};
    for (const std::string& damage : damages) {
      fresh_copy();
      overwrite("state.db", page * kPage, damage);
      const std::string result = outcome();
      EXPECT_NE(result, "MISSING") << "page " << page;
      refused += result != "whole" ? 1 : 0;
    }
    for (const std::uintmax_t at : {1U, 2000U}) {
      fresh_copy();
      overwrite("state.db", page * kPage + at,
                std::string(1, static_cast<char>(bytes[page * kPage + at] ^ 1)));
      EXPECT_NE(outcome(), "MISSING") << "page " << page << " byte " << at;
    }
  }
  EXPECT_GT(refused, pages);
}

TEST_F(StateDamage, TheJournalIsNeverPassedOver) {
  const std::uintmax_t size = size_of("state.db-wal");
  ASSERT_GT(size, 5 * kPage);
  for (const double where : {0.0, 0.1, 0.5, 0.9, 0.999}) {
    const auto at = static_cast<std::uintmax_t>(static_cast<double>(size) * where);
    fresh_copy();
    overwrite("state.db-wal", at, "damaged");
    EXPECT_EQ(outcome().substr(0, 7), "refused") << "at " << at;
    fresh_copy();
    std::filesystem::resize_file(copy_ + "/state.db-wal", at);
    EXPECT_EQ(outcome().substr(0, 7), "refused") << "cut to " << at;
  }
  fresh_copy();
  std::filesystem::remove(copy_ + "/state.db-wal");
  EXPECT_EQ(
      outcome(),
      "refused: control state: 16 writes were acknowledged and 11 are there: files were damaged, removed "
      "or put back");
}

TEST_F(StateDamage, AMissingFileIsNotBegunAnew) {
  for (const char* file : {"state.db", "state.db.acknowledged"}) {
    fresh_copy();
    std::filesystem::remove(copy_ + "/" + file);
    EXPECT_EQ(outcome().substr(0, 7), "refused") << file;
  }
}

TEST_F(StateDamage, ALossIsSaidAndCanBeAccepted) {
  fresh_copy();
  std::filesystem::remove(copy_ + "/state.db-wal");
  std::vector<std::string> lost;
  {
    Database database;
    ASSERT_TRUE(database.open(copy_ + "/state.db", [&](const std::string& what) { lost.push_back(what); }));
  }
  ASSERT_EQ(lost.size(), 1U);
  EXPECT_EQ(outcome(), "MISSING") << "what was accepted is missing, but no longer refused";
  // A document that somebody changed behind our back.
  fresh_copy();
  {
    std::ifstream in(whole_ + "/state.db", std::ios::binary);
    std::string bytes(size_of("state.db"), '\0');
    in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    const size_t at = bytes.find("first120");
    ASSERT_NE(at, std::string::npos);
    overwrite("state.db", at, "F");
  }
  EXPECT_EQ(
      outcome(),
      "refused: control state: table things has 210 documents, of 210 that were written, or some of them "
      "were changed");
  lost.clear();
  {
    Database database;
    ASSERT_TRUE(database.open(copy_ + "/state.db", [&](const std::string& what) { lost.push_back(what); }));
    ASSERT_TRUE(database.load("things", [](std::string, std::string_view) -> Status { return {}; }));
  }
  EXPECT_EQ(lost.size(), 1U);
  EXPECT_EQ(outcome(), "MISSING");
}

}  // namespace
}  // namespace fleetward::state
