#include "registry/tags.h"

#include "api/iot/iot.h"

namespace fleetward::api::iot {
namespace {

// Refused: not ours, or a kind without tags. kNotFound: it does not exist.
Status check_taggable(const Dependencies& d, const state::Snapshot& snapshot, const std::string& text) {
  const auto parts = parse_arn(text);
  const std::string prefix = d.account.arn("iot", "");
  if (!parts || !text.starts_with(prefix)) {
    return fail(ErrorCode::kInvalidArgument, "resourceArn is not an ARN of this account and region: " + text);
  }
  const std::string_view type = parts->resource.substr(0, parts->resource.find('/'));
  const std::string_view name = parts->resource.substr(std::min(parts->resource.size(), type.size() + 1));
  bool found = false;
  if (type == "thinggroup") {
    found = snapshot.get(d.tables.groups).find(name) != nullptr;
  } else if (type == "thingtype") {
    found = snapshot.get(d.tables.thing_types).find(name) != nullptr;
  } else if (type == "policy") {
    found = snapshot.get(d.tables.policies).find(name) != nullptr;
  } else if (type == "cacert") {
    found = snapshot.get(d.tables.authorities).find(name) != nullptr;
  } else if (const auto other = d.options.taggable.find(std::string(type));
             other != d.options.taggable.end()) {
    found = other->second(snapshot, name);
  } else {
    return fail(ErrorCode::kInvalidArgument,
                "Resources of the type '" + std::string(type) + "' have no tags");
  }
  if (!found) return fail(ErrorCode::kNotFound, "The resource " + text + " does not exist");
  return {};
}

ApiResult<json::object> tag(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string text = in.string("resourceArn", kArnText);
  const registry::Tags tags = read_tags(in);
  if (in.ok() && tags.empty()) in.fail("tags", "is missing or empty");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d, [&](state::Transaction& change) -> Status {
    if (auto there = check_taggable(d, change.view(), text); !there) return there;
    return registry::add_tags(change, d.tables.tags, text, tags);
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> untag(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string text = in.string("resourceArn", kArnText);
  const auto keys = in.strings("tagKeys", 1, registry::kTagsMax, {.min = 1, .max = 128});
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d, [&](state::Transaction& change) -> Status {
    if (auto there = check_taggable(d, change.view(), text); !there) return there;
    registry::remove_tags(change, d.tables.tags, text, keys);
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> list(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string text = in.string("resourceArn", kArnText);
  in.string_opt("nextToken");  // all tags are in the first page
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  if (auto there = check_taggable(d, *snapshot, text); !there) return refuse(kIotStyle, there.error());
  json::array tags;
  for (const auto& [key, value] : registry::tags_of(*snapshot, d.tables.tags, text)) {
    tags.push_back(json::object{{"Key", key}, {"Value", value}});
  }
  return json::object{{"tags", std::move(tags)}};
}

}  // namespace

std::vector<http::Operation> tag_operations(const Dependencies& d) {
  return operations_of(
      d, {{"TagResource", "POST", "/tags", {}, "{resourceArn}", tag},
          {"UntagResource", "POST", "/untag", {}, "{resourceArn}", untag},
          {"ListTagsForResource", "GET", "/tags", {"resourceArn", "nextToken"}, "{resourceArn}", list}});
}

}  // namespace fleetward::api::iot
