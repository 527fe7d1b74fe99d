#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

// The control packets of MQTT 3.1.1 and MQTT 5, as values. Text and payloads are views: of a decoded packet,
// into the receive buffer (valid until that buffer changes); of a packet to encode, into whatever the caller
// owns. Sources: OASIS "MQTT Version 3.1.1" and "MQTT Version 5.0"; [MQTT-x.y.z-n] are their statement
// numbers (version 5's unless said otherwise).
namespace fleetward::mqtt {

// The protocol level byte of CONNECT.
enum class Version : uint8_t { k311 = 4, k5 = 5 };

enum class PacketType : uint8_t {
  kConnect = 1,
  kConnack = 2,
  kPublish = 3,
  kPuback = 4,
  kPubrec = 5,
  kPubrel = 6,
  kPubcomp = 7,
  kSubscribe = 8,
  kSuback = 9,
  kUnsubscribe = 10,
  kUnsuback = 11,
  kPingreq = 12,
  kPingresp = 13,
  kDisconnect = 14,
  kAuth = 15,
};
// "PUBLISH"
std::string_view to_string(PacketType type);

// MQTT 5 section 2.4. Used for both versions inside the program; the encoder maps to the bytes of 3.1.1.
enum class ReasonCode : uint8_t {
  kSuccess = 0x00,  // also "granted QoS 0" and "normal disconnection"
  kGrantedQos1 = 0x01,
  kGrantedQos2 = 0x02,
  kDisconnectWithWill = 0x04,
  kNoMatchingSubscribers = 0x10,
  kNoSubscriptionExisted = 0x11,
  kContinueAuthentication = 0x18,
  kReauthenticate = 0x19,
  kUnspecifiedError = 0x80,
  kMalformedPacket = 0x81,
  kProtocolError = 0x82,
  kImplementationSpecificError = 0x83,
  kUnsupportedProtocolVersion = 0x84,
  kClientIdentifierNotValid = 0x85,
  kBadUserNameOrPassword = 0x86,
  kNotAuthorized = 0x87,
  kServerUnavailable = 0x88,
  kServerBusy = 0x89,
  kBanned = 0x8A,
  kServerShuttingDown = 0x8B,
  kBadAuthenticationMethod = 0x8C,
  kKeepAliveTimeout = 0x8D,
  kSessionTakenOver = 0x8E,
  kTopicFilterInvalid = 0x8F,
  kTopicNameInvalid = 0x90,
  kPacketIdentifierInUse = 0x91,
  kPacketIdentifierNotFound = 0x92,
  kReceiveMaximumExceeded = 0x93,
  kTopicAliasInvalid = 0x94,
  kPacketTooLarge = 0x95,
  kMessageRateTooHigh = 0x96,
  kQuotaExceeded = 0x97,
  kAdministrativeAction = 0x98,
  kPayloadFormatInvalid = 0x99,
  kRetainNotSupported = 0x9A,
  kQosNotSupported = 0x9B,
  kUseAnotherServer = 0x9C,
  kServerMoved = 0x9D,
  kSharedSubscriptionsNotSupported = 0x9E,
  kConnectionRateExceeded = 0x9F,
  kMaximumConnectTime = 0xA0,
  kSubscriptionIdentifiersNotSupported = 0xA1,
  kWildcardSubscriptionsNotSupported = 0xA2,
};
// Lower-case words for logs and metric labels ("keep_alive_timeout"); "unknown" for a byte that is none.
std::string_view to_string(ReasonCode reason);
constexpr bool is_error(ReasonCode reason) {
  return static_cast<uint8_t>(reason) >= 0x80;
}
// Whether the specification lists the reason for this type of packet (MQTT 5 table 2-6).
bool reason_belongs(PacketType type, ReasonCode reason);
// The return code of a 3.1.1 CONNACK (0..5) that says the same; 3 ("server unavailable") where none does.
uint8_t connack_code_311(ReasonCode reason);

// MQTT 5 section 2.2.2.2; the values are the identifiers on the wire.
enum class Property : uint8_t {
  kPayloadFormat = 0x01,
  kMessageExpiry = 0x02,
  kContentType = 0x03,
  kResponseTopic = 0x08,
  kCorrelationData = 0x09,
  kSubscriptionId = 0x0B,
  kSessionExpiry = 0x11,
  kAssignedClientId = 0x12,
  kServerKeepAlive = 0x13,
  kAuthMethod = 0x15,
  kAuthData = 0x16,
  kRequestProblemInfo = 0x17,
  kWillDelay = 0x18,
  kRequestResponseInfo = 0x19,
  kResponseInfo = 0x1A,
  kServerReference = 0x1C,
  kReasonString = 0x1F,
  kReceiveMaximum = 0x21,
  kTopicAliasMaximum = 0x22,
  kTopicAlias = 0x23,
  kMaximumQos = 0x24,
  kRetainAvailable = 0x25,
  kUserProperty = 0x26,
  kMaximumPacketSize = 0x27,
  kWildcardAvailable = 0x28,
  kSubscriptionIdAvailable = 0x29,
  kSharedAvailable = 0x2A,
};
inline constexpr uint8_t kPropertyIdMax = 0x2A;

struct UserProperty {
  std::string_view name;
  std::string_view value;
};

// The properties of one packet. clear() costs one store, so an instance is reused from packet to packet:
// values of properties that are not present are stale and never read.
class Properties {
 public:
  bool empty() const { return present_ == 0; }
  uint64_t present() const { return present_; }  // bit = identifier
  bool has(Property p) const { return (present_ >> static_cast<unsigned>(p)) & 1; }

  // Numeric properties (one, two or four bytes). Subscription identifiers have their own accessors below.
  uint32_t number(Property p, uint32_t fallback = 0) const { return has(p) ? numbers_[index(p)] : fallback; }
  void set(Property p, uint32_t value) {
    numbers_[index(p)] = value;
    mark(p);
  }
  // UTF-8 and binary properties; empty if absent.
  std::string_view text(Property p) const { return has(p) ? texts_[text_slot(p)] : std::string_view(); }
  void set(Property p, std::string_view value) {
    texts_[text_slot(p)] = value;
    mark(p);
  }
  // In the order of the wire, names may repeat.
  const std::vector<UserProperty>& user() const { return user_; }
  void add_user(std::string_view name, std::string_view value) {
    user_.push_back({name, value});
    mark(Property::kUserProperty);
  }
  // SUBSCRIBE carries one; a PUBLISH toward a client may carry several [MQTT-3.3.4-3].
  const std::vector<uint32_t>& subscription_ids() const { return subscription_ids_; }
  void add_subscription_id(uint32_t id) {
    subscription_ids_.push_back(id);
    mark(Property::kSubscriptionId);
  }
  void remove(Property p) {
    present_ &= ~(uint64_t{1} << static_cast<unsigned>(p));
    if (p == Property::kUserProperty) user_.clear();
    if (p == Property::kSubscriptionId) subscription_ids_.clear();
  }
  void clear() {
    present_ = 0;
    if (!user_.empty()) user_.clear();
    if (!subscription_ids_.empty()) subscription_ids_.clear();
  }

 private:
  static size_t index(Property p) { return static_cast<size_t>(p); }
  static constexpr size_t text_slot(Property p) {
    switch (p) {
      case Property::kContentType:
        return 0;
      case Property::kResponseTopic:
        return 1;
      case Property::kCorrelationData:
        return 2;
      case Property::kAssignedClientId:
        return 3;
      case Property::kAuthMethod:
        return 4;
      case Property::kAuthData:
        return 5;
      case Property::kResponseInfo:
        return 6;
      case Property::kServerReference:
        return 7;
      default:
        return 8;  // kReasonString
    }
  }
  void mark(Property p) { present_ |= uint64_t{1} << static_cast<unsigned>(p); }

  uint64_t present_ = 0;
  std::array<uint32_t, kPropertyIdMax + 1> numbers_{};
  std::array<std::string_view, 9> texts_{};
  std::vector<UserProperty> user_;
  std::vector<uint32_t> subscription_ids_;
};

struct Will {
  uint8_t qos = 0;
  bool retain = false;
  std::string_view topic;
  std::string_view payload;
  Properties properties;  // MQTT 5
};

struct Connect {
  Version version = Version::k311;
  bool clean_start = true;  // 3.1.1: Clean Session
  uint16_t keep_alive_s = 0;
  std::string_view client_id;
  bool has_will = false;
  Will will;
  bool has_user_name = false;
  bool has_password = false;
  std::string_view user_name;
  std::string_view password;
  Properties properties;
};

struct Connack {
  bool session_present = false;
  // 3.1.1 codes are decoded to the reason that says the same.
  ReasonCode reason = ReasonCode::kSuccess;
  Properties properties;
};

struct Publish {
  uint8_t qos = 0;
  bool dup = false;
  bool retain = false;
  uint16_t packet_id = 0;  // 0 with QoS 0
  std::string_view topic;  // MQTT 5: empty if a topic alias stands for it
  std::string_view payload;
  Properties properties;
};

// PUBACK, PUBREC, PUBREL, PUBCOMP.
struct Ack {
  PacketType type = PacketType::kPuback;
  uint16_t packet_id = 0;
  ReasonCode reason = ReasonCode::kSuccess;
  Properties properties;
};

struct Subscription {
  std::string_view filter;
  uint8_t qos = 0;
  // MQTT 5 options; 3.1.1 leaves the defaults.
  bool no_local = false;
  bool retain_as_published = false;
  uint8_t retain_handling = 0;  // 0 send retained, 1 only if new, 2 do not
};

struct Subscribe {
  uint16_t packet_id = 0;
  std::vector<Subscription> subscriptions;
  Properties properties;
};

struct Unsubscribe {
  uint16_t packet_id = 0;
  std::vector<std::string_view> filters;
  Properties properties;
};

// SUBACK, UNSUBACK (whose 3.1.1 form has no reasons).
struct SubscriptionAck {
  PacketType type = PacketType::kSuback;
  uint16_t packet_id = 0;
  std::vector<ReasonCode> reasons;
  Properties properties;
};

struct Disconnect {
  ReasonCode reason = ReasonCode::kSuccess;
  Properties properties;
};

struct Auth {
  ReasonCode reason = ReasonCode::kSuccess;
  Properties properties;
};

// One decoded packet: `type` says which member holds it (PINGREQ and PINGRESP have none). All members stay
// allocated, so one Packet per thread or connection is reused without allocation.
struct Packet {
  PacketType type = PacketType::kPingreq;
  Connect connect;
  Connack connack;
  Publish publish;
  Ack ack;
  Subscribe subscribe;
  SubscriptionAck subscription_ack;
  Unsubscribe unsubscribe;
  Disconnect disconnect;
  Auth auth;
};

}  // namespace fleetward::mqtt
