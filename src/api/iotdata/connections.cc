#include "api/iotdata/iotdata.h"

namespace fleetward::api::iotdata {
namespace {

using From = http::Binding::From;
using Type = http::Binding::Type;

constexpr StringRule kClientId{.min = 1, .max = 128, .check = ClientIdRule::check};

auto no_client(const std::string& client_id) {
  return not_found(kIotDataStyle, "The client " + client_id + " has neither a connection nor a session");
}

http::ApiResult<json::object> get(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIotDataStyle);
  const std::string client_id = in.string("clientId", kClientId);
  const bool sockets = in.boolean_or("includeSocketInformation", false);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto info = d.broker.connection(client_id);
  if (!info) return no_client(client_id);
  json::object out{{"clientId", info->client_id},
                   {"connected", info->connected},
                   {"cleanSession", info->clean_session},
                   {"keepAliveDuration", info->keep_alive_seconds},
                   {"sessionExpiry", info->session_expiry_seconds}};
  if (!info->thing_name.empty()) out["thingName"] = info->thing_name;
  if (info->connected_since.ms != 0) out["connectedSince"] = info->connected_since.ms;
  if (!info->connected) {
    out["disconnectedSince"] = info->disconnected_since.ms;
    if (!info->disconnect_reason.empty()) out["disconnectReason"] = info->disconnect_reason;
  }
  if (sockets && info->connected) {
    out["sourceIp"] = info->source_ip;
    out["sourcePort"] = info->source_port;
  }
  return out;
}

http::ApiResult<json::object> remove(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIotDataStyle);
  const std::string client_id = in.string("clientId", kClientId);
  const bool clean = in.boolean_or("cleanSession", false);
  const bool prevent_will = in.boolean_or("preventWillMessage", false);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  if (!d.broker.disconnect(client_id, clean, prevent_will)) return no_client(client_id);
  return json::object{};
}

http::ApiResult<json::object> subscriptions(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIotDataStyle);
  const std::string client_id = in.string("clientId", kClientId);
  const Page page = in.page("ListSubscriptions", "nextToken", "maxResults", 100, 250);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto info = d.broker.connection(client_id);
  if (!info) return no_client(client_id);
  auto& all = info->subscriptions;
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.filter < b.filter; });
  json::array rows;
  json::object out;
  for (const auto& each : all) {
    if (!page.after.empty() && each.filter <= page.after) continue;
    if (rows.size() == page.limit) {
      out["nextToken"] = encode_page_token(page.operation, rows.back().at("topicFilter").get_string());
      break;
    }
    rows.push_back(json::object{{"topicFilter", each.filter}, {"qos", each.qos}});
  }
  out["subscriptions"] = std::move(rows);
  return out;
}

}  // namespace

std::vector<http::Operation> connection_operations(const Dependencies& d) {
  using Run = http::ApiResult<json::object> (*)(const Dependencies&, const json::object&);
  const auto make = [&](const char* name, const char* method, const char* uri,
                        std::vector<http::Binding> bindings, Run run) {
    http::Operation out;
    out.name = name;
    out.method = method;
    out.uri = uri;
    out.bindings = std::move(bindings);
    out.action = std::string("iot:") + name;
    out.resource = [&account = d.account](const json::object& arguments) {
      return account.arn("iot", "client/" + std::string(json::string_or(arguments, "clientId")));
    };
    out.run = [d, run](const http::Call&, const json::object& arguments) { return run(d, arguments); };
    return out;
  };
  return {make("GetConnection", "GET", "/connections/{clientId}",
               {{From::kQuery, "includeSocketInformation", "includeSocketInformation", Type::kBoolean}}, get),
          make("DeleteConnection", "DELETE", "/connections/{clientId}",
               {{From::kQuery, "cleanSession", "cleanSession", Type::kBoolean},
                {From::kQuery, "preventWillMessage", "preventWillMessage", Type::kBoolean}},
               remove),
          make("ListSubscriptions", "GET", "/connections/{clientId}/subscriptions",
               {{From::kQuery, "nextToken", "nextToken"},
                {From::kQuery, "maxResults", "maxResults", Type::kInteger}},
               subscriptions)};
}

}  // namespace fleetward::api::iotdata
