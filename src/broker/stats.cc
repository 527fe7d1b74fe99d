#include "broker/stats.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace fleetward::broker {
namespace {

using Read = std::function<uint64_t(const ShardStats&)>;

// A sum over the shards that reaches a Prometheus counter as increments, or a gauge.
struct Exported {
  Read read;
  prometheus::Counter* counter = nullptr;
  prometheus::Gauge* gauge = nullptr;
  uint64_t reported = 0;
};

constexpr std::array<std::string_view, static_cast<size_t>(Refusal::kCount)> kRefusalNames = {
    "connections_max",
    "unfinished_max",
    "connect_rate",
    "connect_rate_of_source",
    "proxy_source",
    "proxy_header",
    "tls_handshake",
    "alpn",
    "certificate_unknown",
    "certificate_expired",
    "certificate_inactive",
    "credentials",
    "websocket",
    "connect_timeout",
    "connect_not_authorized",
    "connect_invalid",
    "sessions_max",
    "protocol_error",
    "packet_rate",
    "publish_not_authorized",
    "publish_topic",
    "publish_too_large",
    "subscribe_not_authorized",
    "subscribe_invalid",
    "subscriptions_max",
    "receive_not_authorized",
    "slow_reader",
    "queue_full",
    "packet_too_large",
    "message_expired",
    "retained_max",
    "republish_hops",
    "log_unavailable",
    "mailbox_full",
};

}  // namespace

std::string_view to_string(Refusal refusal) {
  return kRefusalNames[static_cast<size_t>(refusal)];
}

void register_metrics(Metrics& metrics,
                      std::function<void(const std::function<void(const ShardStats&)>&)> visit) {
  auto exported = std::make_shared<std::vector<Exported>>();
  const auto counter = [&](const char* name, const char* help, Read read, const MetricLabels& labels = {}) {
    exported->push_back({std::move(read), &metrics.counter(name, help, labels), nullptr, 0});
  };
  const auto gauge = [&](const char* name, const char* help, Read read) {
    exported->push_back({std::move(read), nullptr, &metrics.gauge(name, help), 0});
  };
  gauge("fleetward_broker_connections", "MQTT connections open now",
        [](const ShardStats& s) { return s.connections.get(); });
  gauge("fleetward_broker_persistent_sessions", "Persistent MQTT sessions, connected or not",
        [](const ShardStats& s) { return s.sessions.get(); });
  gauge("fleetward_broker_subscriptions", "Subscriptions of all sessions",
        [](const ShardStats& s) { return s.subscriptions.get(); });
  counter("fleetward_broker_accepted_total", "TCP connections accepted by MQTT listeners",
          [](const ShardStats& s) { return s.accepted.get(); });
  counter("fleetward_broker_tls_handshakes_total", "TLS handshakes of MQTT listeners that were done",
          [](const ShardStats& s) { return s.tls_handshakes.get(); });
  counter("fleetward_broker_tls_resumed_total", "Those of them that resumed a session",
          [](const ShardStats& s) { return s.tls_resumed.get(); });
  counter("fleetward_broker_connects_total", "CONNECT packets accepted",
          [](const ShardStats& s) { return s.connects.get(); });
  counter("fleetward_broker_disconnects_total", "Ends of MQTT connections that had been accepted",
          [](const ShardStats& s) { return s.disconnects.get(); });
  counter("fleetward_broker_takeovers_total", "Connections ended by another one with the same client id",
          [](const ShardStats& s) { return s.takeovers.get(); });
  counter("fleetward_broker_keepalive_timeouts_total", "Connections ended by their keep-alive",
          [](const ShardStats& s) { return s.keepalive_timeouts.get(); });
  counter("fleetward_broker_wills_total", "Will messages published",
          [](const ShardStats& s) { return s.wills.get(); });
  counter("fleetward_broker_authorization_failures_total", "Requests that a policy refused",
          [](const ShardStats& s) { return s.authorization_failures.get(); });
  counter("fleetward_broker_commits_total", "Batches that the shards had synced by the log",
          [](const ShardStats& s) { return s.commits.get(); });
  counter("fleetward_broker_commit_failures_total", "Batches that the log refused; they are tried again",
          [](const ShardStats& s) { return s.commit_failures.get(); });
  counter("fleetward_broker_reads_paused_total", "Times a connection was not read because of back-pressure",
          [](const ShardStats& s) { return s.reads_paused.get(); });
  for (size_t qos = 0; qos < 3; ++qos) {
    const MetricLabels in{{"direction", "in"}, {"qos", std::to_string(qos)}};
    const MetricLabels out{{"direction", "out"}, {"qos", std::to_string(qos)}};
    counter(
        "fleetward_broker_messages_total", "PUBLISH packets",
        [qos](const ShardStats& s) { return s.messages_in[qos].get(); }, in);
    counter(
        "fleetward_broker_messages_total", "PUBLISH packets",
        [qos](const ShardStats& s) { return s.messages_out[qos].get(); }, out);
  }
  counter("fleetward_broker_bytes_total", "Bytes of MQTT sockets",
          [](const ShardStats& s) { return s.bytes_in.get(); }, {{"direction", "in"}});
  counter("fleetward_broker_bytes_total", "Bytes of MQTT sockets",
          [](const ShardStats& s) { return s.bytes_out.get(); }, {{"direction", "out"}});
  for (size_t i = 0; i < static_cast<size_t>(Refusal::kCount); ++i) {
    counter("fleetward_broker_refused_total", "What was refused or dropped, by reason",
            [i](const ShardStats& s) { return s.refused[i].get(); },
            {{"reason", std::string(kRefusalNames[i])}});
  }
  metrics.on_scrape([exported, visit = std::move(visit)] {
    for (Exported& item : *exported) {
      uint64_t sum = 0;
      visit([&](const ShardStats& stats) { sum += item.read(stats); });
      if (item.gauge != nullptr) {
        item.gauge->Set(static_cast<double>(sum));
      } else if (sum > item.reported) {
        item.counter->Increment(static_cast<double>(sum - item.reported));
        item.reported = sum;
      }
    }
  });
}

}  // namespace fleetward::broker
