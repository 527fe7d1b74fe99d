#include "api/iot/detect.h"
#include "mqtt/topic.h"

namespace fleetward::api::iot {
namespace {

using pipeline::Dimension;

constexpr size_t kValuesMax = 100;
constexpr std::string_view kVariable = "${iot:ClientId}";  // the only one that a dimension may hold

// A topic filter once the variable has been put in.
Status check_filter(std::string_view text) {
  std::string filter(text);
  for (size_t at = 0; (at = filter.find("${", at)) != std::string::npos;) {
    if (filter.compare(at, kVariable.size(), kVariable) != 0) {
      return fail(ErrorCode::kInvalidArgument, "may hold no variable but ${iot:ClientId}");
    }
    filter.replace(at, kVariable.size(), "x");
  }
  if (filter.starts_with("$share/")) {
    return fail(ErrorCode::kInvalidArgument, "must be a topic filter, not a shared subscription");
  }
  const auto fault = mqtt::check_topic_filter(filter);
  if (fault == mqtt::TopicFault::kNone) return {};
  return fail(ErrorCode::kInvalidArgument, "must be a topic filter: " + std::string(mqtt::to_string(fault)));
}

std::vector<std::string> read_values(Input& in) {
  constexpr StringRule kValue{.min = 1, .max = 256, .check = check_filter};
  return in.strings("stringValues", 1, kValuesMax, kValue);
}

json::object dimension_json(const DetectDependencies& d, const Dimension& dimension) {
  json::array values;
  for (const std::string& value : dimension.values) values.emplace_back(value);
  return {{"name", dimension.name},
          {"arn", arn(d.iot, "dimension", dimension.name)},
          {"type", "TOPIC_FILTER"},
          {"stringValues", std::move(values)},
          {"creationDate", dimension.created.seconds()},
          {"lastModifiedDate", dimension.modified.seconds()}};
}

// The same request again (its token, name and values) finds its work done: `repeated`. Any other is refused
// while its name (then `exists`) or its token is in use.
Status check_new(const state::Map<Dimension>& all, const Dimension& wanted, size_t count_max, bool& repeated,
                 bool& exists) {
  if (const Dimension* held = all.find(wanted.name)) {
    repeated = held->request_token == wanted.request_token && held->values == wanted.values;
    exists = !repeated;
    if (repeated) return {};
    return fail(ErrorCode::kAlreadyExists, "The dimension " + wanted.name + " already exists");
  }
  std::string user;
  all.visit_from("", [&](const auto& entry) {
    if (entry.value->request_token == wanted.request_token) user = entry.key;
    return user.empty();
  });
  if (!user.empty()) {
    return fail(ErrorCode::kInvalidArgument, "The clientRequestToken was used for the dimension " + user);
  }
  if (all.size() >= count_max) {
    return fail(ErrorCode::kLimitExceeded,
                "An account has at most " + std::to_string(count_max) + " dimensions");
  }
  return {};
}

ApiResult<json::object> create(const DetectDependencies& d, const http::Call&,
                               const json::object& arguments) {
  Input in(arguments, kIotStyle);
  Dimension dimension;
  dimension.name = in.string("name", kResourceName);
  in.one_of("type", {"TOPIC_FILTER"});
  dimension.values = read_values(in);
  dimension.request_token = in.string("clientRequestToken", kRequestToken);
  const registry::Tags tags = read_tags(in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  dimension.created = dimension.modified = d.iot.clock.now();
  const std::string name = dimension.name, dimension_arn = arn(d.iot, "dimension", name);
  bool exists = false;
  auto ok = commit(d.iot, [&](state::Transaction& change) -> Status {
    bool repeated = false;
    const auto checked =
        check_new(change.get(d.tables.dimensions), dimension, d.limits.dimensions_max, repeated, exists);
    if (!checked || repeated) return checked;
    if (auto tagged = registry::add_tags(change, d.iot.tables.tags, dimension_arn, tags); !tagged) {
      return tagged;
    }
    change.put(d.tables.dimensions, name, std::move(dimension));
    return {};
  });
  if (exists) return already_exists(ok.error().message, dimension_arn, name);
  if (!ok) return tl::unexpected(ok.error());
  return json::object{{"name", name}, {"arn", dimension_arn}};
}

ApiResult<json::object> describe(const DetectDependencies& d, const http::Call&,
                                 const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("name", kResourceName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.iot.store.snapshot();
  const Dimension* dimension = snapshot->get(d.tables.dimensions).find(name);
  if (dimension == nullptr) return not_found(kIotStyle, "The dimension " + name + " does not exist");
  return dimension_json(d, *dimension);
}

ApiResult<json::object> update(const DetectDependencies& d, const http::Call&,
                               const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("name", kResourceName);
  std::vector<std::string> values = read_values(in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  Dimension dimension;
  auto ok = commit(d.iot, [&](state::Transaction& change) -> Status {
    const Dimension* held = change.get(d.tables.dimensions).find(name);
    if (held == nullptr) return fail(ErrorCode::kNotFound, "The dimension " + name + " does not exist");
    dimension = *held;
    dimension.values = values;
    dimension.modified = d.iot.clock.now();
    change.put(d.tables.dimensions, name, dimension);
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return dimension_json(d, dimension);
}

// One that is not there is deleted already.
ApiResult<json::object> remove(const DetectDependencies& d, const http::Call&,
                               const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("name", kResourceName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d.iot, [&](state::Transaction& change) -> Status {
    std::string user;
    change.get(d.tables.profiles).visit_from("", [&](const auto& entry) {
      if (entry.value->uses_dimension(name)) user = entry.key;
      return user.empty();
    });
    if (!user.empty()) {
      return fail(ErrorCode::kInvalidArgument,
                  "The dimension " + name + " is used by the security profile " + user);
    }
    if (change.get(d.tables.dimensions).find(name) == nullptr) return {};
    registry::erase_tags(change, d.iot.tables.tags, arn(d.iot, "dimension", name));
    change.erase(d.tables.dimensions, name);
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> list(const DetectDependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const Page page = read_detect_page(in, "ListDimensions");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.iot.store.snapshot();
  json::array names;
  const std::string next = list_page(snapshot->get(d.tables.dimensions), "", page, [&](const auto& entry) {
    names.emplace_back(entry.key);
    return true;
  });
  json::object out{{"dimensionNames", std::move(names)}};
  if (!next.empty()) out["nextToken"] = next;
  return out;
}

}  // namespace

std::vector<http::Operation> dimension_operations(const DetectDependencies& d) {
  constexpr const char* kUri = "/dimensions/{name}";
  constexpr const char* kDimension = "dimension/{name}";
  return detect_operations_of(
      d, {{{"CreateDimension", "POST", kUri, {}, kDimension, nullptr}, create},
          {{"DescribeDimension", "GET", kUri, {}, kDimension, nullptr}, describe},
          {{"UpdateDimension", "PATCH", kUri, {}, kDimension, nullptr}, update},
          {{"DeleteDimension", "DELETE", kUri, {}, kDimension, nullptr}, remove},
          {{"ListDimensions", "GET", "/dimensions", {"nextToken", "maxResults:int"}, "*", nullptr}, list}});
}

}  // namespace fleetward::api::iot
