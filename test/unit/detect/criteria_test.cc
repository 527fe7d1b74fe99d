// The ten operators over all kinds of values (criteria_cases.txt), and what criteria may hold.
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "detect/profile.h"

namespace fleetward::detect {
namespace {

const AccountLookup kAccount{[](std::string_view name) -> std::optional<ValueKind> {
                               if (name == "num") return ValueKind::kNumber;
                               if (name == "nums") return ValueKind::kNumbers;
                               if (name == "names") return ValueKind::kStrings;
                               if (name == "ips") return ValueKind::kCidrs;
                               return std::nullopt;
                             },
                             [](std::string_view) { return false; }};

// A data point that owns what its view shows.
struct Point {
  Value value;
  std::vector<std::string_view> texts;

  static Point parse(ValueKind kind, std::string_view text) {
    Point out;
    out.value.kind = kind;
    const json::value document = json::parse(text).value();
    const auto number = [](const json::value& v) { return v.to_number<double>(); };
    if (kind == ValueKind::kCount) out.value.count = document.to_number<uint64_t>();
    if (kind == ValueKind::kNumber) out.value.number = number(document);
    if (!document.is_array()) return out;
    for (const json::value& element : document.get_array()) {
      if (kind == ValueKind::kPorts) out.value.ports.push_back(element.to_number<uint16_t>());
      if (kind == ValueKind::kNumbers) out.value.numbers.push_back(number(element));
      if (kind == ValueKind::kStrings) out.value.strings.emplace_back(element.as_string());
      if (kind != ValueKind::kCidrs) continue;
      EXPECT_TRUE(
          IpAddress::parse(std::string_view(element.as_string()), out.value.addresses.emplace_back()));
    }
    return out;
  }
  ValueView view() {
    ValueView out;
    out.kind = value.kind;
    out.count = value.count;
    out.number = value.number;
    out.addresses = value.addresses;
    out.ports = value.ports;
    out.numbers = value.numbers;
    texts.assign(value.strings.begin(), value.strings.end());
    out.strings = texts;
    return out;
  }
};

std::string trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return std::string(text);
}
std::vector<std::string> split(const std::string& line, char at) {
  std::vector<std::string> out;
  std::istringstream in(line);
  for (std::string part; std::getline(in, part, at);) out.push_back(trimmed(part));
  return out;
}

TEST(Criteria, Cases) {
  std::ifstream file(FLEETWARD_TEST_DATA "/criteria_cases.txt");
  size_t cases = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    SCOPED_TRACE(line);
    auto parts = split(line, '|');
    parts.resize(4);
    const size_t space = parts[1].find(' ');
    json::object behavior{{"name", "b"}, {"metric", parts[0]}};
    const MetricInfo* builtin = find_builtin(parts[0]);
    const ValueKind kind = builtin != nullptr ? builtin->kind : *kAccount.custom_metric(parts[0]);
    behavior["criteria"] =
        json::object{{"comparisonOperator", parts[1].substr(0, space)},
                     {"value", json::object{{to_string(kind), json::parse(parts[1].substr(space)).value()}}}};
    const auto parsed = Behavior::parse(behavior, kAccount);
    ASSERT_TRUE(parsed) << parsed.error().message;
    for (const size_t column : {2, 3}) {
      for (const std::string& text : split(parts[column], ' ')) {
        if (text.empty()) continue;
        Point point = Point::parse(kind, text);
        EXPECT_EQ(parsed->criteria->conforms(point.view()), column == 2) << text;
        ++cases;
      }
    }
  }
  EXPECT_GT(cases, 150U);
}

struct Refused {
  const char *metric, *criteria, *message;
};

TEST(Criteria, RefusalsNameTheMember) {
  const Refused cases[] = {
      {"aws:num-disconnects", R"("comparisonOperator":"less-than")", "criteria.value is required"},
      {"aws:num-disconnects", R"("value":{"count":1})", "criteria.comparisonOperator is required"},
      {"aws:num-disconnects", R"("comparisonOperator":"less-than","value":{"number":1})",
       "criteria.value must hold exactly the member 'count'"},
      {"aws:num-disconnects", R"("comparisonOperator":"less-than","value":{"count":1,"number":1})",
       "criteria.value must hold exactly the member 'count'"},
      {"aws:num-disconnects", R"("comparisonOperator":"less-than","value":{"count":"1"})",
       "criteria.value.count must be a number"},
      {"aws:num-disconnects", R"("comparisonOperator":"less-than","value":{"count":1e300})",
       "criteria.value.count must be a whole number from 0"},
      {"num", R"("comparisonOperator":"less-than","value":{"number":true})",
       "criteria.value.number must be a number"},
      {"nums", R"("comparisonOperator":"in-set","value":{"numbers":[1,"2"]})",
       "criteria.value.numbers.2 must be a number"},
      {"nums", R"("comparisonOperator":"in-set","value":{"numbers":1})",
       "criteria.value.numbers must be a list"},
      {"names", R"("comparisonOperator":"in-set","value":{"strings":["a",1]})",
       "criteria.value.strings.2 must be a string"},
      {"ips", R"("comparisonOperator":"in-cidr-set","value":{"cidrs":["10.0.0.0/8","10.0.0.0/33"]})",
       "criteria.value.cidrs.2 is not an address or a CIDR: 10.0.0.0/33"},
      {"ips", R"("comparisonOperator":"in-cidr-set","value":{"cidrs":["::/129"]})",
       "criteria.value.cidrs.1 is not an address or a CIDR: ::/129"},
      {"ips", R"("comparisonOperator":"in-cidr-set","value":{"cidrs":["fe80::1%eth0"]})",
       "criteria.value.cidrs.1 is not an address or a CIDR: fe80::1%eth0"},
      {"aws:listening-tcp-ports", R"("comparisonOperator":"in-port-set","value":{"ports":[1,-1]})",
       "criteria.value.ports.2 must be a whole number from 0 to 65535"},
      {"aws:listening-tcp-ports", R"("comparisonOperator":"in-port-set","value":{"ports":[1.5]})",
       "criteria.value.ports.1 must be a whole number from 0 to 65535"},
      {"aws:listening-tcp-ports", R"("comparisonOperator":"less-than","value":{"ports":[1]})",
       "criteria.comparisonOperator less-than cannot be used with the metric aws:listening-tcp-ports"},
      {"num", R"("comparisonOperator":"in-set","value":{"number":1})",
       "criteria.comparisonOperator in-set cannot be used with the metric num"},
      {"names", R"("comparisonOperator":"in-set","value":{"strings":[]},"durationSeconds":300)",
       "criteria.durationSeconds cannot be used with the metric names"},
      {"aws:disconnect-duration",
       R"("comparisonOperator":"less-than","value":{"count":1},"durationSeconds":300)",
       "criteria.durationSeconds cannot be used with the metric aws:disconnect-duration"},
      {"aws:source-ip-address",
       R"("comparisonOperator":"in-cidr-set","value":{"cidrs":[]},"durationSeconds":300)",
       "criteria.durationSeconds cannot be used with the metric aws:source-ip-address"},
      {"num", R"("comparisonOperator":"less-than","value":{"number":1},"durationSeconds":60)",
       "criteria.durationSeconds must be 300, 600, 900, 1800 or 3600"},
      {"num", R"("comparisonOperator":"less-than","value":{"number":1},"consecutiveDatapointsToAlarm":0)",
       "criteria.consecutiveDatapointsToAlarm must be a whole number from 1 to 10"},
  };
  for (const Refused& c : cases) {
    const std::string text =
        R"([{"name":"b","metric":")" + std::string(c.metric) + R"(","criteria":{)" + c.criteria + "}}]";
    const auto parsed = parse_behaviors(json::parse(text).value().get_array(), kAccount);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().message, std::string("behaviors.1.") + c.message);
  }
}

// The duration of every metric is as the table says.
TEST(Criteria, DurationsByMetric) {
  for (const MetricInfo& info : builtin_metrics()) {
    const char* op = info.kind == ValueKind::kCidrs   ? "in-cidr-set"
                     : info.kind == ValueKind::kPorts ? "in-port-set"
                                                      : "less-than";
    json::object value;
    if (info.kind == ValueKind::kCount) value["count"] = 1;
    if (info.kind != ValueKind::kCount) value[to_string(info.kind)] = json::array();
    for (const int seconds : kDurations) {
      const json::object criteria{{"comparisonOperator", op}, {"value", value}, {"durationSeconds", seconds}};
      EXPECT_EQ(Criteria::parse(criteria, info.name, &info, info.kind).has_value(), info.duration_allowed)
          << info.name;
    }
  }
}

}  // namespace
}  // namespace fleetward::detect
