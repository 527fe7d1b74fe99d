#include <algorithm>

#include "api/iot/detect.h"

namespace fleetward::api::iot {
namespace {

// The operator is IN if only the name is given.
detect::MetricDimension read_dimension(Input& in) {
  detect::MetricDimension out;
  out.name = in.string_or("dimensionName", "", kResourceName);
  const auto op = in.one_of_opt("dimensionValueOperator", {"IN", "NOT_IN"});
  if (op && out.empty()) in.fail("dimensionValueOperator", "needs a dimensionName");
  if (op) out.op = detect::parse_dimension_operator(*op).value_or(out.op);
  return out;
}

ApiResult<json::object> list(const DetectDependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string thing = in.string("thingName", {.min = 1, .max = 128});
  const std::string metric = in.string("metricName", {.min = 1, .max = 128});
  Timestamp from = read_time(in, "startTime"), to = read_time(in, "endTime");
  const detect::MetricDimension dimension = read_dimension(in);
  const Page page = read_detect_page(in, "ListMetricValues");
  if (in.ok() && to < from) in.fail("endTime", "must not be before startTime");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.iot.store.snapshot();
  const detect::MetricInfo* builtin = detect::find_builtin(metric);
  if (builtin == nullptr && snapshot->get(d.tables.custom_metrics).find(metric) == nullptr) {
    return not_found(kIotStyle, "The metric " + metric + " does not exist");
  }
  if (!dimension.empty()) {
    if (builtin == nullptr || !builtin->dimension_allowed) {
      return refuse(kIotStyle, "dimensionName cannot be used with the metric " + metric);
    }
    if (snapshot->get(d.tables.dimensions).find(dimension.name) == nullptr) {
      return not_found(kIotStyle, "The dimension " + dimension.name + " does not exist");
    }
  }
  if (snapshot->get(d.iot.tables.things).find(thing) == nullptr) {
    auto known = d.queries.knows_thing(thing);
    if (!known) return refuse(kIotStyle, known.error());
    if (!*known) return not_found(kIotStyle, "The thing " + thing + " does not exist");
  }
  const Timestamp now = d.iot.clock.now();
  from = std::max({from, now - d.limits.values_kept, Timestamp{0}});
  to = std::min(to, now + Duration{24LL * 3600 * 1000});
  json::array data;
  json::object out;
  if (from <= to) {
    auto found =
        d.queries.values(thing, detect::series_name(metric, dimension), from, to, page.after, page.limit);
    if (!found) return refuse(kIotStyle, found.error());
    for (const pipeline::MetricPoint& point : found->entries) {
      data.push_back(
          json::object{{"timestamp", point.time.seconds()}, {"value", detect::to_json(point.value)}});
    }
    if (!found->next.empty()) out["nextToken"] = encode_page_token(page.operation, found->next);
  }
  out["metricDatumList"] = std::move(data);
  return out;
}

}  // namespace

std::vector<http::Operation> metric_value_operations(const DetectDependencies& d) {
  return detect_operations_of(d, {{{"ListMetricValues",
                                    "GET",
                                    "/metric-values",
                                    {"thingName", "metricName", "dimensionName", "dimensionValueOperator",
                                     "startTime", "endTime", "maxResults:int", "nextToken"},
                                    "thing/{thingName}",
                                    nullptr},
                                   list}});
}

}  // namespace fleetward::api::iot
