#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "broker/broker.h"
#include "identity/identities.h"
#include "log/memory_log.h"
#include "mqtt/decoder.h"
#include "mqtt/encoder.h"
#include "registry/certificates.h"
#include "registry/device_authorizer.h"
#include "registry/pki.h"
#include "registry/policies.h"
#include "registry/tables.h"
#include "registry/things.h"

struct ssl_st;
struct ssl_ctx_st;

// A real broker on loopback with everything around it in memory, and clients that speak MQTT through the
// project's codec, step by step. (Foreign clients are test/e2e's.)
namespace fleetward::broker {

// A device's certificate and key in files of the test's temporary directory.
struct DeviceFiles {
  std::string id, certificate_path, key_path;
};

struct Published {
  std::string topic, payload;
  int qos = 0;
  bool retain = false, dup = false;
  uint16_t packet_id = 0;
  std::vector<std::pair<std::string, std::string>> user_properties;
  std::optional<uint32_t> expiry_s;
};

struct ConnectOptions {
  std::string client_id = "client";
  mqtt::Version version = mqtt::Version::k311;
  bool clean = true;
  uint16_t keep_alive_s = 60;
  uint32_t session_expiry_s = 0;  // v5
  std::optional<Published> will;
  uint32_t will_delay_s = 0;
  uint16_t receive_maximum = 0;   // v5; 0: not sent
  uint32_t packet_bytes_max = 0;  // likewise
};

// Blocking; every wait gives up after ten seconds and fails the test.
class TestClient {
 public:
  // `address`: "127.0.0.1:1883", or the path of a Unix socket. `first` is sent before all else.
  explicit TestClient(const std::string& address, const DeviceFiles* device = nullptr,
                      const std::string& alpn = {}, const std::string& first = {});
  ~TestClient();
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  // False if TCP or TLS did not come up.
  bool up() const { return up_; }
  // SHA-256 of the certificate that the broker showed.
  std::string server_certificate_id() const;
  void send(const std::string& bytes);
  // The next packet; its type is kAuth if the broker closed the connection.
  const mqtt::Packet& next();
  bool closed();  // the next thing that comes is the end
  // True if nothing comes in this time.
  bool quiet(int ms);

  // CONNACK's reason; kServerUnavailable if the connection was closed instead.
  mqtt::ReasonCode connect(const ConnectOptions& options);
  bool session_present = false;
  std::string assigned_client_id;
  uint16_t server_keep_alive_s = 0;
  std::vector<mqtt::ReasonCode> subscribe(const std::vector<std::string>& filters, uint8_t qos = 1,
                                          uint8_t retain_handling = 0, bool no_local = false);
  void unsubscribe(const std::string& filter);
  // Sends; with QoS 1 waits for the PUBACK, with QoS 2 for the PUBCOMP, and answers its reason. Publishes
  // that come first are kept for receive().
  mqtt::ReasonCode publish(const std::string& topic, const std::string& payload, uint8_t qos = 1,
                           bool retain = false);
  void send_publish(const std::string& topic, const std::string& payload, uint8_t qos, uint16_t packet_id,
                    bool retain = false, bool dup = false);
  void send_ack(mqtt::PacketType type, uint16_t packet_id);
  // The next packet is this acknowledgement; fails the test otherwise.
  bool answered(mqtt::PacketType type, uint16_t packet_id);
  // The next PUBLISH; acknowledged, with QoS 2 to its end, unless `ack` is false.
  Published receive(bool ack = true);
  void disconnect();

 private:
  int read_some();  // appends to in_; 0 at the end
  void keep(const mqtt::Publish& publish);

  int descriptor_ = -1;
  ssl_ctx_st* context_ = nullptr;
  ssl_st* ssl_ = nullptr;
  bool up_ = false, ended_ = false;
  std::string in_;
  size_t used_ = 0;  // bytes of in_ of the last packet
  mqtt::Decoder decoder_{{mqtt::Receiver::kClient}};
  mqtt::Packet packet_;
  uint16_t next_id_ = 1;
  std::vector<Published> kept_;
};

class TestHook final : public PublishHook {
 public:
  // Topics: "durable/..." is appended to stream "records/test"; "ask/x" is answered on "answer/x";
  // "swallow/..." goes nowhere; "loop" is answered on "loop".
  Verdict on_publish(const Publisher& publisher, std::string_view topic, std::string_view payload,
                     const Message& properties, Timestamp now, log::Batch& batch) override;
  std::vector<std::string> seen(std::string_view topic_prefix);

 private:
  std::mutex mutex_;
  std::vector<std::string> seen_;  // "topic payload"
};

class TestSink final : public ObservationSink {
 public:
  void on_observations(std::vector<Observation> batch) override;
  // The sum of what came for a thing so far.
  Observation total(const std::string& thing);

 private:
  std::mutex mutex_;
  std::map<std::string, Observation> totals_;
};

// Polls until `condition` holds; fails the test after ten seconds.
void eventually(const std::function<bool()>& condition, const char* what);

struct Harness {
  explicit Harness(Options options = default_options());
  ~Harness();
  static Options default_options();
  static Options aws_options();

  // Ends the broker without any goodbye and starts it again on the same log.
  void restart();
  void start();
  std::string listen_plain(const std::string& policy = "open");
  // Plain, with what the caller has set beside.
  Result<std::string> listen(Listener listener);
  std::string listen_tls(Listener::Kind kind = Listener::Kind::kMqtts,
                         std::function<void(int, const SocketAddress&, std::string)> https = {},
                         std::shared_ptr<const AddressList> proxies = nullptr);
  DeviceFiles device(const std::string& name, bool registered = true);
  void set_status(const DeviceFiles& device, registry::CertificateStatus status);
  // Creates the policy and attaches it.
  void policy(const std::string& name, const std::string& document, const DeviceFiles* device = nullptr);
  void thing(const std::string& name, const DeviceFiles& device, bool exclusive = false);
  double metric(const std::string& line_start);

  // Both clocks.
  void pass(Duration d) {
    steady.advance(d);
    clock.advance(d);
  }

  ManualClock clock, steady{{5'000}};
  SystemRandom random;
  Logger logger = Logger::none();
  state::Store store;
  registry::Tables tables;
  identity::Tables identities;
  registry::DeviceAuthorizer authorizer;
  log::MemoryLog log;
  TestHook hook;
  TestSink sink;
  // What the broker is told to count apart; takes effect with the next change of the control store.
  void set_counted_topics(CountedTopicsPtr topics);
  Options options;
  std::string directory;
  std::optional<registry::Pki> pki;
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<Broker> broker;

 private:
  std::mutex counted_mutex_;
  CountedTopicsPtr counted_;
};

}  // namespace fleetward::broker
