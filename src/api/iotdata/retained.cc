#include "api/iotdata/iotdata.h"
#include "core/encoding.h"

namespace fleetward::api::iotdata {
namespace {

using From = http::Binding::From;
using Type = http::Binding::Type;

constexpr size_t kPageMax = 200;

http::ApiResult<json::object> get(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIotDataStyle);
  const std::string topic = in.string("topic", {.min = 1});
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto held = d.broker.get_retained(topic);
  if (!held) return not_found(kIotDataStyle, "There is no retained message on the topic " + topic);
  const broker::Message& message = *held->message;
  json::object out{{"topic", message.topic},
                   {"payload", to_base64(message.payload)},
                   {"qos", message.qos},
                   {"lastModifiedTime", held->last_modified.ms}};
  if (!message.user_properties.empty()) {
    json::array pairs;
    for (const auto& [name, text] : message.user_properties) pairs.push_back(json::object{{name, text}});
    out["userProperties"] = to_base64(json::serialize(pairs));
  }
  return out;
}

http::ApiResult<json::object> list(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIotDataStyle);
  const Page page = in.page("ListRetainedMessages", "nextToken", "maxResults", kPageMax, kPageMax);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const std::string begin = page.after.empty() ? std::string() : page.after + '\0';
  auto held = d.broker.list_retained(begin, page.limit + 1);
  const bool more = held.size() > page.limit;
  if (more) held.resize(page.limit);
  json::array topics;
  for (const broker::RetainedMessage& each : held) {
    topics.push_back(json::object{{"topic", each.message->topic},
                                  {"payloadSize", each.message->payload.size()},
                                  {"qos", each.message->qos},
                                  {"lastModifiedTime", each.last_modified.ms}});
  }
  json::object out{{"retainedTopics", std::move(topics)}};
  if (more) out["nextToken"] = encode_page_token(page.operation, held.back().message->topic);
  return out;
}

}  // namespace

std::vector<http::Operation> retained_operations(const Dependencies& d) {
  http::Operation one;
  one.name = "GetRetainedMessage";
  one.method = "GET";
  one.uri = "/retainedMessage/{topic+}";
  one.action = "iot:GetRetainedMessage";
  one.resource = [&account = d.account](const json::object& arguments) {
    return account.arn("iot", "topic/" + std::string(json::string_or(arguments, "topic")));
  };
  one.run = [d](const http::Call&, const json::object& arguments) { return get(d, arguments); };
  http::Operation all;
  all.name = "ListRetainedMessages";
  all.method = "GET";
  all.uri = "/retainedMessage";
  all.bindings = {{From::kQuery, "nextToken", "nextToken"},
                  {From::kQuery, "maxResults", "maxResults", Type::kInteger}};
  all.action = "iot:ListRetainedMessages";
  all.run = [d](const http::Call&, const json::object& arguments) { return list(d, arguments); };
  return {std::move(one), std::move(all)};
}

}  // namespace fleetward::api::iotdata
