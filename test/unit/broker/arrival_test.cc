// How clients come in: behind load balancers, by Unix sockets, too many, too fast.
#include <filesystem>
#include <sys/stat.h>
#include <sys/un.h>

#include <gtest/gtest.h>
#include <unistd.h>

#include "test/unit/broker/harness.h"

namespace fleetward::broker {
namespace {

using mqtt::ReasonCode;

std::shared_ptr<const AddressList> proxies(const std::string& from) {
  return std::make_shared<const AddressList>(AddressList::parse({from}).value());
}

Listener behind_proxy(const std::string& from) {
  Listener out;
  out.kind = Listener::Kind::kMqtt;
  out.proxies = proxies(from);
  return out;
}

double refused(Harness& h, const std::string& reason) {
  return h.metric("fleetward_broker_refused_total{reason=\"" + reason + "\"}");
}

TEST(Arrival, the_address_in_the_proxy_header_is_the_clients) {
  Harness h;
  const std::string at = h.listen(behind_proxy("127.0.0.0/8")).value();
  TestClient client(at, nullptr, {}, "PROXY TCP4 192.0.2.7 198.51.100.1 4711 1883\r\n");
  ASSERT_EQ(client.connect({.client_id = "a"}), ReasonCode::kSuccess);
  EXPECT_EQ(h.broker->connection("a")->source_ip, "192.0.2.7");
  EXPECT_EQ(h.broker->connection("a")->source_port, 4711);
  TestClient local(at, nullptr, {}, std::string("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16));
  ASSERT_EQ(local.connect({.client_id = "b"}), ReasonCode::kSuccess);
  EXPECT_EQ(h.broker->connection("b")->source_ip, "127.0.0.1");
}

TEST(Arrival, policies_see_the_address_in_the_proxy_header) {
  Harness h;
  const std::string at = h.listen_tls(Listener::Kind::kMqtts, {}, proxies("127.0.0.1"));
  const DeviceFiles device = h.device("d");
  h.policy("p",
           R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*",
    "Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}]})",
           &device);
  TestClient good(at, &device, {}, "PROXY TCP4 192.0.2.7 198.51.100.1 4711 8883\r\n");
  EXPECT_EQ(good.connect({.client_id = "a"}), ReasonCode::kSuccess);
  TestClient bad(at, &device, {}, "PROXY TCP4 203.0.113.1 198.51.100.1 4711 8883\r\n");
  EXPECT_NE(bad.connect({.client_id = "b"}), ReasonCode::kSuccess);
}

TEST(Arrival, the_shared_port_is_behind_a_proxy_too) {
  Harness h;
  std::string prefix, peer;
  std::atomic<int> handed{0};
  const std::string at = h.listen_tls(
      Listener::Kind::kAlpn,
      [&](int descriptor, const SocketAddress& from, std::string bytes) {
        prefix = std::move(bytes);
        peer = from.ip;
        ::close(descriptor);
        ++handed;
      },
      proxies("127.0.0.1"));
  const DeviceFiles device = h.device("d");
  EXPECT_FALSE(TestClient(at, &device, "http/1.1", "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n").up());
  EXPECT_EQ(handed, 1);
  EXPECT_EQ(peer, "192.0.2.7");
  EXPECT_EQ(prefix.substr(0, 2), "\x16\x03");
}

TEST(Arrival, who_may_not_speak_for_others_or_does_not_is_refused) {
  Harness h;
  TestClient stranger(h.listen(behind_proxy("192.0.2.0/24")).value());
  EXPECT_TRUE(stranger.closed());
  EXPECT_EQ(refused(h, "proxy_source"), 1);
  TestClient silent(h.listen(behind_proxy("127.0.0.1")).value(), nullptr, {}, "GET / HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(silent.closed());
  EXPECT_EQ(refused(h, "proxy_header"), 1);
}

TEST(Arrival, a_header_that_does_not_end_has_its_time) {
  Harness h;
  TestClient slow(h.listen(behind_proxy("127.0.0.1")).value(), nullptr, {}, "PROXY TCP4 192.");
  eventually([&] { return h.broker->connection_count() == 1; }, "the connection");
  h.pass(h.options.connect_timeout + Duration{200});
  EXPECT_TRUE(slow.closed());
  EXPECT_EQ(refused(h, "connect_timeout"), 1);
}

TEST(Arrival, a_unix_socket) {
  Harness h;
  Listener listener;
  listener.kind = Listener::Kind::kUnix;
  listener.address = h.directory + "/mqtt.sock";
  listener.unix_mode = 0620;
  ASSERT_EQ(h.listen(listener).value(), listener.address);
  struct stat file{};
  ASSERT_EQ(::stat(listener.address.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0620U);
  for (int i = 0; i < 8; ++i) {  // of clients of every shard
    const std::string id = "local-" + std::to_string(i);
    TestClient client(listener.address);
    ASSERT_EQ(client.connect({.client_id = id}), ReasonCode::kSuccess);
    EXPECT_EQ(client.publish("x", "y"), ReasonCode::kSuccess);
    EXPECT_EQ(h.broker->connection(id)->source_ip, "");
  }
  EXPECT_EQ(h.listen(listener).error().code, ErrorCode::kConflict);
  h.broker->stop(Duration{2000});
  EXPECT_FALSE(std::filesystem::exists(listener.address));
}

TEST(Arrival, the_socket_of_a_dead_server_is_replaced_and_nothing_else) {
  Harness h;
  Listener listener;
  listener.kind = Listener::Kind::kUnix;
  listener.address = h.directory + "/mqtt.sock";
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  listener.address.copy(name.sun_path, sizeof name.sun_path - 1);
  const int dead = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(dead, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  ::close(dead);
  EXPECT_TRUE(h.listen(listener));
  listener.address = h.directory;
  EXPECT_EQ(h.listen(listener).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(std::filesystem::is_directory(h.directory));
  listener.address = "/tmp/" + std::string(200, 'x');
  EXPECT_EQ(h.listen(listener).error().code, ErrorCode::kInvalidArgument);
}

TEST(Arrival, connections_without_a_connect_are_bounded) {
  Options options = Harness::default_options();
  options.unfinished_max = 3;
  Harness h(options);
  const std::string at = h.listen_plain(), other = h.listen_plain();
  std::vector<std::unique_ptr<TestClient>> silent;
  for (int i = 0; i < 3; ++i) silent.push_back(std::make_unique<TestClient>(at));
  eventually([&] { return h.broker->connection_count() == 3; }, "three connections");
  EXPECT_TRUE(TestClient(at).closed());
  EXPECT_EQ(refused(h, "unfinished_max"), 1);
  TestClient elsewhere(other);
  EXPECT_EQ(elsewhere.connect({.client_id = "x"}), ReasonCode::kSuccess) << "each listener has its own";
  EXPECT_EQ(silent[0]->connect({.client_id = "a"}), ReasonCode::kSuccess);
  TestClient next(at);
  EXPECT_EQ(next.connect({.client_id = "b"}), ReasonCode::kSuccess) << "who has connected is not counted";
}

TEST(Arrival, the_rate_of_a_source_is_bounded_by_its_true_address) {
  Options options = Harness::default_options();
  options.connect_rate_per_source_max = 2;
  Harness h(options);
  const std::string at = h.listen(behind_proxy("127.0.0.1")).value();
  const auto come = [&](const std::string& ip) {
    TestClient client(at, nullptr, {}, "PROXY TCP4 " + ip + " 198.51.100.1 4711 1883\r\n");
    return client.connect({.client_id = "c"}) == ReasonCode::kSuccess;
  };
  EXPECT_TRUE(come("192.0.2.1") && come("192.0.2.1"));
  EXPECT_FALSE(come("192.0.2.1"));
  EXPECT_TRUE(come("192.0.2.2"));
  EXPECT_EQ(refused(h, "connect_rate_of_source"), 1);
  h.pass(Duration{1000});
  EXPECT_TRUE(come("192.0.2.1"));
}

TEST(Arrival, who_sends_too_much_is_read_later) {
  Options options = Harness::default_options();
  options.packets_per_second_max = 10;
  Harness h(options);
  TestClient client(h.listen_plain());
  ASSERT_EQ(client.connect({.client_id = "a"}), ReasonCode::kSuccess);
  // Fifteen in one write are all answered, and paid for: the next is not read for half a second and more.
  std::string many;
  for (uint16_t i = 1; i <= 15; ++i) client.send_publish("x", "y", 1, i);
  for (int i = 0; i < 15; ++i) {
    if (i == 10) h.pass(Duration{2'000});  // if they came one by one, the rest is waiting now
    EXPECT_EQ(client.next().type, mqtt::PacketType::kPuback);
  }
  for (uint16_t i = 1; i <= 60; ++i) client.send_publish("x", std::string(100, 'y'), 1, i);
  eventually([&] { return refused(h, "packet_rate") > 0; }, "the bound");
  for (int i = 0; i < 60; ++i) {
    h.pass(Duration{200});
    EXPECT_EQ(client.next().type, mqtt::PacketType::kPuback);
  }
}

}  // namespace
}  // namespace fleetward::broker
