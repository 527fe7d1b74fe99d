#include "mqtt/packet.h"

namespace fleetward::mqtt {

std::string_view to_string(ReasonCode reason) {
  switch (reason) {
    case ReasonCode::kSuccess:
      return "success";
    case ReasonCode::kGrantedQos1:
      return "granted_qos_1";
    case ReasonCode::kGrantedQos2:
      return "granted_qos_2";
    case ReasonCode::kDisconnectWithWill:
      return "disconnect_with_will";
    case ReasonCode::kNoMatchingSubscribers:
      return "no_matching_subscribers";
    case ReasonCode::kNoSubscriptionExisted:
      return "no_subscription_existed";
    case ReasonCode::kContinueAuthentication:
      return "continue_authentication";
    case ReasonCode::kReauthenticate:
      return "reauthenticate";
    case ReasonCode::kUnspecifiedError:
      return "unspecified_error";
    case ReasonCode::kMalformedPacket:
      return "malformed_packet";
    case ReasonCode::kProtocolError:
      return "protocol_error";
    case ReasonCode::kImplementationSpecificError:
      return "implementation_specific_error";
    case ReasonCode::kUnsupportedProtocolVersion:
      return "unsupported_protocol_version";
    case ReasonCode::kClientIdentifierNotValid:
      return "client_identifier_not_valid";
    case ReasonCode::kBadUserNameOrPassword:
      return "bad_user_name_or_password";
    case ReasonCode::kNotAuthorized:
      return "not_authorized";
    case ReasonCode::kServerUnavailable:
      return "server_unavailable";
    case ReasonCode::kServerBusy:
      return "server_busy";
    case ReasonCode::kBanned:
      return "banned";
    case ReasonCode::kServerShuttingDown:
      return "server_shutting_down";
    case ReasonCode::kBadAuthenticationMethod:
      return "bad_authentication_method";
    case ReasonCode::kKeepAliveTimeout:
      return "keep_alive_timeout";
    case ReasonCode::kSessionTakenOver:
      return "session_taken_over";
    case ReasonCode::kTopicFilterInvalid:
      return "topic_filter_invalid";
    case ReasonCode::kTopicNameInvalid:
      return "topic_name_invalid";
    case ReasonCode::kPacketIdentifierInUse:
      return "packet_identifier_in_use";
    case ReasonCode::kPacketIdentifierNotFound:
      return "packet_identifier_not_found";
    case ReasonCode::kReceiveMaximumExceeded:
      return "receive_maximum_exceeded";
    case ReasonCode::kTopicAliasInvalid:
      return "topic_alias_invalid";
    case ReasonCode::kPacketTooLarge:
      return "packet_too_large";
    case ReasonCode::kMessageRateTooHigh:
      return "message_rate_too_high";
    case ReasonCode::kQuotaExceeded:
      return "quota_exceeded";
    case ReasonCode::kAdministrativeAction:
      return "administrative_action";
    case ReasonCode::kPayloadFormatInvalid:
      return "payload_format_invalid";
    case ReasonCode::kRetainNotSupported:
      return "retain_not_supported";
    case ReasonCode::kQosNotSupported:
      return "qos_not_supported";
    case ReasonCode::kUseAnotherServer:
      return "use_another_server";
    case ReasonCode::kServerMoved:
      return "server_moved";
    case ReasonCode::kSharedSubscriptionsNotSupported:
      return "shared_subscriptions_not_supported";
    case ReasonCode::kConnectionRateExceeded:
      return "connection_rate_exceeded";
    case ReasonCode::kMaximumConnectTime:
      return "maximum_connect_time";
    case ReasonCode::kSubscriptionIdentifiersNotSupported:
      return "subscription_identifiers_not_supported";
    case ReasonCode::kWildcardSubscriptionsNotSupported:
      return "wildcard_subscriptions_not_supported";
  }
  return "unknown";
}

uint8_t connack_code_311(ReasonCode reason) {
  switch (reason) {
    case ReasonCode::kSuccess:
      return 0;
    case ReasonCode::kUnsupportedProtocolVersion:
      return 1;
    case ReasonCode::kClientIdentifierNotValid:
      return 2;
    case ReasonCode::kBadUserNameOrPassword:
      return 4;
    case ReasonCode::kNotAuthorized:
    case ReasonCode::kBanned:
    case ReasonCode::kBadAuthenticationMethod:
      return 5;
    default:
      return 3;
  }
}

namespace {

constexpr uint16_t bit(PacketType type) {
  return static_cast<uint16_t>(1U << static_cast<unsigned>(type));
}

// MQTT 5 table 2-6: the packets of each reason code.
constexpr uint16_t packets_of(ReasonCode reason) {
  using enum PacketType;
  constexpr unsigned kConn = bit(kConnack);
  constexpr unsigned kDisc = bit(kDisconnect);
  constexpr unsigned kPub = bit(kPuback) | bit(kPubrec);
  constexpr unsigned kSub = bit(kSuback);
  constexpr unsigned kUnsub = bit(kUnsuback);
  constexpr unsigned kAuthPacket = bit(kAuth);
  unsigned packets = 0;
  switch (reason) {
    case ReasonCode::kSuccess:
      packets = kConn | kPub | bit(kPubrel) | bit(kPubcomp) | kSub | kUnsub | kAuthPacket | kDisc;
      break;
    case ReasonCode::kGrantedQos1:
    case ReasonCode::kGrantedQos2:
      packets = kSub;
      break;
    case ReasonCode::kNoMatchingSubscribers:
      packets = kPub;
      break;
    case ReasonCode::kNoSubscriptionExisted:
      packets = kUnsub;
      break;
    case ReasonCode::kContinueAuthentication:
    case ReasonCode::kReauthenticate:
      packets = kAuthPacket;
      break;
    case ReasonCode::kUnspecifiedError:
    case ReasonCode::kImplementationSpecificError:
    case ReasonCode::kNotAuthorized:
      packets = kConn | kPub | kSub | kUnsub | kDisc;
      break;
    case ReasonCode::kMalformedPacket:
    case ReasonCode::kProtocolError:
    case ReasonCode::kServerBusy:
    case ReasonCode::kBadAuthenticationMethod:
    case ReasonCode::kPacketTooLarge:
    case ReasonCode::kRetainNotSupported:
    case ReasonCode::kQosNotSupported:
    case ReasonCode::kUseAnotherServer:
    case ReasonCode::kServerMoved:
    case ReasonCode::kConnectionRateExceeded:
      packets = kConn | kDisc;
      break;
    case ReasonCode::kUnsupportedProtocolVersion:
    case ReasonCode::kClientIdentifierNotValid:
    case ReasonCode::kBadUserNameOrPassword:
    case ReasonCode::kServerUnavailable:
    case ReasonCode::kBanned:
      packets = kConn;
      break;
    case ReasonCode::kTopicFilterInvalid:
      packets = kSub | kUnsub | kDisc;
      break;
    case ReasonCode::kTopicNameInvalid:
      packets = kConn | kPub | kDisc;
      break;
    case ReasonCode::kPacketIdentifierInUse:
      packets = kPub | kSub | kUnsub;
      break;
    case ReasonCode::kPacketIdentifierNotFound:
      packets = bit(kPubrel) | bit(kPubcomp);
      break;
    case ReasonCode::kQuotaExceeded:
      packets = kConn | kPub | kSub | kDisc;
      break;
    case ReasonCode::kPayloadFormatInvalid:
      packets = kConn | kPub | kDisc;
      break;
    case ReasonCode::kSharedSubscriptionsNotSupported:
    case ReasonCode::kSubscriptionIdentifiersNotSupported:
    case ReasonCode::kWildcardSubscriptionsNotSupported:
      packets = kSub | kDisc;
      break;
    case ReasonCode::kDisconnectWithWill:
    case ReasonCode::kServerShuttingDown:
    case ReasonCode::kKeepAliveTimeout:
    case ReasonCode::kSessionTakenOver:
    case ReasonCode::kReceiveMaximumExceeded:
    case ReasonCode::kTopicAliasInvalid:
    case ReasonCode::kMessageRateTooHigh:
    case ReasonCode::kAdministrativeAction:
    case ReasonCode::kMaximumConnectTime:
      packets = kDisc;
      break;
  }
  return static_cast<uint16_t>(packets);
}

}  // namespace

bool reason_belongs(PacketType type, ReasonCode reason) {
  return (packets_of(reason) & bit(type)) != 0;
}

}  // namespace fleetward::mqtt
