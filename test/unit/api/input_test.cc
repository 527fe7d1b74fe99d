#include "api/input.h"

#include <gtest/gtest.h>

namespace fleetward::api {
namespace {

json::object object_of(std::string_view text) {
  return json::parse(text).value().get_object();
}

TEST(Input, ReadsWhatIsThere) {
  const auto args = object_of(
      R"({"thingName":"t1","n":5,"flag":true,"when":1.5,"list":["a","b"],"map":{"k":"v"},
          "tags":[{"Key":"a","Value":"b"}],"nested":{"x":"y"},"nothing":null})");
  Input in(args, kIotStyle);
  EXPECT_EQ(in.string("thingName", {.min = 1, .max = 128, .chars = &kNameChars}), "t1");
  EXPECT_EQ(in.integer("n", 1, 10), 5);
  EXPECT_TRUE(in.boolean("flag"));
  EXPECT_EQ(in.timestamp("when").ms, 1500);
  EXPECT_EQ(in.strings("list", 1, 5).size(), 2u);
  EXPECT_EQ(in.string_map("map", 3).at("k"), "v");
  EXPECT_EQ(in.tags().at(0).value, "b");
  EXPECT_EQ(in.object("nested").string("x"), "y");
  EXPECT_FALSE(in.string_opt("nothing"));
  EXPECT_TRUE(in.finish());
}

struct Refusal {
  const char* arguments;
  const char* message;
};

TEST(Input, NamesTheMember) {
  const Refusal cases[] = {
      {R"({})",
       "1 validation error detected: Value null at 'thingName' failed to satisfy constraint: Member must not "
       "be null"},
      {R"({"thingName":""})",
       "1 validation error detected: Value '' at 'thingName' failed to satisfy constraint: Member must have "
       "length greater than or equal to 1"},
      {R"({"thingName":"a b"})",
       "1 validation error detected: Value 'a b' at 'thingName' failed to satisfy constraint: Member must "
       "satisfy regular expression pattern: [a-zA-Z0-9:_-]+"},
      {R"({"thingName":7})",
       "1 validation error detected: Value '7' at 'thingName' failed to satisfy constraint: Member must be a "
       "string"},
      {R"({"thingName":"a","behaviors":[{"n":1},{"n":0}]})",
       "1 validation error detected: Value '0' at 'behaviors[1].n' failed to satisfy constraint: Member must "
       "have value greater than or equal to 1"},
      {R"({"thingName":"a","behaviors":[{"n":1,"extra":true}]})",
       "Unknown or unsupported member: behaviors[0].extra"},
      {R"({"thingName":"a","future":1})", "future: this member is not supported by this release"},
      {R"({"thingName":"a","kind":"z"})",
       "1 validation error detected: Value 'z' at 'kind' failed to satisfy constraint: Member must satisfy "
       "enum value set: [x, y]"},
  };
  for (const auto& c : cases) {
    const auto args = object_of(c.arguments);
    Input in(args, kIotStyle);
    in.string("thingName", {.min = 1, .max = 128, .chars = &kNameChars});
    for (Input& behavior : in.objects_opt("behaviors", 10)) behavior.integer("n", 1, 9);
    in.unsupported("future");
    in.one_of_opt("kind", {"x", "y"});
    const auto done = in.finish();
    ASSERT_FALSE(done) << c.arguments;
    EXPECT_EQ(done.error().message, c.message);
    EXPECT_EQ(done.error().name, "InvalidRequestException");
    EXPECT_EQ(done.error().status, 400);
  }
}

TEST(Input, NamesEveryUnknownMember) {
  const auto args = object_of(R"({"name":"a","x/y":1,"nothing":null,"list":[{"n":1},{"n":2,"m~":3}],)"
                              R"("map":{"k/1":{"v":"a","w":1}}})");
  Input in(args, kIotStyle);
  in.string("name");
  for (Input& each : in.objects("list", 0, 9)) each.integer("n", 0, 9);
  for (auto& [key, each] : in.object_map("map", 9)) each.string("v");
  const auto done = in.finish();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "Unknown or unsupported member: x/y");
  EXPECT_EQ(done.error().unknown_members, (std::vector<std::string>{"/x~1y", "/list/1/m~0", "/map/k~11/w"}));
}

TEST(Input, ShapesOfWhatAnotherRoomReads) {
  static constexpr Shape kCriteria[] = {{"op"}, {"value"}};
  static constexpr Shape kBehavior[] = {{"name"}, {"criteria", kCriteria}};
  static constexpr Shape kTarget[] = {{"arn"}};
  static constexpr Shape kTargets[] = {{"*", kTarget}};
  static constexpr Shape kShape[] = {{"behaviors", kBehavior}, {"targets", kTargets}, {"absent"}};
  const struct {
    const char* arguments;
    const char* unknown;
  } cases[] = {
      {R"({"behaviors":[{"name":"a","criteria":{"op":"x","value":{"any":[{"thing":1}]}}}]})", ""},
      {R"({"behaviors":["not an object",7,{"name":1}],"targets":[]})", ""},  // of which the other room speaks
      {R"({"behaviors":{"name":1}})", ""},
      {R"({"behaviors":[{"name":"a"},{"criteria":{"op":"x","vale":1}}]})", "behaviors[1].criteria.vale"},
      {R"({"behaviors":[{"nmae":"a"}]})", "behaviors[0].nmae"},
      {R"({"targets":{"SNS":{"arn":"a"},"MQTT":{"arn":"a","qos":1}}})", "targets.MQTT.qos"},
      {R"({"absent":{"x":1},"targets":null,"other":1})", "other"},
  };
  for (const auto& c : cases) {
    const auto args = object_of(c.arguments);
    Input in(args, kIotStyle);
    in.known(kShape);
    const auto done = in.finish();
    EXPECT_EQ(done ? "" : done.error().message,
              *c.unknown == 0 ? "" : "Unknown or unsupported member: " + std::string(c.unknown));
  }
}

TEST(Input, QueryScalarsAreText) {
  const auto args = object_of(R"({"MaxItems":"5","Flag":"true","Tags":""})");
  Input in(args, kIamStyle);
  EXPECT_EQ(in.integer("MaxItems", 1, 1000), 5);
  EXPECT_TRUE(in.boolean("Flag"));
  EXPECT_TRUE(in.tags("Tags").empty());
  EXPECT_TRUE(in.finish());
  Input strict(args, kIotStyle);
  strict.integer("MaxItems", 1, 1000);
  EXPECT_FALSE(strict.ok());
}

TEST(Input, Iso8601) {
  EXPECT_EQ(parse_iso8601("2026-11-24T07:00:00Z")->ms, 1795503600000);
  EXPECT_EQ(parse_iso8601("2026-11-24T07:00:00.250+01:00")->ms, 1795500000250);
  EXPECT_FALSE(parse_iso8601("2026-11-24"));
  EXPECT_FALSE(parse_iso8601("2026-13-24T07:00:00Z"));
}

TEST(Page, TokensAreBoundToTheOperation) {
  const std::string token = encode_page_token("ListThings", "thing-7");
  EXPECT_EQ(decode_page_token("ListThings", token), "thing-7");
  EXPECT_FALSE(decode_page_token("ListPolicies", token));
  EXPECT_FALSE(decode_page_token("ListThings", "bm9uc2Vuc2U="));
  EXPECT_FALSE(decode_page_token("ListThings", ""));
}

TEST(Page, WalksAMap) {
  state::Map<int> map;
  for (int i = 0; i < 7; ++i) map.set("k" + std::to_string(i), std::make_shared<const int>(i));
  Page page{"List", "", 3};
  std::vector<int> seen;
  int pages = 0;
  for (;;) {
    const std::string token = list_page(map, "k", page, [&](const auto& entry) {
      if (*entry.value % 2 != 0) return false;
      seen.push_back(*entry.value);
      return true;
    });
    ++pages;
    if (token.empty()) break;
    page.after = decode_page_token("List", token).value();
  }
  EXPECT_EQ(seen, (std::vector<int>{0, 2, 4, 6}));
  EXPECT_EQ(pages, 2);
}

}  // namespace
}  // namespace fleetward::api
