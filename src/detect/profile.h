#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/result.h"
#include "core/time.h"
#include "detect/metric.h"
#include "detect/series.h"
#include "detect/value.h"

// Security profiles as AWS defines them (API Reference: SecurityProfile, Behavior, BehaviorCriteria), checked
// when they are built: what exists can be evaluated.
namespace fleetward::detect {

inline constexpr size_t kBehaviorsMax = 100;  // AWS's quotas, see AccountLookup
inline constexpr size_t kValueElementsMax = 1000;
inline constexpr int kConsecutiveDatapointsMax = 10;
// durationSeconds of a statistical threshold that names none: AWS documents no default, its examples have
// 300.
inline constexpr int kStatisticalDurationSeconds = 300;

// criteria.statisticalThreshold.statistic
struct Statistic {
  std::string_view name;  // "p99.9"
  double percent = 0;
};
inline constexpr Statistic kStatistics[] = {
    {"p0", 0},   {"p0.1", 0.1}, {"p0.01", 0.01}, {"p1", 1},         {"p10", 10},   {"p50", 50},
    {"p90", 90}, {"p99", 99},   {"p99.9", 99.9}, {"p99.99", 99.99}, {"p100", 100},
};

// What profiles may name of the account.
struct AccountLookup {
  // The type of a custom metric; nullopt if there is none of that name.
  std::function<std::optional<ValueKind>(std::string_view name)> custom_metric;
  std::function<bool(std::string_view name)> dimension;  // whether there is one
  // The account's quotas for one profile: its behaviours; counts, addresses, ports, ... of their values,
  // summed.
  size_t behaviors_max = kBehaviorsMax;
  size_t value_elements_max = kValueElementsMax;
};

// What is normal: a static or a statistical threshold, compiled. Immutable, shared by pointer.
class Criteria {
 public:
  // kInvalidArgument with the member and the rule it breaks ("value.ports.2 must be ..."); kUnimplemented for
  // ML Detect. `builtin` is nullptr for a custom metric.
  static Result<Criteria> parse(const json::object& document, std::string_view metric,
                                const MetricInfo* builtin, ValueKind kind);

  // Whether a data point is normal. For lists every element must be (an empty list always is).
  bool conforms(const ValueView& value) const;
  // The same for a count in its own unit scaled by `factor` (disconnect-duration: seconds against minutes).
  bool conforms_scaled(uint64_t count, uint64_t factor) const;

  // The criterion is statistical: a percentile of all devices' values takes the place of a value.
  // nullptr: it is static.
  const Statistic* statistic() const { return statistic_; }
  // Whether a value is normal beside the percentile of all.
  bool conforms_to(double value, double threshold) const;

  Operator op() const { return op_; }
  int duration_seconds() const { return duration_seconds_; }  // 0: none
  int to_alarm() const { return to_alarm_; }
  int to_clear() const { return to_clear_; }
  size_t value_elements() const { return value_elements_; }
  // "less-than-equals 128", "less-than p90", for explanations.
  const std::string& text() const { return text_; }

 private:
  Status parse_value(const json::object& document, ValueKind kind);
  Status parse_statistic(const json::object& threshold);
  Status parse_list(const json::array& list, ValueKind kind);

  Operator op_ = Operator::kLessThan;
  const Statistic* statistic_ = nullptr;
  ValueKind kind_ = ValueKind::kCount;
  int duration_seconds_ = 0;
  int to_alarm_ = 1, to_clear_ = 1;
  uint64_t count_ = 0;
  double number_ = 0;
  CidrSet cidrs_;
  std::vector<uint16_t> ports_;       // sorted
  std::vector<double> numbers_;       // sorted
  std::vector<std::string> strings_;  // sorted
  size_t value_elements_ = 0;
  std::string text_;
};

struct Behavior {
  std::string name;
  std::string metric;
  MetricDimension dimension;
  const MetricInfo* builtin = nullptr;  // nullptr: a custom metric
  ValueKind kind = ValueKind::kCount;
  std::optional<Criteria> criteria;  // none: the metric is retained, nothing is judged
  bool suppress_alerts = false;
  bool export_metric = false;
  json::object document;  // as given, known members only: what Describe and events show
  // Of metric, dimension and criteria: another one is another behaviour for open violations.
  uint64_t fingerprint = 0;

  // The error begins with the member: "metricDimension.dimensionName ...".
  static Result<Behavior> parse(const json::value& document, const AccountLookup& account);
  // With the defaults of what `document` leaves out, as AWS's events show behaviours.
  json::object full_document() const;
};
using BehaviorPtr = std::shared_ptr<const Behavior>;

struct MetricToRetain {
  std::string metric;
  MetricDimension dimension;
  bool export_metric = false;
  json::object document;  // as given, known members only
};

struct MetricsExportConfig {
  std::string mqtt_topic;
  std::string role_arn;
};

struct AlertTarget {
  std::string topic_arn;
  std::string role_arn;
};

struct SecurityProfile {
  std::string name;
  std::string description;
  std::vector<BehaviorPtr> behaviors;
  std::optional<AlertTarget> alert_target;  // alertTargets.SNS
  std::vector<std::string> retain;          // additionalMetricsToRetain (deprecated)
  std::vector<MetricToRetain> retain_v2;    // additionalMetricsToRetainV2
  std::optional<MetricsExportConfig> export_config;
  int64_t version = 1;
  Timestamp created, modified;

  bool uses_metric(std::string_view metric) const;
  bool uses_dimension(std::string_view dimension_name) const;
  // Calls each(const MetricDimension&) for those that behaviours and retained metrics have, repeated as they
  // are.
  template <typename Each>
  void visit_dimensions(Each&& each) const {
    for (const BehaviorPtr& behavior : behaviors) {
      if (!behavior->dimension.empty()) each(behavior->dimension);
    }
    for (const MetricToRetain& metric : retain_v2) {
      if (!metric.dimension.empty()) each(metric.dimension);
    }
  }
};
using SecurityProfilePtr = std::shared_ptr<const SecurityProfile>;

// Members of Create/UpdateSecurityProfile, each checked on its own. The errors begin with the path of the
// offending member; list members count from 1, as in AWS's own: "behaviors.3.criteria.value.count must be
// ...".
Result<std::vector<BehaviorPtr>> parse_behaviors(const json::array& list, const AccountLookup& account);
Result<std::vector<std::string>> parse_retain(const json::array& list, const AccountLookup& account);
Result<std::vector<MetricToRetain>> parse_retain_v2(const json::array& list, const AccountLookup& account);
Result<MetricsExportConfig> parse_export_config(const json::object& document);
Result<std::optional<AlertTarget>> parse_alert_targets(const json::object& document);
// Why each behaviour is not valid, for ValidateSecurityProfileBehaviors; empty if all are.
std::vector<std::string> validate_behaviors(const json::array& list, const AccountLookup& account);

// The form in the control store, a superset of DescribeSecurityProfile's answer without its ARN: dates are
// milliseconds. from_json trusts the types of custom metrics to be those the values were checked against.
json::object to_json(const SecurityProfile& profile);
Result<SecurityProfile> profile_from_json(const json::object& document);

// 1..128 of [a-zA-Z0-9:_-]: profiles, behaviours, custom metrics, dimensions.
bool is_resource_name(std::string_view text);

}  // namespace fleetward::detect
