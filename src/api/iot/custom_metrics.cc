#include "api/iot/detect.h"

namespace fleetward::api::iot {
namespace {

using pipeline::CustomMetric;

constexpr StringRule kDisplayName{.max = 128, .check = check_printable};

json::object metric_json(const DetectDependencies& d, const CustomMetric& metric) {
  json::object out{{"metricName", metric.name},
                   {"metricArn", arn(d.iot, "custommetric", metric.name)},
                   {"metricType", detect::custom_type_name(metric.type)},
                   {"creationDate", metric.created.seconds()},
                   {"lastModifiedDate", metric.modified.seconds()}};
  if (!metric.display_name.empty()) out["displayName"] = metric.display_name;
  return out;
}

ApiResult<json::object> create(const DetectDependencies& d, const http::Call&,
                               const json::object& arguments) {
  Input in(arguments, kIotStyle);
  CustomMetric metric;
  metric.name = in.string("metricName", kResourceName);
  metric.display_name = in.string_or("displayName", "", kDisplayName);
  const std::string type =
      in.one_of("metricType", {"string-list", "ip-address-list", "number-list", "number"});
  const registry::Tags tags = read_tags(in);
  metric.creation_token = in.string_opt("clientRequestToken", kRequestToken).value_or("");
  if (in.ok() && metric.name.starts_with("aws:")) in.fail("metricName", "must not begin with \"aws:\"");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  metric.type = *detect::parse_custom_type(type);
  metric.created = metric.modified = d.iot.clock.now();
  const std::string name = metric.name, metric_arn = arn(d.iot, "custommetric", metric.name);
  bool exists = false;
  auto ok = commit(d.iot, [&](state::Transaction& change) -> Status {
    const auto& metrics = change.get(d.tables.custom_metrics);
    if (const CustomMetric* held = metrics.find(name); held != nullptr) {
      // A call that was sent again, because its answer was lost.
      if (!metric.creation_token.empty() && held->creation_token == metric.creation_token &&
          held->type == metric.type && held->display_name == metric.display_name &&
          registry::tags_of(change.view(), d.iot.tables.tags, metric_arn) == tags) {
        return {};
      }
      exists = true;
      return fail(ErrorCode::kAlreadyExists, "The custom metric " + name + " already exists");
    }
    if (metrics.size() >= d.limits.custom_metrics_max) {
      return fail(
          ErrorCode::kLimitExceeded,
          "An account has at most " + std::to_string(d.limits.custom_metrics_max) + " custom metrics");
    }
    if (auto tagged = registry::add_tags(change, d.iot.tables.tags, metric_arn, tags); !tagged) return tagged;
    change.put(d.tables.custom_metrics, name, std::move(metric));
    return {};
  });
  if (exists) return already_exists(ok.error().message, metric_arn, name);
  if (!ok) return tl::unexpected(ok.error());
  return json::object{{"metricName", name}, {"metricArn", metric_arn}};
}

ApiResult<json::object> describe(const DetectDependencies& d, const http::Call&,
                                 const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("metricName", kResourceName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.iot.store.snapshot();
  const CustomMetric* metric = snapshot->get(d.tables.custom_metrics).find(name);
  if (metric == nullptr) return not_found(kIotStyle, "The custom metric " + name + " does not exist");
  return metric_json(d, *metric);
}

ApiResult<json::object> update(const DetectDependencies& d, const http::Call&,
                               const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("metricName", kResourceName);
  const std::string display_name = in.string("displayName", kDisplayName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  CustomMetric metric;
  auto ok = commit(d.iot, [&](state::Transaction& change) -> Status {
    const CustomMetric* held = change.get(d.tables.custom_metrics).find(name);
    if (held == nullptr) return fail(ErrorCode::kNotFound, "The custom metric " + name + " does not exist");
    metric = *held;
    metric.display_name = display_name;
    metric.modified = d.iot.clock.now();
    change.put(d.tables.custom_metrics, name, metric);
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return metric_json(d, metric);
}

ApiResult<json::object> remove(const DetectDependencies& d, const http::Call&,
                               const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("metricName", kResourceName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d.iot, [&](state::Transaction& change) -> Status {
    std::string user;
    change.get(d.tables.profiles).visit_from("", [&](const auto& entry) {
      if (entry.value->uses_metric(name)) user = entry.key;
      return user.empty();
    });
    if (!user.empty()) {
      return fail(ErrorCode::kInvalidArgument,
                  "The custom metric " + name + " is used by the security profile " + user);
    }
    if (change.get(d.tables.custom_metrics).find(name) == nullptr) return {};
    registry::erase_tags(change, d.iot.tables.tags, arn(d.iot, "custommetric", name));
    change.erase(d.tables.custom_metrics, name);
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> list(const DetectDependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const Page page = read_detect_page(in, "ListCustomMetrics");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.iot.store.snapshot();
  json::array names;
  const std::string next =
      list_page(snapshot->get(d.tables.custom_metrics), "", page, [&](const auto& entry) {
        names.emplace_back(entry.key);
        return true;
      });
  json::object out{{"metricNames", std::move(names)}};
  if (!next.empty()) out["nextToken"] = next;
  return out;
}

}  // namespace

std::vector<http::Operation> custom_metric_operations(const DetectDependencies& d) {
  constexpr const char* kUri = "/custom-metric/{metricName}";
  constexpr const char* kMetric = "custommetric/{metricName}";
  return detect_operations_of(
      d, {{{"CreateCustomMetric", "POST", kUri, {}, kMetric, nullptr}, create},
          {{"DescribeCustomMetric", "GET", kUri, {}, kMetric, nullptr}, describe},
          {{"UpdateCustomMetric", "PATCH", kUri, {}, kMetric, nullptr}, update},
          {{"DeleteCustomMetric", "DELETE", kUri, {}, kMetric, nullptr}, remove},
          {{"ListCustomMetrics", "GET", "/custom-metrics", {"nextToken", "maxResults:int"}, "*", nullptr},
           list}});
}

}  // namespace fleetward::api::iot
