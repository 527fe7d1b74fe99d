#include "pipeline/counted_topics.h"

#include "test/unit/pipeline/detect_fixture.h"

namespace fleetward::pipeline {
namespace {

class TopicsInUseTest : public DetectFixture {
 public:
  void put_dimension(const std::string& name, std::vector<std::string> values) {
    change(
        [&](state::Transaction& t) { t.put(tables_.dimensions, name, Dimension{name, values, "", {}, {}}); });
  }
  // "name+-[filters] ..." of what is to be counted now.
  std::string in_use() {
    last_ = topics_.of(store_.snapshot());
    if (last_ == nullptr) return "nothing";
    std::string out;
    for (const auto& dimension : last_->dimensions) {
      out += dimension.name + (dimension.in ? "+" : "") + (dimension.not_in ? "-" : "");
      for (const std::string& filter : dimension.filters) out += " " + filter;
      out += ";";
    }
    return out;
  }
  static std::string profile(const std::string& name, const std::string& dimension, const char* op) {
    return R"({"securityProfileName":")" + name +
           R"(","behaviors":[{"name":"b","metric":"aws:num-messages-sent",
      "metricDimension":{"dimensionName":")" +
           dimension + R"(","operator":")" + op + R"("}}]})";
  }

  TopicsInUse topics_{tables_};
  broker::CountedTopicsPtr last_;
};

TEST_F(TopicsInUseTest, WhatProfilesUse) {
  EXPECT_EQ(in_use(), "nothing");
  put_dimension("a", {"x", "y/${iot:ClientId}"});
  put_dimension("b", {"z"});
  EXPECT_EQ(in_use(), "nothing") << "used by nobody";
  put_profile(profile("p1", "a", "IN"));
  EXPECT_EQ(in_use(), "a+ x y/${iot:ClientId};");
  put_profile(profile("p2", "a", "NOT_IN"));
  put_profile(profile("p3", "b", "NOT_IN"));
  EXPECT_EQ(in_use(), "a+- x y/${iot:ClientId};b- z;");
  // What changes nothing of it answers the same pointer.
  const auto before = last_;
  put_profile(profile("p4", "b", "NOT_IN"));
  put_thing("pump");
  in_use();
  EXPECT_EQ(last_, before);
  put_dimension("b", {"other"});
  EXPECT_EQ(in_use(), "a+- x y/${iot:ClientId};b- other;");
  change([&](state::Transaction& t) {
    for (const char* name : {"p1", "p2", "p3", "p4"}) t.erase(tables_.profiles, name);
  });
  EXPECT_EQ(in_use(), "nothing");
}

TEST_F(TopicsInUseTest, AnOlderSnapshotTakesNothingBack) {
  const auto old = store_.snapshot();
  put_dimension("a", {"x"});
  put_profile(profile("p", "a", "IN"));
  const auto now = topics_.of(store_.snapshot());
  ASSERT_NE(now, nullptr);
  EXPECT_EQ(topics_.of(old), now);
}

}  // namespace
}  // namespace fleetward::pipeline
