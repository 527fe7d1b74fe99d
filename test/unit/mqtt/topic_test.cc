#include "mqtt/topic.h"

#include <gtest/gtest.h>

namespace fleetward::mqtt {
namespace {

TEST(Topic, Names) {
  EXPECT_EQ(check_topic_name("a/b"), TopicFault::kNone);
  EXPECT_EQ(check_topic_name("/"), TopicFault::kNone);
  EXPECT_EQ(check_topic_name(""), TopicFault::kEmpty);
  EXPECT_EQ(check_topic_name("a/+"), TopicFault::kWildcard);
  EXPECT_EQ(check_topic_name("a#"), TopicFault::kWildcard);
  EXPECT_EQ(check_topic_name("1/2/3/4/5/6/7/8", TopicLimits::aws()), TopicFault::kNone);
  EXPECT_EQ(check_topic_name("1/2/3/4/5/6/7/8/9", TopicLimits::aws()), TopicFault::kTooDeep);
  EXPECT_EQ(check_topic_name(std::string(257, 'x'), TopicLimits::aws()), TopicFault::kTooLong);
  EXPECT_EQ(check_topic_name("$aws/rules/r/1/2/3/4/5/6/7/8", TopicLimits::aws()), TopicFault::kNone);
  EXPECT_EQ(check_topic_name("$aws/rules/r/" + std::string(256, 'x'), TopicLimits::aws()), TopicFault::kNone);
  EXPECT_EQ(check_topic_name("$aws/rules/r/1/2/3/4/5/6/7/8/9", TopicLimits::aws()), TopicFault::kTooDeep);
}

TEST(Topic, Filters) {
  for (const char* good :
       {"#", "+", "/", "a/#", "+/+/#", "a/+/b", "$share/g/a/#", "$share/g//", "$sys/#", "a//b"}) {
    EXPECT_EQ(check_topic_filter(good), TopicFault::kNone) << good;
  }
  for (const char* bad : {"a#", "#/a", "a/#/b", "##", "$share/g/a#"}) {
    EXPECT_EQ(check_topic_filter(bad), TopicFault::kBadHash) << bad;
  }
  for (const char* bad : {"a+", "+a/b", "a/b+/c", "++"})
    EXPECT_EQ(check_topic_filter(bad), TopicFault::kBadPlus) << bad;
  for (const char* bad :
       {"$share", "$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/g#/a"}) {
    EXPECT_EQ(check_topic_filter(bad), TopicFault::kBadShare) << bad;
  }
  EXPECT_EQ(check_topic_filter(""), TopicFault::kEmpty);
  EXPECT_EQ(check_topic_filter("$share/g/1/2/3/4/5/6/7/8", TopicLimits::aws()), TopicFault::kNone);
  EXPECT_EQ(check_topic_filter("1/2/3/4/5/6/7/8/#", TopicLimits::aws()), TopicFault::kTooDeep);
}

struct MatchCase {
  const char* filter;
  const char* topic;
  bool standard;
  bool aws;
};

TEST(Topic, Matching) {
  const MatchCase cases[] = {
      {"a/b", "a/b", true, true},
      {"a/b", "a/c", false, false},
      {"a/b", "a/b/c", false, false},
      {"a/b/c", "a/b", false, false},
      {"#", "a", true, true},
      {"#", "a/b/c", true, true},
      {"#", "/", true, true},
      {"#", "$aws/x", false, false},
      {"+/x", "$aws/x", false, false},
      {"$aws/#", "$aws/x", true, true},
      {"$aws/+", "$aws/x", true, true},
      {"+", "a", true, true},
      {"+", "a/b", false, false},
      {"a/+", "a/b", true, true},
      {"a/+", "a/", true, false},
      {"+/+", "/a", true, false},
      {"/+", "/a", true, true},
      {"+", "/a", false, false},
      {"sensor/#", "sensor", true, false},
      {"sensor/#", "sensor/", true, true},
      {"sensor/#", "sensor/x/y", true, true},
      {"a/+/#", "a/b", true, false},
      {"a/+/c", "a/b/c", true, true},
      {"A", "a", false, false},
      {"a/b", "a/b/", false, false},
      {"a/#", "ab", false, false},
  };
  for (const MatchCase& c : cases) {
    EXPECT_EQ(matches(c.filter, c.topic), c.standard) << c.filter << " ~ " << c.topic;
    EXPECT_EQ(matches(c.filter, c.topic, MatchOptions::aws()), c.aws)
        << c.filter << " ~ " << c.topic << " (aws)";
  }
}

TEST(Topic, Prefixes) {
  const auto shared = parse_share("$share/group/a/#");
  ASSERT_TRUE(shared);
  EXPECT_EQ(shared->group, "group");
  EXPECT_EQ(shared->filter, "a/#");
  EXPECT_FALSE(parse_share("a/b"));
  const auto ingest = parse_basic_ingest("$aws/rules/export/ddmetric/cellular");
  ASSERT_TRUE(ingest);
  EXPECT_EQ(ingest->rule, "export");
  EXPECT_EQ(ingest->topic, "ddmetric/cellular");
  ASSERT_TRUE(parse_basic_ingest("$aws/rules/export"));
  EXPECT_EQ(parse_basic_ingest("$aws/rules/export")->topic, "");
  EXPECT_FALSE(parse_basic_ingest("$aws/rules/"));
  EXPECT_FALSE(parse_basic_ingest("x/$aws/rules/r/t"));
}

TEST(Topic, Levels) {
  std::string seen;
  for (Levels l("a//b/"); !l.done(); l.next()) seen += "[" + std::string(l.level()) + "]";
  EXPECT_EQ(seen, "[a][][b][]");
}

}  // namespace
}  // namespace fleetward::mqtt
