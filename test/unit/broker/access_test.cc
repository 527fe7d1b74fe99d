// Certificates, ALPN and policies over real TLS.
#include <atomic>
#include <filesystem>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <utility>

#include <unistd.h>

#include "test/unit/broker/harness.h"

namespace fleetward::broker {
namespace {

using mqtt::ReasonCode;
using mqtt::Version;

constexpr const char* kDevicePolicy = R"({"Version":"2012-10-17","Statement":[
  {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}"},
  {"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":"arn:aws:iot:*:*:topic/dev/${iot:ClientId}/*"},
  {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/dev/${iot:ClientId}/*"}]})";

TEST(Access, a_registered_certificate_connects_and_does_what_its_policy_says) {
  Harness h;
  const std::string at = h.listen_tls();
  const DeviceFiles device = h.device("d");
  h.policy("p", kDevicePolicy, &device);
  h.thing("sensor", device);
  {
    TestClient client(at, &device);
    ASSERT_EQ(client.connect({.client_id = "stranger", .version = Version::k5}), ReasonCode::kNotAuthorized);
  }
  TestClient client(at, &device);
  ASSERT_EQ(client.connect({.client_id = "sensor", .version = Version::k5}), ReasonCode::kSuccess);
  EXPECT_EQ(client.subscribe({"dev/sensor/#", "dev/other/#", "#"}),
            (std::vector{ReasonCode::kGrantedQos1, ReasonCode::kNotAuthorized, ReasonCode::kNotAuthorized}));
  EXPECT_EQ(client.publish("dev/sensor/x", "1"), ReasonCode::kSuccess);
  EXPECT_EQ(client.receive().payload, "1");
  EXPECT_EQ(client.publish("dev/other/x", "1"), ReasonCode::kNotAuthorized);
  EXPECT_EQ(client.next().disconnect.reason, ReasonCode::kNotAuthorized);
  EXPECT_TRUE(client.closed());

  h.pass(Duration{2000});
  eventually([&] { return h.sink.total("sensor").disconnects == 1; }, "the delta of the thing");
  EXPECT_TRUE(h.sink.total("sensor").registered);
  EXPECT_EQ(h.sink.total("sensor").authorization_failures, 3U);
  eventually([&] { return h.sink.total("stranger").authorization_failures == 1; }, "the other shard's delta");
  EXPECT_EQ(h.sink.total("stranger").connection_attempts, 1U);
}

TEST(Access, version_3_is_cut_off_without_a_word_for_a_forbidden_publish) {
  Harness h;
  const std::string at = h.listen_tls();
  const DeviceFiles device = h.device("d");
  h.policy("p", kDevicePolicy, &device);
  h.thing("sensor", device);
  TestClient client(at, &device);
  ASSERT_EQ(client.connect({.client_id = "sensor"}), ReasonCode::kSuccess);
  client.send_publish("forbidden", "x", 0, 0);
  EXPECT_TRUE(client.closed());
}

TEST(Access, a_policy_change_is_seen_at_once_by_live_connections) {
  Harness h;
  const std::string at = h.listen_tls();
  const DeviceFiles device = h.device("d");
  h.policy("p", kDevicePolicy, &device);
  h.thing("sensor", device);
  TestClient client(at, &device);
  ASSERT_EQ(client.connect({.client_id = "sensor", .version = Version::k5}), ReasonCode::kSuccess);
  EXPECT_EQ(client.subscribe({"free"}), std::vector{ReasonCode::kNotAuthorized});
  h.policy("more",
           R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]})",
           &device);
  eventually([&] { return client.subscribe({"free"}) == std::vector{ReasonCode::kGrantedQos1}; }, "allowed");
}

TEST(Access, iot_receive_is_asked_for_each_topic) {
  Harness h;
  const std::string at = h.listen_tls();
  const std::string plain = h.listen_plain();
  const DeviceFiles device = h.device("d");
  h.policy("p", R"({"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":["iot:Connect","iot:Subscribe","iot:Receive"],"Resource":"*"},
    {"Effect":"Deny","Action":"iot:Receive","Resource":"arn:aws:iot:*:*:topic/secret/*"}]})",
           &device);
  TestClient client(at, &device), publisher(plain);
  ASSERT_EQ(client.connect({.client_id = "c"}), ReasonCode::kSuccess);
  client.subscribe({"#"});
  ASSERT_EQ(publisher.connect({.client_id = "p"}), ReasonCode::kSuccess);
  publisher.publish("secret/1", "no");
  publisher.publish("open/1", "yes");
  EXPECT_EQ(client.receive().topic, "open/1");
}

TEST(Access, unknown_inactive_and_missing_certificates_are_refused) {
  Harness h;
  const std::string at = h.listen_tls();
  const DeviceFiles unknown = h.device("unknown", false);
  const DeviceFiles inactive = h.device("inactive");
  h.policy("p", kDevicePolicy, &inactive);
  h.thing("sensor", inactive);
  h.set_status(inactive, registry::CertificateStatus::kInactive);
  const DeviceFiles none;
  for (const DeviceFiles* device : {&unknown, &none}) {
    TestClient client(at, device);
    // TLS 1.3: the client learns of it with its first read.
    EXPECT_EQ(client.connect({.client_id = "sensor"}), ReasonCode::kServerUnavailable);
  }
  TestClient client(at, &inactive);
  EXPECT_EQ(client.connect({.client_id = "sensor", .version = Version::k5}), ReasonCode::kNotAuthorized);
  EXPECT_EQ(h.metric("fleetward_broker_refused_total{reason=\"certificate_unknown\"}"), 1);
  EXPECT_EQ(h.metric("fleetward_broker_refused_total{reason=\"certificate_inactive\"}"), 1);
  h.pass(Duration{2000});
  eventually([&] { return h.sink.total("sensor").authorization_failures == 1; }, "recorded under the thing");
}

TEST(Access, a_revoked_certificate_loses_its_connections) {
  Harness h;
  const std::string at = h.listen_tls();
  const DeviceFiles device = h.device("d");
  h.policy("p", kDevicePolicy, &device);
  h.thing("sensor", device);
  TestClient client(at, &device);
  ASSERT_EQ(client.connect({.client_id = "sensor", .version = Version::k5}), ReasonCode::kSuccess);
  h.set_status(device, registry::CertificateStatus::kRevoked);
  h.pass(Duration{200});
  EXPECT_EQ(client.next().disconnect.reason, ReasonCode::kNotAuthorized);
  EXPECT_TRUE(client.closed());
}

// A client that keeps its session: what the last handshake gave is offered in the next.
class ResumingClient {
 public:
  explicit ResumingClient(const DeviceFiles& device, int version)
      : context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_max_proto_version(context_, version);
    SSL_CTX_use_certificate_chain_file(context_, device.certificate_path.c_str());
    SSL_CTX_use_PrivateKey_file(context_, device.key_path.c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_app_data(context_, this);
    SSL_CTX_sess_set_new_cb(context_, [](SSL* ssl, SSL_SESSION* session) {
      auto* self = static_cast<ResumingClient*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
      SSL_SESSION_free(std::exchange(self->session_, session));
      return 1;
    });
  }
  ~ResumingClient() {
    SSL_SESSION_free(session_);
    SSL_CTX_free(context_);
  }
  ResumingClient(const ResumingClient&) = delete;
  ResumingClient& operator=(const ResumingClient&) = delete;

  struct Outcome {
    bool resumed = false;
    bool connected = false;  // CONNACK 0
  };
  Outcome connect(const std::string& at, const std::string& client_id) {
    const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(at.substr(at.rfind(':') + 1))));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(descriptor, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    SSL* ssl = SSL_new(context_);
    SSL_set_fd(ssl, descriptor);
    if (session_ != nullptr) SSL_set_session(ssl, session_);
    Outcome out;
    if (SSL_connect(ssl) == 1) {
      out.resumed = SSL_session_reused(ssl) == 1;
      mqtt::Connect packet;
      packet.client_id = client_id;
      std::string bytes;
      mqtt::encode(bytes, packet);
      SSL_write(ssl, bytes.data(), static_cast<int>(bytes.size()));
      char answer[4] = {};
      out.connected = SSL_read(ssl, answer, sizeof answer) == 4 && answer[3] == 0;
    }
    SSL_shutdown(ssl);  // without it OpenSSL takes the session for a bad one
    SSL_free(ssl);
    ::close(descriptor);
    return out;
  }

 private:
  SSL_CTX* context_;
  SSL_SESSION* session_ = nullptr;
};

TEST(Access, a_resumed_session_is_the_same_device_and_no_way_around_the_registry) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Options options = Harness::default_options();
    options.tls_session_lifetime = Duration{3'600'000};
    Harness h(options);
    const std::string at = h.listen_tls();
    const DeviceFiles device = h.device("d");
    h.policy("p", kDevicePolicy, &device);
    h.thing("sensor", device);
    ResumingClient client(device, version);
    auto first = client.connect(at, "sensor");
    EXPECT_TRUE(first.connected && !first.resumed);
    for (int i = 0; i < 4; ++i) {  // whichever shard takes it
      const auto again = client.connect(at, "sensor");
      EXPECT_TRUE(again.connected && again.resumed) << version;
    }
    EXPECT_EQ(h.metric("fleetward_broker_tls_handshakes_total"), 5);
    EXPECT_EQ(h.metric("fleetward_broker_tls_resumed_total"), 4);
    // The key has changed: the ticket is good once more, and answered with a new one.
    h.pass(Duration{3'700'000});
    EXPECT_TRUE(client.connect(at, "sensor").connected);
    h.set_status(device, registry::CertificateStatus::kInactive);
    EXPECT_FALSE(client.connect(at, "sensor").connected);
  }
}

TEST(Access, sessions_are_resumed_only_if_that_is_wanted) {
  Options options = Harness::default_options();
  options.tls_session_lifetime = Duration{0};
  Harness h(options);
  const std::string at = h.listen_tls();
  const DeviceFiles device = h.device("d");
  h.policy("p", kDevicePolicy, &device);
  h.thing("sensor", device);
  ResumingClient client(device, TLS1_3_VERSION);
  EXPECT_TRUE(client.connect(at, "sensor").connected);
  EXPECT_FALSE(client.connect(at, "sensor").resumed);
}

TEST(Access, alpn_decides_on_the_shared_port) {
  Harness h;
  std::atomic<int> handed{0};
  std::string prefix, peer;
  const std::string at =
      h.listen_tls(Listener::Kind::kAlpn, [&](int descriptor, const SocketAddress& from, std::string bytes) {
        prefix = std::move(bytes);
        peer = from.ip;
        ::close(descriptor);
        ++handed;
      });
  const DeviceFiles device = h.device("d");
  h.policy("p", kDevicePolicy, &device);
  h.thing("sensor", device);
  {
    TestClient client(at, &device, "x-amzn-mqtt-ca");
    EXPECT_EQ(client.connect({.client_id = "sensor"}), ReasonCode::kSuccess);
  }
  EXPECT_FALSE(TestClient(at, &device, "mqtt").up());
  EXPECT_EQ(handed, 0);
  EXPECT_FALSE(TestClient(at, &device, "http/1.1").up());
  EXPECT_EQ(handed, 1);
  EXPECT_EQ(peer, "127.0.0.1");
  EXPECT_EQ(prefix.substr(0, 2), "\x16\x03");
  EXPECT_FALSE(TestClient(at, &device).up());
  EXPECT_EQ(handed, 2);
  TestClient plain(at);
  plain.send(std::string("\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04test", 18));
  EXPECT_TRUE(plain.closed());
  EXPECT_EQ(h.metric("fleetward_broker_refused_total{reason=\"alpn\"}"), 1);
}

TEST(Access, a_policy_may_end_with_the_time) {
  Harness h;
  const std::string at = h.listen_tls();
  const DeviceFiles device = h.device("d");
  h.policy("p",
           R"({"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":["iot:Connect","iot:Publish"],"Resource":"*"},
    {"Effect":"Deny","Action":"iot:Publish","Resource":"*","Condition":{"DateGreaterThan":{"aws:CurrentTime":")" +
               to_iso8601(h.clock.now() + Duration{60'000}) + R"("}}}]})",
           &device);
  TestClient client(at, &device);
  ASSERT_EQ(client.connect({.client_id = "sensor", .version = Version::k5}), ReasonCode::kSuccess);
  EXPECT_EQ(client.publish("t", "x"), ReasonCode::kSuccess);
  h.pass(Duration{61'000});
  EXPECT_EQ(client.publish("t", "x"), ReasonCode::kNotAuthorized);
}

TEST(Access, a_new_server_certificate_is_shown_without_a_restart) {
  Harness h;
  const std::string at = h.listen_tls();
  const DeviceFiles device = h.device("d");
  h.policy("p", kDevicePolicy, &device);
  h.thing("sensor", device);
  TestClient before(at, &device);
  ASSERT_EQ(before.connect({.client_id = "sensor"}), ReasonCode::kSuccess);
  ASSERT_TRUE(*registry::renew_server(*h.pki, {"another.example"}, h.random, h.clock.now(),
                                      registry::kServerLifetime));
  EXPECT_EQ(TestClient(at, &device).server_certificate_id(), before.server_certificate_id());
  ASSERT_TRUE(h.broker->reload_certificates());
  const std::string renewed = TestClient(at, &device).server_certificate_id();
  EXPECT_NE(renewed, before.server_certificate_id());
  EXPECT_EQ(before.publish("t", "x", 0), ReasonCode::kSuccess) << "who is connected stays";

  std::filesystem::remove(h.pki->server.certificate_chain_path);
  EXPECT_FALSE(h.broker->reload_certificates());
  EXPECT_EQ(TestClient(at, &device).server_certificate_id(), renewed);
}

TEST(Access, a_plain_listener_may_have_an_iot_policy) {
  Harness h;
  h.policy("lab", R"({"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":["iot:Connect","iot:Publish"],"Resource":"*"}]})");
  TestClient client(h.listen_plain("lab"));
  ASSERT_EQ(client.connect({.client_id = "c", .version = Version::k5}), ReasonCode::kSuccess);
  EXPECT_EQ(client.publish("t", "x"), ReasonCode::kSuccess);
  EXPECT_EQ(client.subscribe({"t"}), std::vector{ReasonCode::kNotAuthorized});
  TestClient nobody(h.listen_plain("no-such-policy"));
  EXPECT_EQ(nobody.connect({.client_id = "c", .version = Version::k5}), ReasonCode::kNotAuthorized);
}

}  // namespace
}  // namespace fleetward::broker
