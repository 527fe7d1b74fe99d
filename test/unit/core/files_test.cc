#include "core/files.h"

#include <filesystem>
#include <sys/stat.h>

#include <gtest/gtest.h>

namespace fleetward {
namespace {

class Files : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "fleetward-files-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  static unsigned mode_of(const std::string& path) {
    struct stat info{};
    EXPECT_EQ(::stat(path.c_str(), &info), 0);
    return info.st_mode & 07777;
  }
  std::string directory_;
};

TEST_F(Files, AreReplacedWholeWithTheirMode) {
  const std::string path = directory_ + "/key";
  ASSERT_TRUE(write_file(path, std::string(100'000, 'a'), 0644));
  ASSERT_TRUE(write_file(path, std::string("b\0c", 3), 0600));
  EXPECT_EQ(read_file(path).value(), std::string("b\0c", 3));
  EXPECT_EQ(mode_of(path), 0600u);
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
}

TEST_F(Files, SayWhyNot) {
  EXPECT_EQ(read_file(directory_ + "/none").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(write_file(directory_ + "/none/file", "x", 0644).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(write_file(directory_ + "/file", "x", 0644));
  EXPECT_EQ(make_directory(directory_ + "/file/below", 0700).error().code, ErrorCode::kUnavailable);
}

TEST_F(Files, ADirectoryKeepsItsPermissions) {
  const std::string path = directory_ + "/a/b";
  ASSERT_TRUE(make_directory(path, 0700));
  EXPECT_EQ(mode_of(path), 0700u);
  ASSERT_TRUE(make_directory(path, 0755));
  EXPECT_EQ(mode_of(path), 0700u);
}

}  // namespace
}  // namespace fleetward
