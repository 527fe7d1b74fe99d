#include "registry/fleet_query.h"

#include <fstream>
#include <list>
#include <sstream>

#include <gtest/gtest.h>

namespace fleetward::registry {
namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string part; std::getline(in, part, separator);) out.push_back(part);
  return out;
}

// The things of query_cases.txt, in order of name.
class Fleet {
 public:
  void add(const std::vector<std::string>& words) {
    Member& member = members_[words[1]];
    member.thing.name = words[1];
    member.thing.id = "id-" + words[1];
    for (size_t i = 2; i < words.size(); ++i) {
      const size_t equals = words[i].find('=');
      const std::string name = words[i].substr(0, equals), value = words[i].substr(equals + 1);
      if (name == "type") {
        member.thing.type = value;
      } else if (name == "groups") {
        member.groups = split(value, ',');
      } else if (name == "connected" || name == "disconnected") {
        const auto parts = split(value, ',');
        member.connectivity = {name == "connected", {std::stoll(parts[0])}, parts.size() > 1 ? parts[1] : ""};
      } else {
        member.thing.attributes[name] = value;
      }
    }
  }
  std::string matching(const FleetQuery& query) const {
    std::string out;
    for (const auto& [name, member] : members_) {
      if (query.matches({member.thing, member.groups, &member.connectivity})) out += " " + name;
    }
    return out;
  }
  // Whoever matches has what the query says every match has.
  void expect_required(const FleetQuery& query, const std::string& text) const {
    for (const auto& required : query.required()) expect_one(query, text, required);
  }

 private:
  void expect_one(const FleetQuery& query, const std::string& text,
                  const FleetQuery::Required& required) const {
    for (const auto& [name, member] : members_) {
      if (!query.matches({member.thing, member.groups, &member.connectivity})) continue;
      std::string asked = required.field == query::Field::kThingName         ? "thingName"
                          : required.field == query::Field::kThingId         ? "thingId"
                          : required.field == query::Field::kThingTypeName   ? "thingTypeName"
                          : required.field == query::Field::kThingGroupNames ? "thingGroupNames"
                                                                             : "attributes.";
      for (const char c : required.attribute) asked += std::string("\\") + c;
      asked += ":";
      if (!required.value) asked += "*";
      for (const char c : required.value.value_or("")) asked += std::string("\\") + c;
      const auto alone = FleetQuery::parse(asked);
      ASSERT_TRUE(alone) << asked;
      EXPECT_TRUE((*alone)->matches({member.thing, member.groups, &member.connectivity})) << text << asked;
    }
  }

  struct Member {
    Thing thing;
    std::vector<std::string> groups;
    Connectivity connectivity;
  };
  std::map<std::string, Member> members_;
};

TEST(FleetQuery, Cases) {
  std::ifstream in(FLEETWARD_TEST_DATA "/query_cases.txt");
  ASSERT_TRUE(in);
  Fleet fleet;
  std::string text;
  int queries = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    const std::string verb = line.substr(0, line.find(' '));
    const std::string rest = line.size() > verb.size() ? line.substr(verb.size() + 1) : "";
    if (verb == "thing") {
      fleet.add(split(line, ' '));
    } else if (verb == "query") {
      text = rest;
      ++queries;
    } else {
      const auto query = FleetQuery::parse(text);
      if (verb == "error") {
        ASSERT_FALSE(query) << text;
        EXPECT_EQ(query.error().code, ErrorCode::kInvalidArgument);
        EXPECT_NE(query.error().message.find(rest), std::string::npos)
            << text << ": " << query.error().message;
      } else {
        ASSERT_TRUE(query) << text << ": " << query.error().message;
        EXPECT_EQ(fleet.matching(**query), rest.empty() ? "" : " " + rest) << text;
        fleet.expect_required(**query, text);
      }
    }
  }
  EXPECT_GT(queries, 100);
}

TEST(FleetQuery, ConnectivityThatIsNotIndexedMatchesNothing) {
  const Thing thing{.name = "a", .id = "i"};
  for (const char* text :
       {"connectivity.connected:false", "connectivity.connected:*", "connectivity.timestamp>0"}) {
    EXPECT_FALSE((*FleetQuery::parse(text))->matches({thing, {}, nullptr})) << text;
    EXPECT_TRUE((*FleetQuery::parse(text))->asks_connectivity());
  }
  EXPECT_FALSE((*FleetQuery::parse("thingName:a"))->asks_connectivity());
  EXPECT_TRUE((*FleetQuery::parse("a"))->asks_connectivity());
}

TEST(FleetQuery, LengthIsInCharacters) {
  EXPECT_TRUE(FleetQuery::parse("thingName:" + std::string(kQueryCharactersMax - 10, 'a')));
  EXPECT_FALSE(FleetQuery::parse("thingName:" + std::string(kQueryCharactersMax - 9, 'a')));
  std::string umlauts = "thingName:";
  for (int i = 0; i < 600; ++i) umlauts += "\xc3\xa4";
  EXPECT_TRUE(FleetQuery::parse(umlauts));
  EXPECT_FALSE(FleetQuery::parse(""));
  EXPECT_FALSE(FleetQuery::parse("  \t"));
}

TEST(FleetQuery, RequiredIsWhatIsAndedAtTheTop) {
  const auto required = [](const char* text) {
    std::string out;
    for (const auto& one : (*FleetQuery::parse(text))->required()) {
      out +=
          std::to_string(static_cast<int>(one.field)) + one.attribute + "=" + one.value.value_or("?") + " ";
    }
    return out;
  };
  EXPECT_EQ(required("attributes.temp>75"), "5temp=? ");
  EXPECT_EQ(required("attributes.temp>75 thingTypeName:Pump"), "5temp=? 3=pump ");
  EXPECT_EQ(required("attributes.temp>75 AND (thingTypeName:a OR thingTypeName:b)"), "5temp=? ");
  EXPECT_EQ(required("a (thingTypeName:a (thingName:b))"), "3=a 1=b ");
  EXPECT_EQ(required("thingTypeName:a OR thingTypeName:b"), "");
  EXPECT_EQ(required("NOT thingTypeName:a"), "");
  EXPECT_EQ(required("thingName:a*"), "");
  EXPECT_EQ(required("connectivity.connected:true"), "");
  EXPECT_EQ(required("pump"), "");
}

}  // namespace
}  // namespace fleetward::registry
