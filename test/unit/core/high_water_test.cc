#include "core/high_water.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/files.h"

namespace fleetward {
namespace {

class HighWaterTest : public testing::Test {
 protected:
  HighWaterTest() {
    std::string name = (std::filesystem::temp_directory_path() / "fleetward-core-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    path_ = directory_ + "/acknowledged";
  }
  ~HighWaterTest() override { std::filesystem::remove_all(directory_); }

  std::string directory_, path_;
};

TEST_F(HighWaterTest, SaysWhatWasRaisedLast) {
  {
    HighWater mark;
    ASSERT_TRUE(mark.read(path_));
    EXPECT_FALSE(mark.value());
    ASSERT_TRUE(mark.open(7));
    for (const uint64_t value : {8ULL, 10ULL, 18'446'744'073'709'551'615ULL}) mark.raise(value);
  }
  HighWater again;
  ASSERT_TRUE(again.read(path_));
  EXPECT_EQ(again.value(), 18'446'744'073'709'551'615ULL);
  ASSERT_TRUE(again.open(3));
  HighWater lower;
  ASSERT_TRUE(lower.read(path_));
  EXPECT_EQ(lower.value(), 3U);
}

TEST_F(HighWaterTest, ADamagedFileIsNoSmallerNumber) {
  {
    HighWater mark;
    ASSERT_TRUE(mark.read(path_));
    ASSERT_TRUE(mark.open(123456));
  }
  const std::string good = read_file(path_).value();
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char byte : {'\0', '0', '9', '\xff'}) {
      std::string bad = good;
      if (bad[i] == byte) continue;
      bad[i] = byte;
      ASSERT_TRUE(write_file(path_, bad, 0600));
      HighWater mark;
      const Status read = mark.read(path_);
      ASSERT_FALSE(read) << i;
      EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
    }
    ASSERT_TRUE(write_file(path_, good.substr(0, i), 0600));
    HighWater mark;
    EXPECT_FALSE(mark.read(path_)) << i;
  }
}

}  // namespace
}  // namespace fleetward
