#include "app/config_keys.h"

#include <algorithm>
#include <utility>

#include "app/config_key_list.h"
#include "core/ids.h"
#include "core/text.h"

namespace fleetward::app {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

using Section = KeyList<Config>;

tl::unexpected<Error> wrong(const std::string& what) {
  return fail(ErrorCode::kInvalidArgument, what);
}

#define MEMBER(path) [](Config& c) -> auto& { return c.path; }

Status check_log_level(std::string_view value) {
  for (const char* known : {"debug", "info", "warn", "error"}) {
    if (value == known) return {};
  }
  return wrong("must be debug, info, warn or error");
}

Status check_region(std::string_view value) {
  const bool good =
      !value.empty() && value.size() <= 32 && std::all_of(value.begin(), value.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
      });
  if (!good) return wrong("must be 1 to 32 of [a-z0-9-]");
  return {};
}

Status check_device_key(std::string_view value) {
  if (value != "p256" && value != "rsa2048") return wrong("must be p256 or rsa2048");
  return {};
}

Status check_lake_kind(std::string_view value) {
  if (value != "local" && value != "s3") return wrong("must be local or s3");
  return {};
}

Status check_mode(std::string_view value) {
  const auto mode = parse_number<unsigned>(value, 8);
  if (!mode || *mode > 0777) return wrong("must be the octal digits of a file mode, such as 0660");
  return {};
}

void add_server(std::vector<ConfigKey>& out) {
  Section s(out, "server");
  s.text("api_listen", MEMBER(server.api_listen),
         "Address of the AWS API over plain HTTP. Empty: off. Port 0, here and below, takes a free port; the "
         "real ones "
         "are in `endpoints.json`.");
  s.flag("api_allow_remote", MEMBER(server.api_allow_remote),
         "Lets `api_listen` be an address that other machines reach. Signatures protect requests, not what "
         "they carry.");
  s.text("api_tls_listen", MEMBER(server.api_tls_listen),
         "Address of the AWS API over HTTPS, and of HTTPS publishing with a device certificate. Empty: off.");
  s.text("mqtts_listen", MEMBER(server.mqtts_listen), "Address of MQTT over mutual TLS. Empty: off.");
  s.text("alpn_listen", MEMBER(server.alpn_listen),
         "Address that takes MQTT by ALPN `x-amzn-mqtt-ca` and the API by HTTPS without it. Where the "
         "process may not "
         "bind the default, it is off and a line says so. Empty: off.");
  s.text("mqtt_listen", MEMBER(server.mqtt_listen),
         "Address of plain MQTT, whose clients have no certificate. Empty: off. Needs `mqtt_policy`.");
  s.text(
      "ws_listen", MEMBER(server.ws_listen),
      "Address of MQTT over plain WebSockets (path `/mqtt`), whose clients need no signature. Empty: off. "
      "Needs `mqtt_policy`. WebSockets with a signature or a client certificate are taken by `alpn_listen` "
      "and `api_tls_listen`, with a signature by `api_listen` too.");
  s.text("mqtt_policy", MEMBER(server.mqtt_policy),
         "What clients of `mqtt_listen` and `ws_listen` may do: the name of an IoT policy, or `open` "
         "(everything; for closed "
         "test "
         "networks and benchmarks).");
  s.text("unix_listen", MEMBER(server.unix_listen),
         "Path of a Unix socket of plain MQTT, for tools on this machine. Empty: off. A socket that a dead "
         "server left is replaced. Needs `unix_policy`.");
  s.text("unix_mode", MEMBER(server.unix_mode), "Mode of that socket's file, in octal digits.", check_mode);
  s.text("unix_policy", MEMBER(server.unix_policy), "As `mqtt_policy`, for clients of `unix_listen`.");
  s.texts(
      "proxy_protocol", MEMBER(server.proxy_protocol),
      "Listeners behind a load balancer that speaks the PROXY protocol, version 1 or 2: of `mqtts_listen`, "
      "`alpn_listen`, `mqtt_listen`, `ws_listen`, `api_listen`, `api_tls_listen`. Their connections must "
      "come "
      "from `proxy_sources` and begin with its header; the address in it is the client's, in policies, "
      "metrics, rates and logs.");
  s.texts("proxy_sources", MEMBER(server.proxy_sources),
          "IP addresses and networks (`10.0.0.0/8`) of those load balancers.");
  s.text("endpoint_host", MEMBER(server.endpoint_host),
         "The bare host name that DescribeEndpoint answers; the server's certificate holds it.");
  s.texts("certificate_names", MEMBER(server.certificate_names),
          "Further DNS names and IP addresses of the server's certificate, beside `endpoint_host`, "
          "`localhost` and the "
          "loopback addresses.");
  s.text("log_level", MEMBER(server.log_level), "`debug`, `info`, `warn` or `error`.", check_log_level);
  s.duration("drain", MEMBER(server.drain), seconds(0), minutes(10),
             "How long a stop waits for what is in flight.");
  s.duration("return_grace", MEMBER(server.return_grace), seconds(0), hours(1),
             "How long after a start a device that was connected before it counts as connected in the fleet "
             "index and in dynamic groups, if it does not come back.");
  s.number(
      "descriptors_reserved", MEMBER(server.descriptors_reserved), 64, 1'000'000,
      "File descriptors kept from MQTT connections, for the API, the log and the object store; half of the "
      "process's at most. MQTT connections beyond the rest are closed as they come, counted.");
  s.duration(
      "certificate_lifetime", MEMBER(server.certificate_lifetime), seconds(10), hours(24 * 397),
      "How long the server's certificate is valid. A new one is made, without a restart, when 30 days or a "
      "third of it is left, whichever is less.");
}

void add_account_api_log(std::vector<ConfigKey>& out) {
  Section account(out, "account");
  account.text("id", MEMBER(account.id),
               "The account's 12 digits, in every ARN. Choose it before the first start.",
               AccountIdRule::check);
  account.text("region", MEMBER(account.region), "The region, in every ARN and signature.", check_region);
  Section api(out, "api");
  api.number("worker_threads", MEMBER(api.worker_threads), 1, 256, "Threads that run API operations.");
  api.number("connections_max", MEMBER(api.connections_max), 1, 100'000,
             "HTTP connections open at once; more are closed as they come, counted.");
  api.text(
      "device_key", MEMBER(api.device_key),
      "The keys that CreateKeysAndCertificate makes: `p256`, or `rsa2048` as AWS makes them (for devices "
      "that know no elliptic curves).",
      check_device_key);
  api.duration("clock_skew_max", MEMBER(api.clock_skew_max), seconds(1), hours(24),
               "How far the time of a signature may be from the server's.");
  api.flag("metrics_over_tls", MEMBER(api.metrics_over_tls),
           "Answers `/metrics` on the HTTPS listeners too. It needs no signature.");
  api.choice<bool>(
      "unknown_members", MEMBER(api.ignore_unknown_members), {{"refuse", false}, {"ignore", true}},
      "What becomes of a request with members (or query parameters) that its operation does not know: "
      "refused, naming them, or run without them, as AWS does; then they are counted, and the first of each "
      "operation is logged. S3's documents are refused always.");
  Section log(out, "log");
  log.size("queue_bytes_max", MEMBER(log.queue_bytes_max), kMiB, 64 * kGiB,
           "Records waiting for the log's writer; beyond it publishers feel back-pressure.");
}

void add_detect_delivery_lake(std::vector<ConfigKey>& out) {
  Section detect(out, "detect");
  detect.duration("tick", MEMBER(detect.tick), seconds(1), hours(1),
                  "How often cloud-side metrics become datapoints and are evaluated.");
  detect.duration("export_interval", MEMBER(detect.export_interval), seconds(1), hours(1),
                  "How often exported datapoints are batched and published.");
  detect.number("partitions", MEMBER(detect.partitions), 1, 256,
                "Partitions of the events stream. Choose it before the first start.");
  detect.duration(
      "report_delay_min", MEMBER(detect.report_delay_min), seconds(0), hours(1),
      "Reports of one thing closer together are rejected as `Throttled`. `0ms`: no such rule (AWS's quota "
      "is 5 minutes).");
  detect.number(
      "report_rate_max", MEMBER(detect.report_rate_max), 0, 100'000'000,
      "Reports of all things in one second; more are rejected as `Throttled`. `0`: no such rule (AWS's "
      "quota is 3500).");
  detect.number("custom_metrics_max", MEMBER(detect.custom_metrics_max), 1, 10'000, "Custom metrics.");
  detect.number("dimensions_max", MEMBER(detect.dimensions_max), 1, broker::CountedTopics::kDimensionsMax,
                "Dimensions.");
  detect.number("profiles_per_target_max", MEMBER(detect.profiles_per_target_max), 1, 1000,
                "Security profiles attached to one target.");
  detect.number("behaviors_max", MEMBER(detect.behaviors_max), 1, 1000, "Behaviors of a security profile.");
  detect.number(
      "value_elements_max", MEMBER(detect.value_elements_max), 1, 100'000,
      "Elements of the values of a security profile's behaviors: counts, addresses, ports, summed.");
  detect.number("population_min", MEMBER(detect.population_min), 1, 1'000'000,
                "A statistical threshold is not evaluated at a tick for which fewer devices of the profile "
                "have a value.");
  detect.duration("value_retention", MEMBER(detect.value_retention), minutes(1), hours(24 * 400),
                  "How long metric values are kept.");
  detect.duration("violation_retention", MEMBER(detect.violation_retention), minutes(1), hours(24 * 400),
                  "How long violation events are kept.");
  Section delivery(out, "delivery");
  delivery.number("uploads_max", MEMBER(delivery.uploads_max), 1, 64,
                  "Objects built and uploaded at once. Each may take twice its buffer size in memory.");
  delivery.duration(
      "retention", MEMBER(delivery.retention), minutes(1), hours(24 * 30),
      "How long records are kept while their destination refuses them; then they are dropped and counted.");
  delivery.duration("retry_max", MEMBER(delivery.retry_max), seconds(1), hours(1),
                    "The longest pause between attempts of an upload.");
  delivery.duration("scan_interval", MEMBER(delivery.scan_interval), Duration{10}, seconds(10),
                    "How often the new records of one stream are looked at: what a full buffer may be late.");
  Section sns(out, "sns");
  sns.flag(
      "private_endpoints", MEMBER(sns.private_endpoints),
      "Lets notifications be posted to loopback and private addresses, as an installation on one machine or "
      "in one plant needs. `false` where those who may subscribe are not those who may reach the network's "
      "inside. Asked of the address that is connected to, whatever the name. Link-local addresses (where "
      "clouds keep their metadata) are always refused.");
  Section lake(out, "lake");
  lake.text("kind", MEMBER(lake.kind),
            "Where delivery streams and rules put objects: `local` (this server's own buckets) or `s3` (an "
            "outside S3, "
            "the keys below).",
            check_lake_kind);
  lake.text("s3_endpoint", MEMBER(lake.remote.endpoint), "The outside S3: `https://host[:port]`.");
  lake.text("s3_region", MEMBER(lake.remote.region), "Its region.");
  lake.text("s3_access_key_id", MEMBER(lake.remote.access_key_id), "Its access key.");
  lake.text("s3_secret_access_key", MEMBER(lake.remote.secret_access_key),
            "Its secret key. Let only the server's user read the configuration file then.");
  lake.flag("s3_path_style", MEMBER(lake.remote.path_style),
            "`endpoint/bucket/key` instead of `bucket.endpoint/key`.");
  lake.text("s3_ca_file", MEMBER(lake.remote.ca_file),
            "CA certificates to trust for it (PEM). Empty: the system's.");
  lake.size("free_bytes_min", MEMBER(lake.free_bytes_min), 0, 1024 * kGiB,
            "Room on the disk below which the local store takes no more bytes.");
}

void add_broker(std::vector<ConfigKey>& out) {
  Section s(out, "broker");
  Config aws;
  aws.broker = broker::Options::aws();
  s.beside("aws", aws);
  s.choice<broker::Behaviour>(
      "behaviour", MEMBER(broker.behaviour),
      {{"standard", broker::Behaviour::kStandard}, {"aws", broker::Behaviour::kAws}},
      "Whose limits and habits the keys below start from: `standard` follows MQTT 3.1.1 and 5, `aws` the "
      "service (`mqtt.md`). Each key still has its own value if it is given.");
  s.number("shards", MEMBER(broker.shards), 0, 64, "Event loops, each with its own thread. 0: one per core.");
  s.size("packet_bytes_max", MEMBER(broker.packet_bytes_max), kKiB, kMiB, "A whole control packet.");
  s.size("payload_bytes_max", MEMBER(broker.payload_bytes_max), 0, kMiB,
         "The payload of a PUBLISH or a will.");
  s.number("topic_bytes_max", MEMBER(broker.topic_bytes_max), 1, 65'535,
           "A topic, without `$aws/rules/<rule>/` and `$share/<group>/`.");
  s.number("topic_slashes_max", MEMBER(broker.topic_slashes_max), 0, 127, "Slashes of a topic, likewise.");
  s.number("filters_per_subscribe_max", MEMBER(broker.filters_per_subscribe_max), 1, 10'000,
           "Filters of one SUBSCRIBE.");
  s.number("subscriptions_per_connection_max", MEMBER(broker.subscriptions_per_connection_max), 1, 1'000'000,
           "Subscriptions of one client.");
  s.number("receive_max", MEMBER(broker.receive_max), 1, 65'535,
           "Unacknowledged QoS 1 and 2 messages from a client.");
  s.number("unreleased_max", MEMBER(broker.unreleased_max), 1, 65'535,
           "QoS 2 messages that an MQTT 3.1.1 client has sent and not released; beyond it, it is cut off.");
  s.number("inflight_max", MEMBER(broker.inflight_max), 1, 65'535,
           "Unacknowledged QoS 1 and 2 messages to a client.");
  s.number("topic_alias_max", MEMBER(broker.topic_alias_max), 0, 65'535, "Topic aliases a client may set.");
  s.duration("keepalive_min", MEMBER(broker.keepalive_min), seconds(0), hours(18),
             "Shorter keep-alives are raised to it; MQTT 5 clients are told.");
  s.duration("keepalive_max", MEMBER(broker.keepalive_max), seconds(0), hours(18),
             "Longer keep-alives, or none, are lowered to it. `0s`: no bound.");
  s.duration(
      "tls_session_lifetime", MEMBER(broker.tls_session_lifetime), seconds(0), hours(24 * 3),
      "How long a client of `mqtts_listen` or `alpn_listen` may resume its TLS session instead of a full "
      "handshake, up to twice. `0ms`: never.");
  s.duration("connect_timeout", MEMBER(broker.connect_timeout), seconds(1), minutes(10),
             "From accept to CONNECT, the TLS handshake included.");
  s.duration("websocket_lifetime_max", MEMBER(broker.websocket_lifetime_max), minutes(1), hours(24 * 365),
             "How long a signed WebSocket stays open; not beyond its credentials.");
  s.number(
      "packets_per_second_max", MEMBER(broker.packets_per_second_max), 0, 1'000'000'000,
      "PUBLISH, SUBSCRIBE and UNSUBSCRIBE packets of a client in a second; one that sends more is not read "
      "for a while. `0`: no bound.");
  s.number("unfinished_max", MEMBER(broker.unfinished_max), 1, 10'000'000,
           "Connections of one listener whose CONNECT has not come; more are closed as they come, counted.");
  s.number(
      "connect_rate_max", MEMBER(broker.connect_rate_max), 0, 1'000'000'000,
      "Connections in a second; more are closed as they come, counted. `0`: no bound (AWS's quota is 500).");
  s.number("connect_rate_per_source_max", MEMBER(broker.connect_rate_per_source_max), 0, 1'000'000'000,
           "The same of one IPv4 address or one IPv6 /64.");
  s.size("outbound_bytes_max", MEMBER(broker.outbound_bytes_max), 4 * kKiB, kGiB,
         "Bytes waiting for a slow reader; beyond it QoS 0 is dropped, counted.");
  s.number("queue_messages_max", MEMBER(broker.queue_messages_max), 0, 100'000'000,
           "QoS 1 and 2 messages waiting for one session.");
  s.size("queue_bytes_max", MEMBER(broker.queue_bytes_max), 0, 64 * kGiB, "Their bytes.");
  s.number("qos_max", MEMBER(broker.qos_max), 0, 2,
           "The highest QoS of what clients publish and are granted.");
  s.flag("subscribe_qos_strict", MEMBER(broker.subscribe_qos_strict),
         "A SUBSCRIBE of MQTT 3.1.1 above `qos_max` ends the connection, rather than being granted less.");
  s.flag("retained_for_wildcards", MEMBER(broker.retained_for_wildcards),
         "New subscriptions with wildcards get retained messages, too.");
  s.flag("dollar_client_ids", MEMBER(broker.dollar_client_ids), "Client ids may start with `$`.");
  s.number("client_id_bytes_max", MEMBER(broker.client_id_bytes_max), 23, 65'535, "A client id.");
  s.flag("aws_wildcards", MEMBER(broker.aws_wildcards),
         "Filters match as in AWS IoT Core (`a/#` does not match `a`, `+` no empty level) rather than as in "
         "MQTT.");
  s.number("connections_max", MEMBER(broker.connections_max), 1, 10'000'000, "Connections of the broker.");
  s.number("sessions_max", MEMBER(broker.sessions_max), 1, 100'000'000, "Persistent sessions.");
  s.duration("session_expiry_max", MEMBER(broker.session_expiry_max), seconds(0), hours(24 * 365),
             "How long a persistent session lives after its disconnect.");
  s.number("retained_messages_max", MEMBER(broker.retained_messages_max), 0, 100'000'000,
           "Retained messages.");
  s.size("retained_bytes_max", MEMBER(broker.retained_bytes_max), 0, 1024 * kGiB, "Their bytes.");
  s.size("queued_bytes_max", MEMBER(broker.queued_bytes_max), 0, 1024 * kGiB,
         "Bytes of QoS 1 and 2 messages waiting for all sessions together.");
  s.size("mailbox_bytes_max", MEMBER(broker.mailbox_bytes_max), kMiB, 64 * kGiB,
         "Messages waiting for one shard; beyond it the senders stop reading.");
  s.size("log_batch_bytes_max", MEMBER(broker.log_batch_bytes_max), kMiB, 64 * kGiB,
         "Records of one shard waiting for the log; beyond it the shard stops reading.");
}

#undef MEMBER

}  // namespace

const std::vector<ConfigKey>& config_keys() {
  static const std::vector<ConfigKey> kKeys = [] {
    std::vector<ConfigKey> out;
    add_server(out);
    add_account_api_log(out);
    add_detect_delivery_lake(out);
    add_broker(out);
    return out;
  }();
  return kKeys;
}

}  // namespace fleetward::app
