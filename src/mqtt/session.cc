#include "mqtt/session.h"

#include <algorithm>

namespace fleetward::mqtt {
namespace {

// The reason, if the packet may carry it.
ReasonCode fitting(PacketType type, ReasonCode reason) {
  return reason_belongs(type, reason) ? reason : ReasonCode::kUnspecifiedError;
}

DecoderOptions decoder_options(const SessionOptions& options) {
  return {Receiver::kServer, options.packet_bytes_max, options.user_properties_max, options.filters_max};
}

// Appends the packet; without its reason string and user properties if it would be above what the client
// takes [MQTT-3.2.2-19, MQTT-3.14.2-3].
// False, and nothing written, if the rest is above it too: no packet may be [MQTT-3.1.2-24].
template <typename P>
bool encode_within(std::string& out, Version version, P& packet, uint32_t bytes_max) {
  const size_t start = out.size();
  encode(out, version, packet);
  if (out.size() - start <= bytes_max) return true;
  out.resize(start);
  packet.properties.remove(Property::kReasonString);
  packet.properties.remove(Property::kUserProperty);
  encode(out, version, packet);
  if (out.size() - start <= bytes_max) return true;
  out.resize(start);
  return false;
}

}  // namespace

Session::Session(std::shared_ptr<const SessionOptions> options)
    : options_(std::move(options)), decoder_(decoder_options(*options_)) {}

// Version 5 keeps to its own bound for publishes; twice as many leaves room for as many PUBRELs.
bool Session::inbound_blocked() const {
  const size_t most = options_->receive_maximum;
  return inbound_.size() >= (version() == Version::k311 ? most : 2 * most);
}

Session::FeedResult Session::feed(std::string_view bytes, Timestamp now, std::string& out,
                                  SessionHandler& handler, Packet& scratch) {
  FeedResult result;
  while (state_ != State::kClosed) {
    if (state_ == State::kConnecting || paused_ || inbound_blocked()) {
      result.blocked = result.consumed < bytes.size();
      break;
    }
    const std::string_view rest = bytes.substr(result.consumed);
    if (const Check fault = check_order(rest)) {
      fail(*fault, false, out, handler);
      break;
    }
    // 3.1.1 has an answer to a refused CONNECT for two of the faults; the others just close [MQTT-3.1.4-1].
    const bool in_connect = state_ == State::kExpectConnect;
    const Decoder::Outcome outcome = decoder_.next(rest, scratch);
    if (outcome.kind == Decoder::Kind::kNeedMore) {
      result.needed = outcome.bytes;
      break;
    }
    if (outcome.kind == Decoder::Kind::kError) {
      fail({outcome.error.reason, outcome.error.text}, in_connect, out, handler);
      break;
    }
    result.consumed += outcome.bytes;
    last_packet_ = now;
    if (const Check fault = handle(scratch, out, handler)) fail(*fault, in_connect, out, handler);
  }
  result.close = state_ == State::kClosed;
  return result;
}

// By the type alone, so that a second CONNECT cannot touch the version of the connection.
Session::Check Session::check_order(std::string_view bytes) const {
  if (bytes.empty()) return {};
  const bool is_connect = static_cast<uint8_t>(bytes[0]) >> 4 == static_cast<uint8_t>(PacketType::kConnect);
  if (state_ == State::kExpectConnect && !is_connect) {
    return Fault{ReasonCode::kProtocolError, "the first packet is not CONNECT [MQTT-3.1.0-1]"};
  }
  if (state_ == State::kConnected && is_connect) {
    return Fault{ReasonCode::kProtocolError, "a second CONNECT [MQTT-3.1.0-2]"};
  }
  return {};
}

Session::Check Session::handle(Packet& packet, std::string& out, SessionHandler& handler) {
  switch (packet.type) {
    case PacketType::kPublish:
      return handle_publish(packet.publish, handler);
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp:
      return handle_acknowledgement(packet.ack, out, handler);
    case PacketType::kConnect:
      return handle_connect(packet.connect, handler);
    case PacketType::kSubscribe:
      return handle_subscribe(packet.subscribe, handler);
    case PacketType::kUnsubscribe:
      handler.on_unsubscribe(packet.unsubscribe.packet_id, packet.unsubscribe.filters,
                             packet.unsubscribe.properties);
      return {};
    case PacketType::kPingreq:
      encode_pingresp(out);  // [MQTT-3.12.4-1]
      return {};
    case PacketType::kDisconnect:
      return handle_disconnect(packet.disconnect, handler);
    case PacketType::kAuth:
      return Fault{ReasonCode::kProtocolError,
                   "AUTH without an authentication method in CONNECT [MQTT-4.12.0-6]"};
    default:  // CONNACK, SUBACK, UNSUBACK, PINGRESP: the decoder refuses them
      return Fault{ReasonCode::kProtocolError, "a packet that only a server sends (MQTT 5 section 2.1.2)"};
  }
}

Session::Check Session::handle_connect(const Connect& connect, SessionHandler& handler) {
  const Properties& asked = connect.properties;
  // First of all: also a refusal has to keep to them.
  client_packet_bytes_max_ = asked.number(Property::kMaximumPacketSize, 0xFFFFFFFF);
  problem_information_ = asked.number(Property::kRequestProblemInfo, 1) != 0;
  if (connect.properties.has(Property::kAuthMethod)) {
    return Fault{ReasonCode::kBadAuthenticationMethod,
                 "enhanced authentication is not supported [MQTT-4.12.0-1]"};
  }
  const bool v5 = version() == Version::k5;
  if (connect.client_id.size() > options_->client_id_bytes_max) {
    return Fault{ReasonCode::kClientIdentifierNotValid, "client identifier is too long [MQTT-3.1.3-8]"};
  }
  if (!v5 && connect.client_id.empty() && !connect.clean_start) {
    return Fault{ReasonCode::kClientIdentifierNotValid,
                 "an empty client identifier needs a clean session [MQTT-3.1.1: MQTT-3.1.3-8]"};
  }
  if (connect.has_will) {
    if (connect.will.qos > options_->maximum_qos) {
      return Fault{ReasonCode::kQosNotSupported, "will QoS above the maximum [MQTT-3.2.2-12]"};
    }
    if (connect.will.retain && !options_->retain_available) {
      return Fault{ReasonCode::kRetainNotSupported,
                   "retained will where retain is not available [MQTT-3.2.2-13]"};
    }
    if (const TopicFault fault = check_topic_name(connect.will.topic, options_->topic_limits);
        fault != TopicFault::kNone) {
      return Fault{ReasonCode::kTopicNameInvalid, to_string(fault)};
    }
  }
  asked_keep_alive_s_ = keep_alive_s_ = connect.keep_alive_s;
  if (options_->keep_alive_max_s != 0 && (keep_alive_s_ == 0 || keep_alive_s_ > options_->keep_alive_max_s)) {
    keep_alive_s_ = options_->keep_alive_max_s;
  } else if (keep_alive_s_ != 0) {
    keep_alive_s_ = std::max(keep_alive_s_, options_->keep_alive_min_s);
  }
  window_ = static_cast<uint16_t>(
      std::min<uint32_t>(options_->inflight_max, asked.number(Property::kReceiveMaximum, 65'535)));
  asked_session_expiry_s_ = asked.number(Property::kSessionExpiry, 0);
  state_ = State::kConnecting;
  handler.on_connect(connect);
  return {};
}

ReasonCode Session::check_subscription(const Subscription& subscription) const {
  if (check_topic_filter(subscription.filter, options_->topic_limits) != TopicFault::kNone) {
    return ReasonCode::kTopicFilterInvalid;
  }
  if (!options_->shared_available && subscription.filter.starts_with("$share/")) {
    return ReasonCode::kSharedSubscriptionsNotSupported;
  }
  if (!options_->wildcard_available && has_wildcard(subscription.filter)) {
    return ReasonCode::kWildcardSubscriptionsNotSupported;
  }
  return ReasonCode::kSuccess;
}

Session::Check Session::handle_subscribe(const Subscribe& subscribe, SessionHandler& handler) {
  if (subscribe.properties.has(Property::kSubscriptionId) && !options_->subscription_ids_available) {
    return Fault{ReasonCode::kSubscriptionIdentifiersNotSupported,
                 "subscription identifiers are not available (MQTT 5 section 3.2.2.3.12)"};
  }
  const bool too_high = std::any_of(subscribe.subscriptions.begin(), subscribe.subscriptions.end(),
                                    [&](const Subscription& s) { return s.qos > options_->maximum_qos; });
  if (too_high && options_->subscribe_qos_strict && version() == Version::k311) {
    return Fault{ReasonCode::kQosNotSupported, "SUBSCRIBE asks for a QoS above the maximum"};
  }
  std::vector<RequestedSubscription> requested;
  requested.reserve(subscribe.subscriptions.size());
  for (const Subscription& subscription : subscribe.subscriptions) {
    requested.push_back({subscription, check_subscription(subscription)});
  }
  handler.on_subscribe(subscribe.packet_id, requested, subscribe.properties);
  return {};
}

Session::Check Session::handle_disconnect(const Disconnect& disconnect, SessionHandler& handler) {
  if (asked_session_expiry_s_ == 0 && disconnect.properties.number(Property::kSessionExpiry) != 0) {
    return Fault{ReasonCode::kProtocolError,
                 "DISCONNECT sets a session expiry that CONNECT left at 0 (MQTT 5 section 3.14.2.2.2)"};
  }
  state_ = State::kClosed;
  handler.on_disconnect(disconnect);
  return {};
}

void Session::fail(const Fault& fault, bool in_connect, std::string& out, SessionHandler& handler) {
  if (in_connect && (version() == Version::k5 || fault.reason == ReasonCode::kUnsupportedProtocolVersion ||
                     fault.reason == ReasonCode::kClientIdentifierNotValid)) {
    reject(out, fault.reason, fault.text);
  } else {
    disconnect(out, fault.reason, fault.text);
  }
  handler.on_error(fault.reason, fault.text);
}

void Session::add_reason(Properties& properties, std::string_view reason_string) const {
  if (!reason_string.empty() && problem_information_) properties.set(Property::kReasonString, reason_string);
}

Connack Session::connack_of(const Accept& accept) const {
  Connack connack;
  connack.session_present = accept.session_present;
  if (version() == Version::k5) {
    Properties& p = connack.properties;
    const SessionOptions& o = *options_;
    if (accept.session_expiry_s) p.set(Property::kSessionExpiry, *accept.session_expiry_s);
    p.set(Property::kReceiveMaximum, o.receive_maximum);
    if (o.maximum_qos < 2) p.set(Property::kMaximumQos, o.maximum_qos);
    p.set(Property::kRetainAvailable, o.retain_available ? 1 : 0);
    p.set(Property::kMaximumPacketSize, static_cast<uint32_t>(o.packet_bytes_max));
    if (!accept.assigned_client_id.empty()) p.set(Property::kAssignedClientId, accept.assigned_client_id);
    p.set(Property::kTopicAliasMaximum, o.topic_alias_maximum);
    p.set(Property::kWildcardAvailable, o.wildcard_available ? 1 : 0);
    p.set(Property::kSubscriptionIdAvailable, o.subscription_ids_available ? 1 : 0);
    p.set(Property::kSharedAvailable, o.shared_available ? 1 : 0);
    if (keep_alive_s_ != asked_keep_alive_s_) p.set(Property::kServerKeepAlive, keep_alive_s_);
    if (!accept.response_information.empty()) p.set(Property::kResponseInfo, accept.response_information);
    // Not add_reason(): CONNACK may carry it whatever Request Problem Information says [MQTT-3.1.2-29].
    if (!accept.reason_string.empty()) p.set(Property::kReasonString, accept.reason_string);
  }
  return connack;
}

bool Session::can_accept(const Accept& accept) const {
  Connack connack = connack_of(accept);
  std::string scratch;
  return encode_within(scratch, version(), connack, client_packet_bytes_max_);
}

void Session::accept(std::string& out, const Accept& accept, Timestamp now) {
  if (state_ != State::kConnecting) return;
  Connack connack = connack_of(accept);
  if (!encode_within(out, version(), connack, client_packet_bytes_max_)) {
    state_ = State::kClosed;
    return;
  }
  state_ = State::kConnected;
  last_packet_ = now;
}

void Session::reject(std::string& out, ReasonCode reason, std::string_view reason_string) {
  if (state_ == State::kClosed || state_ == State::kConnected) return;
  state_ = State::kClosed;
  Connack connack;
  connack.reason = reason == ReasonCode::kServerShuttingDown ? ReasonCode::kServerUnavailable
                                                             : fitting(PacketType::kConnack, reason);
  if (!reason_string.empty()) connack.properties.set(Property::kReasonString, reason_string);
  encode_within(out, version(), connack, client_packet_bytes_max_);
}

void Session::disconnect(std::string& out, ReasonCode reason, std::string_view reason_string) {
  switch (state_) {
    case State::kClosed:
      return;
    case State::kExpectConnect:
      state_ = State::kClosed;
      return;
    case State::kConnecting:
      return reject(out, reason, reason_string);
    case State::kConnected:
      break;
  }
  state_ = State::kClosed;
  if (version() != Version::k5) return;
  Disconnect packet;
  packet.reason = fitting(PacketType::kDisconnect, reason);
  add_reason(packet.properties, reason_string);
  encode_within(out, Version::k5, packet, client_packet_bytes_max_);
}

void Session::suback(std::string& out, uint16_t packet_id, std::span<const ReasonCode> reasons) {
  if (state_ != State::kConnected) return;
  SubscriptionAck ack;
  ack.packet_id = packet_id;
  ack.reasons.assign(reasons.begin(), reasons.end());
  if (!encode_within(out, version(), ack, client_packet_bytes_max_)) state_ = State::kClosed;
}

void Session::unsuback(std::string& out, uint16_t packet_id, std::span<const ReasonCode> reasons) {
  if (state_ != State::kConnected) return;
  SubscriptionAck ack;
  ack.type = PacketType::kUnsuback;
  ack.packet_id = packet_id;
  ack.reasons.assign(reasons.begin(), reasons.end());
  if (!encode_within(out, version(), ack, client_packet_bytes_max_)) state_ = State::kClosed;
}

Timestamp Session::keep_alive_deadline() const {
  if (keep_alive_s_ == 0 || state_ != State::kConnected) return {};
  return last_packet_ + Duration(keep_alive_s_ * 1500);
}

}  // namespace fleetward::mqtt
