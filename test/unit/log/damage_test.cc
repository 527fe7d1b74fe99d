// Every file of a log that was written and closed, damaged in every way: it is refused, or a read says so, or
// nothing acknowledged is missing. Never is something missing without a word.
#include <filesystem>
#include <fstream>
#include <functional>

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/files.h"
#include "log/embedded_log.h"

namespace fleetward::log {
namespace {

const Partition kP{"reports", 0};
constexpr size_t kAll = size_t{1} << 30;

struct Damage {
  const char* name;
  std::function<void(const std::string& path)> apply;
};

void garble(const std::string& path, double where, size_t count) {
  const auto size = std::filesystem::file_size(path);
  const auto at = static_cast<std::uintmax_t>(static_cast<double>(size) * where);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  std::string bytes(std::min<size_t>(count, size - at), '\0');
  file.seekg(static_cast<std::streamoff>(at));
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  for (char& byte : bytes) byte = static_cast<char>(byte ^ 0x5a);
  file.seekp(static_cast<std::streamoff>(at));
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

void cut(const std::string& path, double to) {
  const auto size = std::filesystem::file_size(path);
  std::filesystem::resize_file(path, static_cast<std::uintmax_t>(static_cast<double>(size) * to));
}

const Damage kDamages[] = {
    {"removed", [](const std::string& p) { std::filesystem::remove(p); }},
    {"emptied", [](const std::string& p) { cut(p, 0); }},
    {"cut at a third", [](const std::string& p) { cut(p, 0.33); }},
    {"cut before the end", [](const std::string& p) { cut(p, 0.95); }},
    {"first bytes", [](const std::string& p) { garble(p, 0, 8); }},
    {"one byte at a quarter", [](const std::string& p) { garble(p, 0.25, 1); }},
    {"a page in the middle", [](const std::string& p) { garble(p, 0.5, 4096); }},
    {"one byte near the end", [](const std::string& p) { garble(p, 0.97, 1); }},
};

class LogDamage : public testing::Test {
 protected:
  LogDamage() {
    std::string name = (std::filesystem::temp_directory_path() / "fleetward-log-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    whole_ = directory_ + "/whole";
    copy_ = directory_ + "/copy";
    // Twice, so that there is a table file and a WAL.
    for (const int from : {0, 40}) {
      auto log = open(whole_);
      EXPECT_TRUE(log);
      for (int i = from; i < from + 40; ++i) {
        Batch batch;
        const std::string value = std::to_string(i) + std::string(3000, static_cast<char>('a' + i % 26));
        batch.append(kP, value, {1});
        batch.put("state/" + std::to_string(100 + i), value);
        batch.commit("consumer", kP, static_cast<Offset>(i));
        EXPECT_TRUE((*log)->write(std::move(batch)));
        records_.push_back(value);
      }
    }
  }
  ~LogDamage() override { std::filesystem::remove_all(directory_); }

  Result<std::unique_ptr<Log>> open(const std::string& path, bool accept_loss = false) {
    LogOptions options;
    options.directory = path;
    options.accept_loss = accept_loss;
    return open_embedded_log(options, logger_, metrics_);
  }
  // "refused: ...", "a read says: ...", "whole" or "MISSING".
  std::string outcome(const std::string& path) {
    auto log = open(path);
    if (!log) return "refused: " + log.error().message;
    const auto records = (*log)->read(kP, 0, kAll);
    if (!records) return "a read says: " + records.error().message;
    const auto state = (*log)->scan("state/", "state0", 1000);
    if (!state) return "a read says: " + state.error().message;
    bool same = records->size() == records_.size() && state->size() == records_.size() &&
                (*log)->committed("consumer", kP) == records_.size() - 1;
    for (size_t i = 0; same && i < records_.size(); ++i) {
      same = (*records)[i].value == records_[i] && (*state)[i].value == records_[i];
    }
    return same ? "whole" : "MISSING";
  }
  std::vector<std::string> files() const {
    std::vector<std::string> out;
    for (const auto& file : std::filesystem::directory_iterator(whole_)) {
      out.push_back(file.path().filename().string());
    }
    return out;
  }
  void damage(const std::string& file, const Damage& how) {
    std::filesystem::remove_all(copy_);
    std::filesystem::copy(whole_, copy_, std::filesystem::copy_options::recursive);
    how.apply(copy_ + "/" + file);
  }

  Logger logger_ = Logger::none();
  Metrics metrics_;
  std::string directory_, whole_, copy_;
  std::vector<std::string> records_;
};

TEST_F(LogDamage, IsNeverPassedOver) {
  std::filesystem::copy(whole_, copy_, std::filesystem::copy_options::recursive);
  ASSERT_EQ(outcome(copy_), "whole");
  size_t tables = 0, wals = 0, refused = 0;
  for (const std::string& file : files()) {
    tables += file.ends_with(".sst") ? 1 : 0;
    wals += file.ends_with(".log") ? 1 : 0;
    for (const Damage& how : kDamages) {
      damage(file, how);
      const std::string result = outcome(copy_);
      EXPECT_NE(result, "MISSING") << file << " " << how.name;
      if (result != "whole") ++refused;
      if (getenv("FLEETWARD_SHOW") != nullptr) std::cout << file << " " << how.name << ": " << result << "\n";
    }
  }
  EXPECT_GE(tables, 3U);
  EXPECT_GE(wals, 1U);
  EXPECT_GE(refused, 3U * std::size(kDamages));
}

TEST_F(LogDamage, ALossIsSaidAndCanBeAccepted) {
  for (const std::string& file : files()) {
    if (!file.ends_with(".log")) continue;
    damage(file, kDamages[6]);
    for (int attempt = 0; attempt < 2; ++attempt) {
      const auto refused = open(copy_);
      ASSERT_FALSE(refused) << file;
      EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
      EXPECT_NE(refused.error().message.find("80 writes were acknowledged and "), std::string::npos)
          << refused.error().message;
    }
    ASSERT_TRUE(open(copy_, true));
    const auto again = open(copy_);
    ASSERT_TRUE(again) << again.error().message;
    const auto records = (*again)->read(kP, 0, kAll);
    ASSERT_TRUE(records);
    EXPECT_GE(records->size(), 40U);
    EXPECT_LT(records->size(), 80U);
    for (size_t i = 0; i < records->size(); ++i) EXPECT_EQ((*records)[i].value, records_[i]);
  }
}

TEST_F(LogDamage, ALogThatWasEmptiedIsNotBegunAnew) {
  std::filesystem::copy(whole_, copy_, std::filesystem::copy_options::recursive);
  for (const std::string& file : files()) {
    if (file != "acknowledged") std::filesystem::remove(copy_ + "/" + file);
  }
  const auto refused = open(copy_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt) << refused.error().message;
}

}  // namespace
}  // namespace fleetward::log
