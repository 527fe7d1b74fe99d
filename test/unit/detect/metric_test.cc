// The table of metrics (metric_cases.txt), each row against what profiles may say and reports may hold.
#include "detect/metric.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "detect/profile.h"
#include "detect/report.h"

namespace fleetward::detect {
namespace {

constexpr std::string_view kNumeric = "less-than less-than-equals greater-than greater-than-equals";
constexpr std::string_view kOperators[] = {"less-than",           "less-than-equals", "greater-than",
                                           "greater-than-equals", "in-cidr-set",      "not-in-cidr-set",
                                           "in-port-set",         "not-in-port-set",  "in-set",
                                           "not-in-set"};
// A value of each kind.
const std::map<std::string, std::string> kValues = {
    {"count", "5"},    {"number", "1.5"},       {"cidrs", R"(["10.0.0.0/8"])"},
    {"ports", "[22]"}, {"numbers", "[1,-2.5]"}, {"strings", R"(["sshd"])"}};

std::optional<ValueKind> custom_metric(std::string_view name) {
  if (name == "num") return ValueKind::kNumber;
  if (name == "nums") return ValueKind::kNumbers;
  if (name == "names") return ValueKind::kStrings;
  if (name == "ips") return ValueKind::kCidrs;
  return std::nullopt;
}

struct Row {
  std::string metric, value, report, reported;
  std::set<std::string> operators;
  bool duration = false, statistical = false, ml = false, dimension = false;
};

std::string trimmed(const std::string& text) {
  const size_t from = text.find_first_not_of(' ');
  return from == std::string::npos ? "" : text.substr(from, text.find_last_not_of(' ') - from + 1);
}

std::vector<Row> read_rows() {
  std::ifstream file(FLEETWARD_TEST_DATA "/metric_cases.txt");
  std::vector<Row> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::vector<std::string> cells;
    std::istringstream in(line);
    for (std::string cell; std::getline(in, cell, '|');) cells.push_back(trimmed(cell));
    EXPECT_TRUE(cells.size() == 7 || cells.size() == 9) << line;
    cells.resize(9);
    Row& row = rows.emplace_back();
    row.metric = cells[0];
    row.value = cells[1];
    std::istringstream operators(cells[2] == "numeric" ? std::string(kNumeric) : cells[2]);
    for (std::string one; operators >> one;) row.operators.insert(one);
    bool* const flags[] = {&row.duration, &row.statistical, &row.ml, &row.dimension};
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_TRUE(cells[3 + i] == "yes" || cells[3 + i] == "no") << line;
      *flags[i] = cells[3 + i] == "yes";
    }
    row.report = cells[7];
    row.reported = cells[8];
  }
  return rows;
}

bool accepted(const Row& row, const std::string& criteria, const std::string& more = "") {
  static const AccountLookup kAccount{custom_metric, [](std::string_view name) { return name == "topics"; }};
  const auto document = json::parse(R"({"name":"b","metric":")" + row.metric + R"(","criteria":{)" +
                                    criteria + "}" + more + "}");
  return Behavior::parse(document.value(), kAccount).has_value();
}
std::string compared(std::string_view op, const std::string& kind) {
  return R"("comparisonOperator":")" + std::string(op) + R"(","value":{")" + kind + "\":" + kValues.at(kind) +
         "}";
}

TEST(Metrics, TheTableIsWhole) {
  std::set<std::string> names;
  for (const Row& row : read_rows()) EXPECT_TRUE(names.insert(row.metric).second) << row.metric;
  for (const MetricInfo& info : builtin_metrics())
    EXPECT_EQ(names.count(std::string(info.name)), 1U) << info.name;
  EXPECT_EQ(names.size(), kBuiltinCount + 4);
}

TEST(Metrics, OperatorsAndKindsOfValues) {
  for (const Row& row : read_rows()) {
    for (const std::string_view op : kOperators) {
      for (const auto& [kind, value] : kValues) {
        EXPECT_EQ(accepted(row, compared(op, kind)),
                  kind == row.value && row.operators.contains(std::string(op)))
            << row.metric << " " << op << " " << kind;
      }
    }
  }
}

TEST(Metrics, Durations) {
  for (const Row& row : read_rows()) {
    for (const int seconds : {0, 60, 299, 300, 301, 600, 900, 1200, 1800, 3600, 7200}) {
      const bool listed =
          std::find(std::begin(kDurations), std::end(kDurations), seconds) != std::end(kDurations);
      EXPECT_EQ(accepted(row, compared(*row.operators.begin(), row.value) +
                                  ",\"durationSeconds\":" + std::to_string(seconds)),
                row.duration && listed)
          << row.metric << " " << seconds;
    }
  }
}

TEST(Metrics, StatisticalThresholds) {
  for (const Row& row : read_rows()) {
    for (const std::string_view op : kOperators) {
      for (const Statistic& statistic : kStatistics) {
        const std::string criteria = R"("comparisonOperator":")" + std::string(op) +
                                     R"(","statisticalThreshold":{"statistic":")" +
                                     std::string(statistic.name) + "\"}";
        EXPECT_EQ(accepted(row, criteria), row.statistical && row.operators.contains(std::string(op)))
            << row.metric << " " << criteria;
      }
    }
  }
}

// ML Detect is refused; for which metrics it exists is in the reference.
TEST(Metrics, Learning) {
  for (const Row& row : read_rows()) {
    EXPECT_FALSE(accepted(row, R"("mlDetectionConfig":{"confidenceLevel":"LOW"})")) << row.metric;
    const MetricInfo* info = find_builtin(row.metric);
    EXPECT_EQ(info != nullptr ? info->ml_allowed : row.value == "number", row.ml) << row.metric;
  }
}

TEST(Metrics, Dimensions) {
  for (const Row& row : read_rows()) {
    for (const char* op : {"", R"(,"operator":"IN")", R"(,"operator":"NOT_IN")"}) {
      const std::string dimension = R"(,"metricDimension":{"dimensionName":"topics")" + std::string(op) + "}";
      EXPECT_EQ(accepted(row, compared(*row.operators.begin(), row.value), dimension), row.dimension)
          << row.metric << dimension;
    }
  }
}

TEST(Metrics, Reports) {
  ReportParser parser;
  for (const Row& row : read_rows()) {
    const MetricInfo* info = find_builtin(row.metric);
    ASSERT_EQ(row.report.empty(), info != nullptr && info->cloud_side) << row.metric;
    if (row.report.empty()) continue;
    Report report;
    const std::string text = R"({"header":{"report_id":1,"version":"1.0"},)" + row.report.substr(1);
    ASSERT_TRUE(parser.parse(ReportFormat::kJson, text, report)) << text;
    if (info != nullptr) {
      ASSERT_TRUE(report.has(info->id)) << row.metric;
      EXPECT_EQ(json::serialize(to_json(Value::copy(report.value(info->id)))), row.reported) << row.metric;
    } else {
      ASSERT_EQ(report.customs.size(), 1U) << row.metric;
      EXPECT_EQ(report.customs[0].name, row.metric);
      EXPECT_EQ(json::serialize(to_json(Value::copy(report.value(report.customs[0])))), row.reported)
          << row.metric;
    }
  }
}

}  // namespace
}  // namespace fleetward::detect
