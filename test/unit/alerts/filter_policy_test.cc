#include "alerts/filter_policy.h"

#include <gtest/gtest.h>

namespace fleetward::alerts {
namespace {

struct Case {
  const char* policy;
  const char* values;
  bool matches;
};

TEST(FilterPolicy, Matches) {
  const Case cases[] = {
      {R"({"a":["x"]})", R"({"a":"x"})", true},
      {R"({"a":["x"]})", R"({"a":"X"})", false},
      {R"({"a":["x"]})", R"({})", false},
      {R"({"a":["x","y"]})", R"({"a":"y"})", true},
      {R"({"a":["x"],"b":["y"]})", R"({"a":"x"})", false},
      {R"({"a":["x"]})", R"({"a":["q","x"]})", true},
      {R"({"a":[5]})", R"({"a":5.0})", true},
      {R"({"a":[5]})", R"({"a":"5"})", false},
      {R"({"a":[true]})", R"({"a":true})", true},
      {R"({"a":[null]})", R"({"a":null})", true},
      {R"({"a":[{"prefix":"ab"}]})", R"({"a":"abc"})", true},
      {R"({"a":[{"prefix":"ab"}]})", R"({"a":"ba"})", false},
      {R"({"a":[{"suffix":"bc"}]})", R"({"a":"abc"})", true},
      {R"({"a":[{"equals-ignore-case":"ABC"}]})", R"({"a":"aBc"})", true},
      {R"({"a":[{"wildcard":"a*c*e"}]})", R"({"a":"abcde"})", true},
      {R"({"a":[{"wildcard":"a*c*e"}]})", R"({"a":"abcd"})", false},
      {R"({"a":[{"cidr":"10.0.0.0/24"}]})", R"({"a":"10.0.0.77"})", true},
      {R"({"a":[{"cidr":"10.0.0.0/24"}]})", R"({"a":"10.0.1.77"})", false},
      {R"({"a":[{"cidr":"2001:db8::/33"}]})", R"({"a":"2001:db8:7fff::1"})", true},
      {R"({"a":[{"cidr":"2001:db8::/33"}]})", R"({"a":"2001:db8:8000::1"})", false},
      {R"({"a":[{"exists":true}]})", R"({"a":"x"})", true},
      {R"({"a":[{"exists":true}]})", R"({})", false},
      {R"({"a":[{"exists":false}]})", R"({})", true},
      {R"({"a":[{"exists":false}]})", R"({"a":"x"})", false},
      {R"({"a":[{"numeric":[">=",0,"<",10]}]})", R"({"a":0})", true},
      {R"({"a":[{"numeric":[">=",0,"<",10]}]})", R"({"a":10})", false},
      {R"({"a":[{"numeric":["=",2.5]}]})", R"({"a":2.5})", true},
      {R"({"a":[{"numeric":["=",2.5]}]})", R"({"a":"2.5"})", false},
      {R"({"a":[{"anything-but":"x"}]})", R"({"a":"y"})", true},
      {R"({"a":[{"anything-but":"x"}]})", R"({"a":"x"})", false},
      {R"({"a":[{"anything-but":"x"}]})", R"({})", false},
      {R"({"a":[{"anything-but":["x",5]}]})", R"({"a":5})", false},
      {R"({"a":[{"anything-but":["x",5]}]})", R"({"a":6})", true},
      {R"({"a":[{"anything-but":{"prefix":"ab"}}]})", R"({"a":"abc"})", false},
      {R"({"a":[{"anything-but":{"prefix":"ab"}}]})", R"({"a":"xbc"})", true},
      {R"({"a":[{"anything-but":["x"]}]})", R"({"a":["y","x"]})", false},
      {R"({"$or":[{"a":["x"]},{"b":["y"]}]})", R"({"b":"y"})", true},
      {R"({"$or":[{"a":["x"]},{"b":["y"]}]})", R"({"b":"z"})", false},
      {R"({"c":["z"],"$or":[{"a":["x"]},{"b":["y"]}]})", R"({"b":"y"})", false},
      {R"({"a":{"b":["x"]}})", R"({"a":{"b":"x"}})", true},
      {R"({"a":{"b":["x"]}})", R"({"a":"x"})", false},
      {R"({"a":{"b":["x"]}})", R"({"a":[{"b":"q"},{"b":"x"}]})", true},
      {R"({"a":{"b":[{"exists":false}]}})", R"({})", true},
      {R"({})", R"({"a":1})", true},
  };
  for (const Case& c : cases) {
    const auto policy = FilterPolicy::parse(c.policy, true);
    ASSERT_TRUE(policy) << c.policy << " " << policy.error().message;
    EXPECT_EQ((*policy)->matches(json::parse(c.values).value().get_object()), c.matches)
        << c.policy << " " << c.values;
  }
}

TEST(FilterPolicy, Refuses) {
  for (const char* text :
       {"", "[]", R"({"a":"x"})", R"({"a":[]})", R"({"a":[["x"]]})", R"({"a":{"b":["x"]}})",
        R"({"a":[{"like":"x"}]})", R"({"a":[{"prefix":5}]})", R"({"a":[{"prefix":"a","suffix":"b"}]})",
        R"({"a":[{"numeric":["~",5]}]})", R"({"a":[{"numeric":["="]}]})", R"({"a":[{"numeric":["=",1e10]}]})",
        R"({"a":[{"exists":"yes"}]})", R"({"a":[{"cidr":"10.0.0.0/40"}]})", R"({"a":[{"wildcard":"a**"}]})",
        R"({"a":[{"anything-but":[]}]})", R"({"$or":[{"a":["x"]}]})",
        R"({"a":[1],"b":[1],"c":[1],"d":[1],"e":[1],"f":[1]})",
        R"({"a":[1,2,3,4,5,6],"b":[1,2,3,4,5,6],"c":[1,2,3,4,5]})"}) {
    EXPECT_FALSE(FilterPolicy::parse(text, false)) << text;
  }
}

TEST(FilterPolicy, ReadsAttributes) {
  const auto values = attributes_object(json::parse(R"({
      "s":{"DataType":"String","StringValue":"5"}, "n":{"DataType":"Number","StringValue":"5"},
      "l":{"DataType":"String.Array","StringValue":"[\"a\",1,null]"},
      "b":{"DataType":"Binary","BinaryValue":"AAAA"}})")
                                            .value()
                                            .get_object());
  EXPECT_EQ(json::serialize(values), R"({"s":"5","n":5,"l":["a",1,null]})");
}

}  // namespace
}  // namespace fleetward::alerts
