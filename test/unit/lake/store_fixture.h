#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lake/local_store.h"

namespace fleetward::lake {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "lake_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A store of small bounds in a directory that dies with the test.
class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    options.directory = directory.path() + "/lake";
    options.inline_bytes_max = 16;
    options.free_bytes_min = 0;
    options.limits.part_bytes_min = 20;
    reopen();
    ASSERT_TRUE(store->create_bucket("fleet.data", "eu-west-1", {}));
  }

  void reopen() {
    store.reset();
    auto opened = open_local_store(options, clock, random, logger, metrics);
    ASSERT_TRUE(opened) << opened.error().message;
    store = std::move(*opened);
  }

  std::unique_ptr<ContentWriter> content(std::string_view bytes,
                                         std::vector<ChecksumAlgorithm> algorithms = {}) {
    auto writer = store->begin_content(algorithms, bytes.size());
    EXPECT_TRUE(writer && (*writer)->append(bytes));
    return std::move(*writer);
  }
  StoreResult<ObjectInfo> put(const std::string& key, std::string_view bytes, PutRequest request = {}) {
    return store->put("fleet.data", key, content(bytes), std::move(request));
  }
  // The object's bytes, or the reason in angle brackets.
  std::string get(const std::string& key) {
    auto reader = store->open("fleet.data", key);
    if (!reader) return "<" + reader.error().message + ">";
    return drain(**reader);
  }
  static std::string drain(ObjectReader& reader, uint64_t offset = 0) {
    std::string out;
    for (;;) {
      auto piece = reader.read(offset + out.size(), 7);
      if (!piece) return "<" + piece.error().message + ">";
      if (piece->empty()) return out;
      out += *piece;
    }
  }
  size_t files() const {
    size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(options.directory + "/contents")) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }

  TemporaryDirectory directory;
  LocalStoreOptions options;
  ManualClock clock;
  SeededRandom random{1};
  Logger logger = Logger::none();
  Metrics metrics;
  std::unique_ptr<ObjectStore> store;
};

}  // namespace fleetward::lake
