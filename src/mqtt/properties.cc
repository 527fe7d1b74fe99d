#include "mqtt/properties.h"

#include <bit>
#include <utility>

#include "mqtt/encoder.h"

namespace fleetward::mqtt {
namespace {

enum class Kind : uint8_t { kNone, kBool, kByte, kU16, kU32, kVarint, kText, kBinary, kPair };

// The form of a property and the lists it may stand in (bit = PacketType; bit 0 = will): table 2-4.
struct Rule {
  Kind kind = Kind::kNone;
  uint16_t lists = 0;
  bool non_zero = false;
};

constexpr uint16_t lists(std::initializer_list<PacketType> types, bool will = false) {
  unsigned bits = will ? 1U : 0U;
  for (const PacketType type : types) bits |= 1U << static_cast<unsigned>(type);
  return static_cast<uint16_t>(bits);
}

using enum PacketType;
constexpr uint16_t kAll = 0xFFFF;
constexpr uint16_t kReasonStringLists =
    lists({kConnack, kPuback, kPubrec, kPubrel, kPubcomp, kSuback, kUnsuback, kDisconnect, kAuth});

constexpr std::pair<Property, Rule> kTable[] = {
    {Property::kPayloadFormat, {Kind::kBool, lists({kPublish}, true)}},
    {Property::kMessageExpiry, {Kind::kU32, lists({kPublish}, true)}},
    {Property::kContentType, {Kind::kText, lists({kPublish}, true)}},
    {Property::kResponseTopic, {Kind::kText, lists({kPublish}, true)}},
    {Property::kCorrelationData, {Kind::kBinary, lists({kPublish}, true)}},
    {Property::kSubscriptionId, {Kind::kVarint, lists({kPublish, kSubscribe}), true}},
    {Property::kSessionExpiry, {Kind::kU32, lists({kConnect, kConnack, kDisconnect})}},
    {Property::kAssignedClientId, {Kind::kText, lists({kConnack})}},
    {Property::kServerKeepAlive, {Kind::kU16, lists({kConnack})}},
    {Property::kAuthMethod, {Kind::kText, lists({kConnect, kConnack, kAuth})}},
    {Property::kAuthData, {Kind::kBinary, lists({kConnect, kConnack, kAuth})}},
    {Property::kRequestProblemInfo, {Kind::kBool, lists({kConnect})}},
    {Property::kWillDelay, {Kind::kU32, lists({}, true)}},
    {Property::kRequestResponseInfo, {Kind::kBool, lists({kConnect})}},
    {Property::kResponseInfo, {Kind::kText, lists({kConnack})}},
    {Property::kServerReference, {Kind::kText, lists({kConnack, kDisconnect})}},
    {Property::kReasonString, {Kind::kText, kReasonStringLists}},
    {Property::kReceiveMaximum, {Kind::kU16, lists({kConnect, kConnack}), true}},
    {Property::kTopicAliasMaximum, {Kind::kU16, lists({kConnect, kConnack})}},
    {Property::kTopicAlias, {Kind::kU16, lists({kPublish}), true}},
    {Property::kMaximumQos, {Kind::kBool, lists({kConnack})}},
    {Property::kRetainAvailable, {Kind::kBool, lists({kConnack})}},
    {Property::kUserProperty, {Kind::kPair, kAll}},
    {Property::kMaximumPacketSize, {Kind::kU32, lists({kConnect, kConnack}), true}},
    {Property::kWildcardAvailable, {Kind::kBool, lists({kConnack})}},
    {Property::kSubscriptionIdAvailable, {Kind::kBool, lists({kConnack})}},
    {Property::kSharedAvailable, {Kind::kBool, lists({kConnack})}},
};

constexpr std::array<Rule, kPropertyIdMax + 1> kRules = [] {
  std::array<Rule, kPropertyIdMax + 1> rules{};
  for (const auto& [property, rule] : kTable) rules[static_cast<size_t>(property)] = rule;
  return rules;
}();

bool refuse(DecodeError& error, ReasonCode reason, std::string_view text) {
  error = {reason, text};
  return false;
}

bool cut_short(DecodeError& error) {
  return refuse(error, ReasonCode::kMalformedPacket,
                "a property ends after its property list (MQTT 5 section 2.2.2)");
}

bool read_number(Cursor& list, Property p, const Rule& rule, uint32_t& value, DecodeError& error) {
  uint8_t byte = 0;
  uint16_t two = 0;
  switch (rule.kind) {
    case Kind::kBool:
    case Kind::kByte:
      if (!list.u8(byte)) return cut_short(error);
      value = byte;
      break;
    case Kind::kU16:
      if (!list.u16(two)) return cut_short(error);
      value = two;
      break;
    case Kind::kU32:
      if (!list.u32(value)) return cut_short(error);
      break;
    default:
      if (list.varint(value) != Cursor::Varint::kOk) {
        return refuse(error, ReasonCode::kMalformedPacket,
                      "malformed subscription identifier [MQTT-1.5.5-1]");
      }
  }
  if (rule.kind == Kind::kBool && value > 1) {
    return refuse(error, ReasonCode::kProtocolError,
                  "a property that is 0 or 1 has another value (MQTT 5 section 2.2.2.2)");
  }
  if (rule.non_zero && value == 0) {
    return p == Property::kTopicAlias
               ? refuse(error, ReasonCode::kTopicAliasInvalid, "topic alias is 0 [MQTT-3.3.2-8]")
               : refuse(error, ReasonCode::kProtocolError,
                        "a property that must not be 0 is 0 (MQTT 5 section 2.2.2.2)");
  }
  return true;
}

bool check_text(Property p, std::string_view text, DecodeError& error) {
  if (!is_mqtt_utf8(text)) {
    return refuse(error, ReasonCode::kMalformedPacket, "a property is not well-formed UTF-8 [MQTT-1.5.4-1]");
  }
  if (p == Property::kResponseTopic && text.find_first_of("#+") != std::string_view::npos) {
    return refuse(error, ReasonCode::kProtocolError, "response topic holds a wildcard [MQTT-3.3.2-14]");
  }
  if (p == Property::kResponseTopic && text.empty()) {
    return refuse(error, ReasonCode::kProtocolError, "response topic is empty [MQTT-4.7.3-1]");
  }
  return true;
}

bool read_property(Cursor& list, Property p, const Rule& rule, Properties& properties, DecodeError& error) {
  std::string_view text;
  switch (rule.kind) {
    case Kind::kText:
    case Kind::kBinary:
      if (!list.binary(text)) return cut_short(error);
      if (rule.kind == Kind::kText && !check_text(p, text, error)) return false;
      properties.set(p, text);
      return true;
    case Kind::kPair: {
      std::string_view value;
      if (!list.binary(text) || !list.binary(value)) return cut_short(error);
      if (!check_text(p, text, error) || !check_text(p, value, error)) return false;
      properties.add_user(text, value);
      return true;
    }
    default: {
      uint32_t number = 0;
      if (!read_number(list, p, rule, number, error)) return false;
      if (p == Property::kSubscriptionId) {
        properties.add_subscription_id(number);
      } else {
        properties.set(p, number);
      }
      return true;
    }
  }
}

}  // namespace

bool read_properties(Cursor& cursor, unsigned list, size_t user_properties_max, Properties& properties,
                     DecodeError& error) {
  properties.clear();
  uint32_t size = 0;
  if (cursor.varint(size) != Cursor::Varint::kOk || size > cursor.left()) {
    return refuse(error, ReasonCode::kMalformedPacket, "malformed property length [MQTT-2.2.2-1]");
  }
  Cursor entries{cursor.at, cursor.at + size};
  cursor.at = entries.end;
  while (entries.at != entries.end) {
    // An identifier is a variable byte integer, but all that exist are one byte.
    const auto id = static_cast<uint8_t>(*entries.at++);
    if (id > kPropertyIdMax || kRules[id].kind == Kind::kNone) {
      return refuse(error, ReasonCode::kMalformedPacket,
                    "unknown property identifier (MQTT 5 section 2.2.2.2)");
    }
    const auto property = static_cast<Property>(id);
    const Rule& rule = kRules[id];
    if (((rule.lists >> list) & 1) == 0) {
      return refuse(error, ReasonCode::kProtocolError,
                    "a property that does not belong to this packet (MQTT 5 section 2.2.2.2)");
    }
    const bool repeatable = rule.kind == Kind::kPair || (property == Property::kSubscriptionId &&
                                                         list == properties_of(PacketType::kPublish));
    if (!repeatable && properties.has(property)) {
      return refuse(error, ReasonCode::kProtocolError, "a property stands twice (MQTT 5 section 2.2.2.2)");
    }
    if (rule.kind == Kind::kPair && properties.user().size() >= user_properties_max) {
      return refuse(error, ReasonCode::kQuotaExceeded, "more user properties than this server takes");
    }
    if (!read_property(entries, property, rule, properties, error)) return false;
  }
  if (properties.has(Property::kAuthData) && !properties.has(Property::kAuthMethod)) {
    return refuse(error, ReasonCode::kProtocolError,
                  "authentication data without a method (MQTT 5 section 3.1.2.11.10)");
  }
  return true;
}

size_t properties_size(const Properties& properties) {
  size_t size = 0;
  for (uint64_t bits = properties.present(); bits != 0; bits &= bits - 1) {
    const auto p = static_cast<Property>(std::countr_zero(bits));
    switch (kRules[static_cast<size_t>(p)].kind) {
      case Kind::kNone:
        break;
      case Kind::kBool:
      case Kind::kByte:
        size += 2;
        break;
      case Kind::kU16:
        size += 3;
        break;
      case Kind::kU32:
        size += 5;
        break;
      case Kind::kVarint:
        for (const uint32_t id : properties.subscription_ids()) size += 1 + varint_size(id);
        break;
      case Kind::kText:
      case Kind::kBinary:
        size += 3 + properties.text(p).size();
        break;
      case Kind::kPair:
        for (const UserProperty& user : properties.user()) size += 5 + user.name.size() + user.value.size();
        break;
    }
  }
  return size;
}

namespace {

void write_u16(std::string& out, size_t value) {
  out.push_back(static_cast<char>(value >> 8));
  out.push_back(static_cast<char>(value & 0xFF));
}

void write_text(std::string& out, std::string_view text) {
  write_u16(out, text.size());
  out.append(text);
}

void write_property(std::string& out, Property p, const Properties& properties) {
  const auto id = static_cast<char>(p);
  const Kind kind = kRules[static_cast<size_t>(p)].kind;
  if (kind == Kind::kPair) {
    for (const UserProperty& user : properties.user()) {
      out.push_back(id);
      write_text(out, user.name);
      write_text(out, user.value);
    }
    return;
  }
  if (kind == Kind::kVarint) {
    for (const uint32_t value : properties.subscription_ids()) {
      out.push_back(id);
      write_varint(out, value);
    }
    return;
  }
  out.push_back(id);
  if (kind == Kind::kText || kind == Kind::kBinary) return write_text(out, properties.text(p));
  const uint32_t number = properties.number(p);
  if (kind == Kind::kU32) write_u16(out, number >> 16);
  if (kind == Kind::kU16 || kind == Kind::kU32) return write_u16(out, number & 0xFFFF);
  out.push_back(static_cast<char>(number));
}

}  // namespace

void write_properties(std::string& out, const Properties& properties, size_t size) {
  write_varint(out, static_cast<uint32_t>(size));
  for (uint64_t bits = properties.present(); bits != 0; bits &= bits - 1) {
    write_property(out, static_cast<Property>(std::countr_zero(bits)), properties);
  }
}

void write_varint(std::string& out, uint32_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

}  // namespace fleetward::mqtt
