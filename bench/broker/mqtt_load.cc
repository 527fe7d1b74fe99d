// Load generator for MQTT brokers: publishes QoS 0 or 1 over many connections with a window of unacknowledged
// messages on each, plain or over (mutual) TLS, and reports rate, latency and the broker's processor time.
//
//   fleetward_mqtt_load --port 1883 --connections 50 --window 100 --payload 300 --seconds 5 [--pid <broker>]
//
// One thread; each connection sends as much as its window allows in one write. Works with any 3.1.1 broker,
// so that a peer can be measured in the same run (bench/broker/compare.sh).
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sstream>
#include <string>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <vector>

#include <CLI/CLI.hpp>
#include <poll.h>
#include <unistd.h>

#include "mqtt/encoder.h"

namespace fleetward {
namespace {

using Steady = std::chrono::steady_clock;

struct Settings {
  std::string host = "127.0.0.1";
  uint16_t port = 1883;
  size_t connections = 50;
  size_t window = 100;
  size_t payload = 300;
  int qos = 1;
  double seconds = 5;
  std::string topic = "bench/{}/telemetry";
  std::string client_prefix = "bench-";
  std::string certificate, key;
  bool tls = false;
  int pid = 0;
};

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "mqtt_load: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(Steady::now().time_since_epoch()).count();
}

// Seconds of processor time that a process has used, 0 if it cannot be read.
double process_seconds(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  const size_t paren = text.rfind(')');
  if (pid == 0 || paren == std::string::npos) return 0;
  std::istringstream fields(text.substr(paren + 2));
  std::string skip;
  for (int i = 0; i < 11; ++i) fields >> skip;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

class Client {
 public:
  Client(const Settings& settings, size_t index, SSL_CTX* tls);
  ~Client() {
    SSL_free(ssl_);
    ::close(descriptor_);
  }
  int descriptor() const { return descriptor_; }
  // Sends what the window allows.
  void fill();
  // Reads acknowledgements; false at the end of the connection.
  bool drain(std::vector<uint32_t>& latencies_us);
  uint64_t acknowledged = 0, sent = 0;

 private:
  size_t send_some(const char* data, size_t size);
  ssize_t receive(char* data, size_t size);
  void handshake(const std::string& client_id);

  const size_t window_;
  const int qos_;
  int descriptor_ = -1;
  SSL* ssl_ = nullptr;
  std::string ring_;  // publishes with the packet identifiers 1..window
  size_t frame_ = 0;  // bytes of one
  size_t at_ = 0;     // next byte of the ring to send
  size_t open_ = 0;   // not acknowledged
  size_t tail_ = 0;   // bytes of a partial acknowledgement
  std::vector<int64_t> sent_at_;
  uint64_t next_ack_ = 0;
};

Client::Client(const Settings& settings, size_t index, SSL_CTX* tls)
    : window_(settings.window), qos_(settings.qos), sent_at_(settings.window) {
  descriptor_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(settings.port);
  ::inet_pton(AF_INET, settings.host.c_str(), &to.sin_addr);
  if (::connect(descriptor_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) die("connect");
  const int on = 1;
  ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (tls != nullptr) {
    ssl_ = SSL_new(tls);
    SSL_set_fd(ssl_, descriptor_);
    if (SSL_connect(ssl_) != 1) die("TLS handshake");
  }
  handshake(settings.client_prefix + std::to_string(index));
  timeval wait{0, 1};
  ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);

  std::string topic = settings.topic;
  if (const size_t mark = topic.find("{}"); mark != std::string::npos)
    topic.replace(mark, 2, std::to_string(index));
  const std::string payload(settings.payload, 'x');
  for (size_t i = 0; i < window_; ++i) {
    mqtt::Publish publish;
    publish.qos = static_cast<uint8_t>(qos_);
    publish.packet_id = qos_ > 0 ? static_cast<uint16_t>(i + 1) : 0;
    publish.topic = topic;
    publish.payload = payload;
    mqtt::encode(ring_, mqtt::Version::k311, publish);
  }
  frame_ = ring_.size() / window_;
}

void Client::handshake(const std::string& client_id) {
  mqtt::Connect connect;
  connect.client_id = client_id;
  connect.keep_alive_s = 60;
  std::string bytes;
  mqtt::encode(bytes, connect);
  send_some(bytes.data(), bytes.size());
  std::array<char, 4> answer{};
  size_t got = 0;
  while (got < answer.size()) {
    const ssize_t n = receive(answer.data() + got, answer.size() - got);
    if (n <= 0) die("no CONNACK");
    got += static_cast<size_t>(n);
  }
  if (answer[3] != 0) {
    std::fprintf(stderr, "mqtt_load: CONNACK %d\n", answer[3]);
    std::exit(1);
  }
}

size_t Client::send_some(const char* data, size_t size) {
  if (ssl_ != nullptr) {
    const int n = SSL_write(ssl_, data, static_cast<int>(size));
    return n > 0 ? static_cast<size_t>(n) : 0;
  }
  const ssize_t n = ::send(descriptor_, data, size, MSG_NOSIGNAL);
  return n > 0 ? static_cast<size_t>(n) : 0;
}

ssize_t Client::receive(char* data, size_t size) {
  if (ssl_ != nullptr) return SSL_read(ssl_, data, static_cast<int>(size));
  return ::recv(descriptor_, data, size, 0);
}

void Client::fill() {
  size_t room = window_ - open_;
  const int64_t now = now_us();
  while (room > 0) {
    const size_t first = at_ / frame_;
    const size_t count = std::min(room, window_ - first);
    const size_t wanted = count * frame_;
    size_t done = 0;
    while (done < wanted) {  // the socket blocks: that is the back-pressure
      const size_t n = send_some(ring_.data() + at_ + done, wanted - done);
      if (n == 0) return;
      done += n;
    }
    for (size_t i = first; i < first + count; ++i) sent_at_[i] = now;
    at_ = (at_ + wanted) % ring_.size();
    sent += count;
    if (qos_ > 0) open_ += count;
    room -= count;
  }
}

bool Client::drain(std::vector<uint32_t>& latencies_us) {
  std::array<char, 64 * 1024> bytes;
  const ssize_t n = receive(bytes.data(), bytes.size());
  if (n <= 0) return n < 0 && (errno == EAGAIN || errno == EINTR);
  const size_t total = static_cast<size_t>(n) + tail_;
  const size_t count = total / 4;  // a PUBACK of 3.1.1
  tail_ = total % 4;
  const int64_t now = now_us();
  for (size_t i = 0; i < count; ++i) {
    latencies_us.push_back(static_cast<uint32_t>(now - sent_at_[next_ack_++ % window_]));
  }
  acknowledged += count;
  open_ -= count;
  return true;
}

SSL_CTX* make_tls(const Settings& settings) {
  if (!settings.tls) return nullptr;
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
  if (!settings.certificate.empty() &&
      (SSL_CTX_use_certificate_chain_file(context, settings.certificate.c_str()) != 1 ||
       SSL_CTX_use_PrivateKey_file(context, settings.key.c_str(), SSL_FILETYPE_PEM) != 1)) {
    die("client certificate");
  }
  return context;
}

int run(const Settings& settings) {
  SSL_CTX* tls = make_tls(settings);
  std::vector<std::unique_ptr<Client>> clients;
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  for (size_t i = 0; i < settings.connections; ++i) {
    clients.push_back(std::make_unique<Client>(settings, i, tls));
    epoll_event event{};
    event.events = EPOLLIN | (settings.qos == 0 ? EPOLLOUT : 0U);
    event.data.u64 = i;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, clients.back()->descriptor(), &event);
  }
  std::vector<uint32_t> latencies_us;
  latencies_us.reserve(1 << 22);
  const double broker_before = process_seconds(settings.pid);
  const auto begin = Steady::now();
  const auto end = begin + std::chrono::microseconds(static_cast<int64_t>(settings.seconds * 1e6));
  for (auto& client : clients) client->fill();
  std::array<epoll_event, 256> events;
  while (Steady::now() < end) {
    const int count = ::epoll_wait(epoll, events.data(), events.size(), 100);
    for (int i = 0; i < count; ++i) {
      Client& client = *clients[events[static_cast<size_t>(i)].data.u64];
      if ((events[static_cast<size_t>(i)].events & EPOLLIN) != 0 && !client.drain(latencies_us)) {
        std::fprintf(stderr, "mqtt_load: the broker closed a connection\n");
        return 1;
      }
      client.fill();
    }
  }
  const double elapsed = std::chrono::duration<double>(Steady::now() - begin).count();
  const double broker = process_seconds(settings.pid) - broker_before;
  uint64_t done = 0;
  for (const auto& client : clients) done += settings.qos > 0 ? client->acknowledged : client->sent;
  std::sort(latencies_us.begin(), latencies_us.end());
  const auto at = [&](double share) {
    if (latencies_us.empty()) return 0.0;
    return latencies_us[static_cast<size_t>(share * static_cast<double>(latencies_us.size() - 1))] / 1000.0;
  };
  std::printf(
      "messages_per_second=%.0f connections=%zu window=%zu payload=%zu qos=%d p50_ms=%.3f p99_ms=%.3f",
      static_cast<double>(done) / elapsed, settings.connections, settings.window, settings.payload,
      settings.qos, at(0.5), at(0.99));
  if (broker > 0) std::printf(" messages_per_broker_cpu_second=%.0f", static_cast<double>(done) / broker);
  std::printf("\n");
  return 0;
}

}  // namespace
}  // namespace fleetward

int main(int argc, char** argv) {
  fleetward::Settings s;
  CLI::App app{"Load generator for MQTT 3.1.1 brokers"};
  app.add_option("--host", s.host, "IPv4 address")->capture_default_str();
  app.add_option("--port", s.port)->capture_default_str();
  app.add_option("--connections", s.connections)->capture_default_str();
  app.add_option("--window", s.window, "Unacknowledged messages of each connection")->capture_default_str();
  app.add_option("--payload", s.payload, "Bytes")->capture_default_str();
  app.add_option("--qos", s.qos)->check(CLI::Range(0, 1))->capture_default_str();
  app.add_option("--seconds", s.seconds)->capture_default_str();
  app.add_option("--topic", s.topic, "{} is the number of the connection")->capture_default_str();
  app.add_option("--client-prefix", s.client_prefix)->capture_default_str();
  app.add_flag("--tls", s.tls, "Without checking the broker's certificate");
  app.add_option("--cert", s.certificate, "Client certificate (PEM)");
  app.add_option("--key", s.key, "Its key (PEM)");
  app.add_option("--pid", s.pid, "The broker's process, for its processor time");
  CLI11_PARSE(app, argc, argv);
  return fleetward::run(s);
}
