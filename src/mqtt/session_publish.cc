// The part of the session that carries publishes: both windows, QoS 1 and 2.
#include "mqtt/session.h"

namespace fleetward::mqtt {
namespace {

using Stage = InflightWindow::Stage;

Stage stage_of(uint8_t qos) {
  return qos == 2 ? Stage::kAwaitsPubrec : Stage::kAwaitsPuback;
}

}  // namespace

// ---------------------------------------------------------------- from the client

Session::Check Session::resolve_alias(Publish& publish) {
  if (!publish.properties.has(Property::kTopicAlias)) return {};
  const uint32_t alias = publish.properties.number(Property::kTopicAlias);
  if (alias > options_->topic_alias_maximum) {
    return Fault{ReasonCode::kTopicAliasInvalid, "topic alias above the maximum [MQTT-3.3.2-9]"};
  }
  publish.properties.remove(Property::kTopicAlias);  // of this connection: nobody else's [MQTT-3.1.2-27]
  if (publish.topic.empty()) {
    if (alias > aliases_.size() || aliases_[alias - 1].empty()) {
      return Fault{ReasonCode::kProtocolError, "topic alias without a topic (MQTT 5 section 3.3.2.3.4)"};
    }
    publish.topic = aliases_[alias - 1];
    return {};
  }
  if (alias > aliases_.size()) aliases_.resize(alias);
  aliases_[alias - 1].assign(publish.topic);
  return {};
}

Session::Check Session::handle_publish(Publish& publish, SessionHandler& handler) {
  if (publish.qos > options_->maximum_qos) {
    return Fault{ReasonCode::kQosNotSupported, "QoS above the maximum [MQTT-3.2.2-11]"};
  }
  if (publish.retain && !options_->retain_available) {
    return Fault{ReasonCode::kRetainNotSupported, "RETAIN where it is not available [MQTT-3.2.2-14]"};
  }
  // A 3.1.1 client is not read from instead (inbound_blocked).
  if (publish.qos > 0 && version() == Version::k5 && quota_used_ >= options_->receive_maximum) {
    return Fault{ReasonCode::kReceiveMaximumExceeded,
                 "more unacknowledged publishes than Receive Maximum [MQTT-3.3.4-7]"};
  }
  if (version() == Version::k5 && !publish.properties.empty()) {
    if (const Check fault = resolve_alias(publish)) return fault;
  }
  if (const TopicFault fault = check_topic_name(publish.topic, options_->topic_limits);
      fault != TopicFault::kNone) {
    return Fault{ReasonCode::kTopicNameInvalid, to_string(fault)};
  }
  if (publish.qos == 2) return handle_qos2_publish(publish, handler);
  if (publish.qos == 1) ++quota_used_;
  handler.on_publish(publish, publish.qos > 0 ? inbound_.push(publish.packet_id) : kNoTicket);
  return {};
}

// Known identifiers are repetitions until their PUBCOMP has left; those that an earlier connection left
// behind join the quota when they are sent again.
Session::Check Session::handle_qos2_publish(const Publish& publish, SessionHandler& handler) {
  Unreleased::Item* known = unreleased_.find(publish.packet_id);
  if (known != nullptr) {
    if (!known->counted) ++quota_used_;
    known->counted = true;
    handler.on_repeated_publish(publish, inbound_.push(publish.packet_id, PacketType::kPubrec));
    return {};
  }
  if (version() == Version::k311 && unreleased_.size() >= options_->unreleased_max) {
    return Fault{ReasonCode::kReceiveMaximumExceeded,
                 "more QoS 2 publishes without PUBREL than this server takes"};
  }
  unreleased_.insert({publish.packet_id, true, false});
  ++quota_used_;
  handler.on_publish(publish, inbound_.push(publish.packet_id, PacketType::kPubrec));
  return {};
}

void Session::handle_pubrel(const Ack& ack, SessionHandler& handler) {
  Unreleased::Item* item = unreleased_.find(ack.packet_id);
  const bool known = item != nullptr && !item->releasing;
  if (known) item->releasing = true;
  const ReasonCode reason = item == nullptr ? ReasonCode::kPacketIdentifierNotFound : ReasonCode::kSuccess;
  handler.on_pubrel(ack.packet_id, inbound_.push(ack.packet_id, PacketType::kPubcomp, reason), known);
}

void Session::remember(std::span<const uint16_t> unreleased) {
  for (const uint16_t packet_id : unreleased) {
    if (unreleased_.find(packet_id) == nullptr) unreleased_.insert({packet_id, false, false});
  }
}

void Session::acknowledge(std::string& out, AckTicket ticket, ReasonCode reason) {
  if (!inbound_.mark(ticket, reason)) return;
  while (const auto done = inbound_.pop_marked()) answer(out, *done);
}

void Session::acknowledge_through(std::string& out, AckTicket last) {
  for (AckTicket ticket = inbound_.head(); ticket <= last && inbound_.size() > 0; ++ticket)
    acknowledge(out, ticket);
}

void Session::drop(std::string& out, AckTicket ticket) {
  if (!inbound_.mark(ticket, ReasonCode::kUnspecifiedError, true)) return;
  while (const auto done = inbound_.pop_marked()) answer(out, *done);
}

void Session::answer(std::string& out, const AckRing::Done& done) {
  const bool failed = is_error(done.reason);
  if (done.type == PacketType::kPuback) {
    --quota_used_;
  } else if (done.type == PacketType::kPubcomp ? !failed : failed) {
    forget(done.packet_id);
  }
  // 3.1.1 has no reasons: a refused publish is not answered, a PUBREL of nothing is like any other.
  const bool tell = !failed || version() == Version::k5 || done.type == PacketType::kPubcomp;
  if (state_ == State::kConnected && tell &&
      !done.silent)  // shorter than any CONNACK: within the client's maximum
    encode_ack(out, done.type, version(), done.packet_id, done.reason);
}

void Session::forget(uint16_t packet_id) {
  const auto item = unreleased_.erase(packet_id);
  if (item && item->counted) --quota_used_;
}

// ---------------------------------------------------------------- to the client

// An acknowledgement of nothing is harmless, and a client that resumes a session may send one; one that does
// not fit the QoS or the state of the publish it names is not.
Session::Check Session::handle_acknowledgement(const Ack& ack, std::string& out, SessionHandler& handler) {
  const auto entry = outbound_.find(ack.packet_id);
  const bool known =
      ack.type == PacketType::kPubrel ? unreleased_.find(ack.packet_id) != nullptr : entry.has_value();
  if (options_->maximum_qos < 2 && !known && ack.type != PacketType::kPuback) {
    return Fault{ReasonCode::kProtocolError,
                 "a QoS 2 acknowledgement on a connection without QoS 2 [MQTT-3.2.2-11]"};
  }
  switch (ack.type) {
    case PacketType::kPubrel:
      handle_pubrel(ack, handler);
      return {};
    case PacketType::kPubrec:
      return handle_pubrec(ack, out, handler);
    default:
      break;
  }
  if (!entry) return {};
  const bool fits = ack.type == PacketType::kPuback
                        ? entry->stage == Stage::kAwaitsPuback
                        : entry->stage == Stage::kAwaitsPubcomp || entry->stage == Stage::kToRelease;
  if (!fits) {
    return Fault{
        ReasonCode::kProtocolError,
        "an acknowledgement that does not belong to the publish's QoS and state (MQTT 5 section 4.3)"};
  }
  outbound_.release(ack.packet_id);
  handler.on_puback(ack.packet_id, ack.reason, entry->cookie);
  return {};
}

Session::Check Session::handle_pubrec(const Ack& ack, std::string& out, SessionHandler& handler) {
  const auto entry = outbound_.find(ack.packet_id);
  if (!entry || entry->stage == Stage::kReserved) {
    // 3.1.1 wants a PUBREL for every PUBREC; version 5 can say why there is nothing to release.
    encode_ack(out, PacketType::kPubrel, version(), ack.packet_id, ReasonCode::kPacketIdentifierNotFound);
    return {};
  }
  switch (entry->stage) {
    case Stage::kAwaitsPubrec:
      if (is_error(ack.reason)) {
        outbound_.release(ack.packet_id);
        handler.on_puback(ack.packet_id, ack.reason, entry->cookie);
        return {};
      }
      outbound_.set_stage(ack.packet_id, Stage::kToRelease);
      handler.on_pubrec(ack.packet_id, entry->cookie);
      return {};
    case Stage::kAwaitsPubcomp:
      encode_ack(out, PacketType::kPubrel, version(), ack.packet_id);
      return {};
    case Stage::kToRelease:
      return {};  // release() will answer
    default:
      return Fault{ReasonCode::kProtocolError, "PUBREC for a QoS 1 publish (MQTT 5 section 4.3.2)"};
  }
}

// Encodes straight into `out`; takes it back if it is above the client's limit.
bool Session::append_within(std::string& out, const Publish& message, const PublishHeader& header) const {
  const size_t start = out.size();
  encode_publish(out, version(), message, header);
  if (out.size() - start <= client_packet_bytes_max_) return true;
  out.resize(start);
  return false;
}

Session::Sent Session::publish(std::string& out, const Publish& message, uint64_t cookie) {
  if (state_ != State::kConnected) return Sent::kClosed;
  PublishHeader header{message.qos, false, message.retain, 0};
  if (message.qos == 0) return append_within(out, message, header) ? Sent::kSent : Sent::kTooLarge;
  if (window_full()) return Sent::kWindowFull;
  header.packet_id = outbound_.take(cookie, stage_of(message.qos));
  if (append_within(out, message, header)) return Sent::kSent;
  outbound_.release(header.packet_id);
  return Sent::kTooLarge;
}

Session::Sent Session::publish(std::string& out, const PublishFrame& frame, uint64_t cookie) {
  if (state_ != State::kConnected) return Sent::kClosed;
  if (frame.bytes.size() > client_packet_bytes_max_) return Sent::kTooLarge;
  if (frame.qos == 0) {
    out.append(frame.bytes);
    return Sent::kSent;
  }
  if (window_full()) return Sent::kWindowFull;
  frame.append_to(out, outbound_.take(cookie, stage_of(frame.qos)));
  return Sent::kSent;
}

std::optional<uint16_t> Session::reserve(uint64_t cookie) {
  if (state_ != State::kConnected || window_full()) return std::nullopt;
  return outbound_.take(cookie, Stage::kReserved);
}

Session::Sent Session::publish_reserved(std::string& out, const Publish& message, uint16_t packet_id,
                                        bool dup) {
  if (state_ != State::kConnected) return Sent::kClosed;
  if (!append_within(out, message, {2, dup, message.retain, packet_id})) {
    outbound_.release(packet_id);
    return Sent::kTooLarge;
  }
  outbound_.set_stage(packet_id, Stage::kAwaitsPubrec);
  return Sent::kSent;
}

void Session::release(std::string& out, uint16_t packet_id) {
  const auto entry = outbound_.find(packet_id);
  if (state_ != State::kConnected || !entry || entry->stage != Stage::kToRelease) return;
  outbound_.set_stage(packet_id, Stage::kAwaitsPubcomp);
  encode_ack(out, PacketType::kPubrel, version(), packet_id);
}

Session::Sent Session::resend(std::string& out, const Publish& message, uint16_t packet_id, uint64_t cookie) {
  if (state_ != State::kConnected) return Sent::kClosed;
  if (window_full() || !outbound_.adopt(packet_id, cookie, stage_of(message.qos))) return Sent::kWindowFull;
  if (append_within(out, message, {message.qos, true, message.retain, packet_id})) return Sent::kSent;
  outbound_.release(packet_id);
  return Sent::kTooLarge;
}

bool Session::adopt(uint16_t packet_id, uint64_t cookie, bool received) {
  if (state_ != State::kConnected || (!received && window_full())) return false;
  return outbound_.adopt(packet_id, cookie, received ? Stage::kToRelease : Stage::kReserved);
}

}  // namespace fleetward::mqtt
