#include "test/unit/mqtt/text_bytes.h"

#include <stdexcept>
#include <vector>

#include "core/encoding.h"
#include "mqtt/encoder.h"

namespace fleetward::mqtt::test {
namespace {

std::string varint(size_t value) {
  std::string out;
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
  return out;
}

std::string sized(const std::string& text) {
  return std::string{static_cast<char>(text.size() >> 8), static_cast<char>(text.size() & 0xFF)} + text;
}

// What stands between the quotes at text[at]; moves `at` behind them.
std::string quoted(std::string_view text, size_t& at) {
  const size_t end = text.find('\'', at + 1);
  if (end == std::string_view::npos) throw std::runtime_error("open quote");
  std::string inside(text.substr(at + 1, end - at - 1));
  at = end + 1;
  return inside;
}

std::string from_hex_or_throw(std::string_view digits) {
  auto bytes = from_hex(digits);
  if (!bytes) throw std::runtime_error("not hex: " + std::string(digits));
  return *bytes;
}

std::string show(std::string_view text) {
  for (const char c : text) {
    if (c < 0x20 || c > 0x7E) return "x'" + to_hex(text) + "'";
  }
  return "'" + std::string(text) + "'";
}

std::string reason(ReasonCode code) {
  return code == ReasonCode::kSuccess ? "" : " reason=" + std::string(to_string(code));
}

std::string_view name_of(Property p) {
  switch (p) {
    case Property::kPayloadFormat:
      return "payload_format";
    case Property::kMessageExpiry:
      return "message_expiry";
    case Property::kContentType:
      return "content_type";
    case Property::kResponseTopic:
      return "response_topic";
    case Property::kCorrelationData:
      return "correlation_data";
    case Property::kSubscriptionId:
      return "subscription_id";
    case Property::kSessionExpiry:
      return "session_expiry";
    case Property::kAssignedClientId:
      return "assigned_client_id";
    case Property::kServerKeepAlive:
      return "server_keep_alive";
    case Property::kAuthMethod:
      return "auth_method";
    case Property::kAuthData:
      return "auth_data";
    case Property::kRequestProblemInfo:
      return "request_problem_info";
    case Property::kWillDelay:
      return "will_delay";
    case Property::kRequestResponseInfo:
      return "request_response_info";
    case Property::kResponseInfo:
      return "response_info";
    case Property::kServerReference:
      return "server_reference";
    case Property::kReasonString:
      return "reason_string";
    case Property::kReceiveMaximum:
      return "receive_maximum";
    case Property::kTopicAliasMaximum:
      return "topic_alias_maximum";
    case Property::kTopicAlias:
      return "topic_alias";
    case Property::kMaximumQos:
      return "maximum_qos";
    case Property::kRetainAvailable:
      return "retain_available";
    case Property::kUserProperty:
      return "user";
    case Property::kMaximumPacketSize:
      return "maximum_packet_size";
    case Property::kWildcardAvailable:
      return "wildcard_available";
    case Property::kSubscriptionIdAvailable:
      return "subscription_id_available";
    case Property::kSharedAvailable:
      return "shared_available";
  }
  return "?";
}

bool is_text(Property p) {
  switch (p) {
    case Property::kContentType:
    case Property::kResponseTopic:
    case Property::kCorrelationData:
    case Property::kAssignedClientId:
    case Property::kAuthMethod:
    case Property::kAuthData:
    case Property::kResponseInfo:
    case Property::kServerReference:
    case Property::kReasonString:
      return true;
    default:
      return false;
  }
}

std::string describe_connect(const Connect& c) {
  std::string out = c.version == Version::k5 ? " v5" : " v4";
  if (c.clean_start) out += " clean";
  out += " keep_alive=" + std::to_string(c.keep_alive_s) + " client=" + show(c.client_id);
  if (c.has_will) {
    out += " will=" + show(c.will.topic) + ":" + show(c.will.payload) +
           " will_qos=" + std::to_string(c.will.qos);
    if (c.will.retain) out += " will_retain";
    out += describe_properties(c.will.properties);
  }
  if (c.has_user_name) out += " user_name=" + show(c.user_name);
  if (c.has_password) out += " password=" + show(c.password);
  return out + describe_properties(c.properties);
}

std::string describe_publish(const Publish& p) {
  std::string out = " q" + std::to_string(p.qos);
  if (p.dup) out += " dup";
  if (p.retain) out += " retain";
  if (p.packet_id != 0) out += " id=" + std::to_string(p.packet_id);
  return out + " topic=" + show(p.topic) + " payload=" + show(p.payload) + describe_properties(p.properties);
}

std::string describe_subscribe(const Subscribe& s) {
  std::string out = " id=" + std::to_string(s.packet_id);
  for (const Subscription& each : s.subscriptions) {
    out += " " + show(each.filter) + ":q" + std::to_string(each.qos);
    if (each.no_local) out += ",no_local";
    if (each.retain_as_published) out += ",as_published";
    if (each.retain_handling != 0) out += ",handling" + std::to_string(each.retain_handling);
  }
  return out + describe_properties(s.properties);
}

}  // namespace

std::string parse_bytes(std::string_view text) {
  std::vector<std::string> open(1);
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == ' ') {
      ++at;
    } else if (c == '[' || c == '(') {
      open.emplace_back();
      ++at;
    } else if (c == ']' || c == ')') {
      if (open.size() < 2) throw std::runtime_error("bracket closed twice");
      const std::string inside = open.back();
      open.pop_back();
      open.back() += varint(inside.size()) + inside;
      ++at;
    } else if (c == '\'') {
      open.back() += quoted(text, at);
    } else if ((c == 's' || c == 'u') && at + 1 < text.size() && text[at + 1] == '\'') {
      const std::string inside = quoted(text, ++at);
      open.back() += sized(c == 's' ? inside : from_hex_or_throw(inside));
    } else {
      size_t end = text.find_first_of(" []()'*", at);
      if (end == std::string_view::npos) end = text.size();
      const std::string bytes = from_hex_or_throw(text.substr(at, end - at));
      size_t times = 1;
      if (end < text.size() && text[end] == '*') {
        size_t used = 0;
        times = std::stoul(std::string(text.substr(end + 1)), &used);
        end += 1 + used;
      }
      for (size_t i = 0; i < times; ++i) open.back() += bytes;
      at = end;
    }
  }
  if (open.size() != 1) throw std::runtime_error("bracket left open");
  return open[0];
}

std::string describe_properties(const Properties& properties) {
  std::string out;
  for (uint8_t id = 1; id <= kPropertyIdMax; ++id) {
    const auto p = static_cast<Property>(id);
    if (!properties.has(p)) continue;
    if (p == Property::kUserProperty) {
      for (const UserProperty& u : properties.user()) out += " user:" + show(u.name) + "=" + show(u.value);
    } else if (p == Property::kSubscriptionId) {
      for (const uint32_t each : properties.subscription_ids())
        out += " subscription_id=" + std::to_string(each);
    } else if (is_text(p)) {
      out += " " + std::string(name_of(p)) + "=" + show(properties.text(p));
    } else {
      out += " " + std::string(name_of(p)) + "=" + std::to_string(properties.number(p));
    }
  }
  return out;
}

std::string describe(const Packet& packet, Version version) {
  std::string out(to_string(packet.type));
  switch (packet.type) {
    case PacketType::kConnect:
      return out + describe_connect(packet.connect);
    case PacketType::kConnack:
      if (packet.connack.session_present) out += " session_present";
      return out + reason(packet.connack.reason) + describe_properties(packet.connack.properties);
    case PacketType::kPublish:
      return out + describe_publish(packet.publish);
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp:
      return out + " id=" + std::to_string(packet.ack.packet_id) + reason(packet.ack.reason) +
             describe_properties(packet.ack.properties);
    case PacketType::kSubscribe:
      return out + describe_subscribe(packet.subscribe);
    case PacketType::kUnsubscribe:
      out += " id=" + std::to_string(packet.unsubscribe.packet_id);
      for (const auto filter : packet.unsubscribe.filters) out += " " + show(filter);
      return out + describe_properties(packet.unsubscribe.properties);
    case PacketType::kSuback:
    case PacketType::kUnsuback:
      out += " id=" + std::to_string(packet.subscription_ack.packet_id);
      if (version == Version::k5 || packet.type == PacketType::kSuback) {
        for (const auto code : packet.subscription_ack.reasons) out += " " + std::string(to_string(code));
      }
      return out + describe_properties(packet.subscription_ack.properties);
    case PacketType::kDisconnect:
      return out + reason(packet.disconnect.reason) + describe_properties(packet.disconnect.properties);
    case PacketType::kAuth:
      return out + reason(packet.auth.reason) + describe_properties(packet.auth.properties);
    default:
      return out;
  }
}

std::string hex(std::string_view bytes) {
  return to_hex(bytes);
}

}  // namespace fleetward::mqtt::test
