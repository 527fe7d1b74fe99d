#include <utility>

#include "api/firehose/common.h"

namespace fleetward::api::firehose {
namespace {

using delivery::Stream;

constexpr size_t kTagsMax = 50;

http::ApiResult<json::object> tag(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kFirehoseStyle);
  const std::string name = in.string("DeliveryStreamName", kStreamName);
  const auto tags = in.tags("Tags");
  if (tags.empty()) in.fail("Tags", "at least one tag must be given");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto changed = change_active(d, name, [&](Stream& stream) -> Status {
    for (const Tag& one : tags) stream.tags[one.key] = one.value;
    if (stream.tags.size() > kTagsMax) {
      return fail(ErrorCode::kLimitExceeded,
                  "A stream may have at most " + std::to_string(kTagsMax) + " tags");
    }
    return {};
  });
  if (!changed) return refuse(kFirehoseStyle, changed.error());
  return json::object{};
}

http::ApiResult<json::object> untag(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kFirehoseStyle);
  const std::string name = in.string("DeliveryStreamName", kStreamName);
  const auto keys = in.strings("TagKeys", 1, kTagsMax, {.min = 1, .max = 128});
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto changed = change_active(d, name, [&](Stream& stream) -> Status {
    for (const std::string& key : keys) stream.tags.erase(key);
    return {};
  });
  if (!changed) return refuse(kFirehoseStyle, changed.error());
  return json::object{};
}

http::ApiResult<json::object> list_tags(const Dependencies& d, const http::Call&,
                                        const json::object& arguments) {
  Input in(arguments, kFirehoseStyle);
  const std::string name = in.string("DeliveryStreamName", kStreamName);
  const auto after = in.string_opt("ExclusiveStartTagKey", {.min = 1, .max = 128});
  const auto limit = static_cast<size_t>(in.integer_or("Limit", kTagsMax, 1, kTagsMax));
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const Stream* stream = snapshot->get(d.tables.streams).find(name);
  if (stream == nullptr) return refuse(kFirehoseStyle, no_such_stream(d, name));
  json::array tags;
  auto it = after ? stream->tags.upper_bound(*after) : stream->tags.begin();
  for (; it != stream->tags.end() && tags.size() < limit; ++it) {
    tags.push_back(json::object{{"Key", it->first}, {"Value", it->second}});
  }
  return json::object{{"Tags", std::move(tags)}, {"HasMoreTags", it != stream->tags.end()}};
}

}  // namespace

std::vector<http::Operation> tag_operations(const Dependencies& d) {
  const auto bind = [&d](auto* run) {
    return
        [d, run](const http::Call& call, const json::object& arguments) { return run(d, call, arguments); };
  };
  const auto resource = stream_resource(d);
  return {{.name = "TagDeliveryStream", .resource = resource, .run = bind(tag)},
          {.name = "UntagDeliveryStream", .resource = resource, .run = bind(untag)},
          {.name = "ListTagsForDeliveryStream", .resource = resource, .run = bind(list_tags)}};
}

}  // namespace fleetward::api::firehose
