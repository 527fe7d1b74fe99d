#include "app/data_directory.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "core/files.h"

namespace fleetward::app {
namespace {

class Directory : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "data_directory_test";
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  void put(const std::string& name, const std::string& text = "x") {
    std::filesystem::create_directories(std::filesystem::path(path_ + "/" + name).parent_path());
    std::ofstream(path_ + "/" + name) << text;
  }
  std::string refusal() {
    const auto opened = DataDirectory::open(path_);
    return opened ? "" : opened.error().message;
  }

  std::string path_;
};

TEST_F(Directory, a_first_start_that_was_killed_is_repeated) {
  put("lock", "");
  put("format.new", "");
  EXPECT_EQ(refusal(), "");
  EXPECT_EQ(*read_file(path_ + "/format"), "3\n");
}

TEST_F(Directory, files_of_somebody_else_are_left_alone) {
  put("letter.txt");
  EXPECT_NE(refusal().find("is not empty and not a data directory"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(path_ + "/format"));
}

TEST_F(Directory, one_that_lost_a_piece_is_refused_by_name) {
  put("format", "3\n");
  put("pki/ca.pem");
  EXPECT_EQ(refusal(), "") << "a first start that did not come to its end";
  put("endpoints.json");
  put("pki/ca.key");
  put("log/CURRENT");
  EXPECT_NE(refusal().find("/state.db is missing"), std::string::npos);
  put("state.db", "");
  EXPECT_NE(refusal().find("/state.db is empty"), std::string::npos);
  put("state.db");
  EXPECT_EQ(refusal(), "");
  std::filesystem::remove(path_ + "/log/CURRENT");
  EXPECT_NE(refusal().find("/log/CURRENT is missing"), std::string::npos);
  EXPECT_TRUE(DataDirectory::open(path_, true)) << "the log may be begun anew, if that is asked for";
  std::filesystem::remove(path_ + "/pki/ca.pem");
  EXPECT_NE(refusal().find("/log/CURRENT is missing"), std::string::npos);
  EXPECT_FALSE(DataDirectory::open(path_, true));
}

TEST_F(Directory, a_directory_is_no_file) {
  const auto text = read_file(path_);
  ASSERT_FALSE(text);
  EXPECT_NE(text.error().message.find("is a directory"), std::string::npos);
}

TEST_F(Directory, formats) {
  put("format", "99\n");
  EXPECT_NE(refusal().find("written by a newer one"), std::string::npos);
  put("format", "1\n");
  EXPECT_NE(refusal().find("has format 1; this Fleetward knows format 3. It was written by an older one"),
            std::string::npos);
  EXPECT_EQ(*read_file(path_ + "/format"), "1\n");
  put("format", "x\n");
  EXPECT_NE(refusal().find("has format x"), std::string::npos);
  put("format", "");
  EXPECT_NE(refusal().find("is empty"), std::string::npos);
}

}  // namespace
}  // namespace fleetward::app
