#include "detect/event.h"

#include "detect/address_bytes.h"
#include "detect/bytes.h"

namespace fleetward::detect {
namespace {

constexpr uint8_t kEventVersion = 3;

void head(Event::Kind kind, Timestamp time, std::string& out) {
  out.push_back(static_cast<char>(kEventVersion));
  out.push_back(static_cast<char>(kind));
  bytes::put_varint(out, static_cast<uint64_t>(time.ms));
}

Timestamp time_in(bytes::Reader& in) {
  return {static_cast<int64_t>(in.varint())};
}

void put_messages(const MessageCounters& counters, std::string& out) {
  for (const uint64_t value :
       {counters.messages_sent, counters.messages_received, counters.message_bytes_total,
        counters.message_bytes_min, counters.message_bytes_max, counters.authorization_failures}) {
    bytes::put_varint(out, value);
  }
}

void read_messages(bytes::Reader& in, MessageCounters& out) {
  out.messages_sent = in.varint();
  out.messages_received = in.varint();
  out.message_bytes_total = in.varint();
  out.message_bytes_min = in.varint();
  out.message_bytes_max = in.varint();
  out.authorization_failures = in.varint();
}

void replace_addresses(bytes::Reader& in, std::vector<IpAddress>& out) {
  out.clear();
  bytes::read_addresses(in, out);
}

void read_observation(bytes::Reader& in, Observation& out) {
  out.from = time_in(in);
  read_messages(in, out);
  out.connection_attempts = in.varint();
  out.disconnects = in.varint();
  out.connected = in.u8() != 0;
  out.disconnected_since = time_in(in);
  replace_addresses(in, out.addresses);
  out.dimensions.resize(in.count(9));
  for (DimensionCounters& counters : out.dimensions) {
    counters.dimension.op = in.u8() == 0 ? DimensionOperator::kIn : DimensionOperator::kNotIn;
    counters.dimension.name = in.string();
    read_messages(in, counters);
    replace_addresses(in, counters.addresses);
  }
}

}  // namespace

void encode_report_event(std::string_view thing, Timestamp received, const Report& report, std::string& out) {
  head(Event::Kind::kReport, received, out);
  bytes::put_string(out, thing);
  encode_report(report, out);
}

void encode_observation_event(std::string_view thing, const Observation& o, std::string& out) {
  head(Event::Kind::kObservation, o.to, out);
  bytes::put_string(out, thing);
  bytes::put_varint(out, static_cast<uint64_t>(o.from.ms));
  put_messages(o, out);
  bytes::put_varint(out, o.connection_attempts);
  bytes::put_varint(out, o.disconnects);
  out.push_back(o.connected ? 1 : 0);
  bytes::put_varint(out, static_cast<uint64_t>(o.disconnected_since.ms));
  bytes::put_addresses(out, o.addresses);
  bytes::put_varint(out, o.dimensions.size());
  for (const DimensionCounters& counters : o.dimensions) {
    out.push_back(counters.dimension.op == DimensionOperator::kIn ? 0 : 1);
    bytes::put_string(out, counters.dimension.name);
    put_messages(counters, out);
    bytes::put_addresses(out, counters.addresses);
  }
}

void encode_tick_event(Timestamp time, std::string& out) {
  head(Event::Kind::kTick, time, out);
}

void encode_restart_event(Timestamp time, std::string& out) {
  head(Event::Kind::kRestart, time, out);
}

void encode_thresholds_event(Timestamp time, const std::vector<Threshold>& thresholds, std::string& out) {
  head(Event::Kind::kThresholds, time, out);
  bytes::put_varint(out, thresholds.size());
  for (const Threshold& threshold : thresholds) {
    bytes::put_u64(out, threshold.behavior_key);
    bytes::put_double(out, threshold.value);
    bytes::put_varint(out, threshold.population);
  }
}

std::string_view peek_thing(std::string_view bytes) {
  bytes::Reader in{bytes};
  in.u8();
  const auto kind = static_cast<Event::Kind>(in.u8());
  if (kind != Event::Kind::kReport && kind != Event::Kind::kObservation) return {};
  in.varint();
  const std::string_view thing = in.string();
  return in.ok ? thing : std::string_view();
}

Status decode_event(std::string_view bytes, Event& out) {
  bytes::Reader in{bytes};
  if (in.u8() != kEventVersion) return fail(ErrorCode::kCorrupt, "a stored event of an unknown version");
  const uint8_t kind = in.u8();
  out.kind = static_cast<Event::Kind>(kind);
  out.time = time_in(in);
  out.thing.clear();
  switch (out.kind) {
    case Event::Kind::kTick:
    case Event::Kind::kRestart:
      break;
    case Event::Kind::kReport:
      out.thing = in.string();
      if (!in.ok) break;
      return decode_report(in.rest, out.report);
    case Event::Kind::kObservation:
      out.thing = in.string();
      read_observation(in, out.observation);
      out.observation.to = out.time;
      break;
    case Event::Kind::kThresholds:
      out.thresholds.resize(in.count(17));
      for (Threshold& threshold : out.thresholds) {
        threshold.behavior_key = in.u64();
        threshold.value = in.f64();
        threshold.population = in.varint();
      }
      break;
    default:
      in.ok = false;
  }
  if (!in.ok || !in.rest.empty()) return fail(ErrorCode::kCorrupt, "a stored event does not parse");
  return {};
}

}  // namespace fleetward::detect
