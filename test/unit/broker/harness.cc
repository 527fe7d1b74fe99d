#include "test/unit/broker/harness.h"

#include <arpa/inet.h>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>

#include <poll.h>
#include <unistd.h>

#include "core/encoding.h"

namespace fleetward::broker {
namespace {

constexpr int kPatienceMs = 10'000;

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

}  // namespace

// ---------------------------------------------------------------- client

TestClient::TestClient(const std::string& address, const DeviceFiles* device, const std::string& alpn,
                       const std::string& first) {
  if (address.starts_with('/')) {
    descriptor_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    address.copy(to.sun_path, sizeof to.sun_path - 1);
    if (::connect(descriptor_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return;
  } else {
    const size_t colon = address.rfind(':');
    descriptor_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(colon + 1))));
    ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
    if (::connect(descriptor_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return;
  }
  up_ = true;
  send(first);
  if (device == nullptr) return;
  context_ = SSL_CTX_new(TLS_client_method());
  if (!device->certificate_path.empty()) {
    SSL_CTX_use_certificate_chain_file(context_, device->certificate_path.c_str());
    SSL_CTX_use_PrivateKey_file(context_, device->key_path.c_str(), SSL_FILETYPE_PEM);
  }
  ssl_ = SSL_new(context_);
  if (!alpn.empty()) {
    const std::string wire = std::string(1, static_cast<char>(alpn.size())) + alpn;
    SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(wire.data()),
                        static_cast<unsigned>(wire.size()));
  }
  SSL_set_fd(ssl_, descriptor_);
  up_ = SSL_connect(ssl_) == 1;
}

TestClient::~TestClient() {
  SSL_free(ssl_);
  SSL_CTX_free(context_);
  ::close(descriptor_);
}

std::string TestClient::server_certificate_id() const {
  X509* certificate = SSL_get1_peer_certificate(ssl_);
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  std::string id = sha256_hex({reinterpret_cast<char*>(der), static_cast<size_t>(size)});
  OPENSSL_free(der);
  X509_free(certificate);
  return id;
}

void TestClient::send(const std::string& bytes) {
  if (ssl_ != nullptr) {
    SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()));
    return;
  }
  size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t n = ::send(descriptor_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (n <= 0) return;
    at += static_cast<size_t>(n);
  }
}

int TestClient::read_some() {
  if (ssl_ == nullptr || SSL_pending(ssl_) == 0) {
    pollfd wait{descriptor_, POLLIN, 0};
    if (::poll(&wait, 1, kPatienceMs) != 1) {
      ADD_FAILURE() << "nothing came from the broker";
      return 0;
    }
  }
  char bytes[16 * 1024];
  const auto n = ssl_ != nullptr ? SSL_read(ssl_, bytes, sizeof bytes)
                                 : static_cast<int>(::recv(descriptor_, bytes, sizeof bytes, 0));
  if (n > 0) in_.append(bytes, static_cast<size_t>(n));
  return std::max(n, 0);
}

const mqtt::Packet& TestClient::next() {
  in_.erase(0, used_);
  used_ = 0;
  while (!ended_) {
    const auto outcome = decoder_.next(in_, packet_);
    if (outcome.kind == mqtt::Decoder::Kind::kPacket) {
      used_ = outcome.bytes;
      return packet_;
    }
    if (outcome.kind == mqtt::Decoder::Kind::kError) {
      ADD_FAILURE() << "the broker sent a bad packet: " << outcome.error.text;
      break;
    }
    if (read_some() == 0) break;
  }
  ended_ = true;
  packet_.type = mqtt::PacketType::kAuth;
  return packet_;
}

bool TestClient::closed() {
  return next().type == mqtt::PacketType::kAuth;
}

bool TestClient::quiet(int ms) {
  if (used_ < in_.size() || !kept_.empty()) return false;
  pollfd wait{descriptor_, POLLIN, 0};
  return ::poll(&wait, 1, ms) == 0;
}

mqtt::ReasonCode TestClient::connect(const ConnectOptions& options) {
  mqtt::Connect packet;
  packet.version = options.version;
  packet.client_id = options.client_id;
  packet.clean_start = options.clean;
  packet.keep_alive_s = options.keep_alive_s;
  decoder_.set_version(options.version);
  if (options.session_expiry_s != 0)
    packet.properties.set(mqtt::Property::kSessionExpiry, options.session_expiry_s);
  if (options.receive_maximum != 0) {
    packet.properties.set(mqtt::Property::kReceiveMaximum, uint32_t{options.receive_maximum});
  }
  if (options.packet_bytes_max != 0) {
    packet.properties.set(mqtt::Property::kMaximumPacketSize, options.packet_bytes_max);
  }
  if (options.will) {
    packet.has_will = true;
    packet.will.topic = options.will->topic;
    packet.will.payload = options.will->payload;
    packet.will.qos = static_cast<uint8_t>(options.will->qos);
    packet.will.retain = options.will->retain;
    if (options.will_delay_s != 0)
      packet.will.properties.set(mqtt::Property::kWillDelay, options.will_delay_s);
  }
  std::string bytes;
  mqtt::encode(bytes, packet);
  send(bytes);
  const mqtt::Packet& answer = next();
  if (answer.type != mqtt::PacketType::kConnack) return mqtt::ReasonCode::kServerUnavailable;
  session_present = answer.connack.session_present;
  assigned_client_id = answer.connack.properties.text(mqtt::Property::kAssignedClientId);
  server_keep_alive_s =
      static_cast<uint16_t>(answer.connack.properties.number(mqtt::Property::kServerKeepAlive));
  return answer.connack.reason;
}

void TestClient::keep(const mqtt::Publish& publish) {
  Published out;
  out.topic = publish.topic;
  out.payload = publish.payload;
  out.qos = publish.qos;
  out.retain = publish.retain;
  out.dup = publish.dup;
  out.packet_id = publish.packet_id;
  for (const auto& user : publish.properties.user()) out.user_properties.emplace_back(user.name, user.value);
  if (publish.properties.has(mqtt::Property::kMessageExpiry)) {
    out.expiry_s = publish.properties.number(mqtt::Property::kMessageExpiry);
  }
  kept_.push_back(std::move(out));
}

std::vector<mqtt::ReasonCode> TestClient::subscribe(const std::vector<std::string>& filters, uint8_t qos,
                                                    uint8_t retain_handling, bool no_local) {
  mqtt::Subscribe packet;
  packet.packet_id = next_id_++;
  for (const std::string& filter : filters) {
    mqtt::Subscription subscription;
    subscription.filter = filter;
    subscription.qos = qos;
    subscription.retain_handling = retain_handling;
    subscription.no_local = no_local;
    packet.subscriptions.push_back(subscription);
  }
  std::string bytes;
  mqtt::encode(bytes, decoder_.version(), packet);
  send(bytes);
  while (true) {
    const mqtt::Packet& answer = next();
    if (answer.type == mqtt::PacketType::kSuback) return answer.subscription_ack.reasons;
    if (answer.type != mqtt::PacketType::kPublish) return {};
    keep(answer.publish);
  }
}

void TestClient::unsubscribe(const std::string& filter) {
  mqtt::Unsubscribe packet;
  packet.packet_id = next_id_++;
  packet.filters.push_back(filter);
  std::string bytes;
  mqtt::encode(bytes, decoder_.version(), packet);
  send(bytes);
  EXPECT_EQ(next().type, mqtt::PacketType::kUnsuback);
}

void TestClient::send_publish(const std::string& topic, const std::string& payload, uint8_t qos,
                              uint16_t packet_id, bool retain, bool dup) {
  mqtt::Publish packet;
  packet.dup = dup;
  packet.topic = topic;
  packet.payload = payload;
  packet.qos = qos;
  packet.retain = retain;
  packet.packet_id = packet_id;
  std::string bytes;
  mqtt::encode(bytes, decoder_.version(), packet);
  send(bytes);
}

mqtt::ReasonCode TestClient::publish(const std::string& topic, const std::string& payload, uint8_t qos,
                                     bool retain) {
  const uint16_t id = qos > 0 ? next_id_++ : 0;
  send_publish(topic, payload, qos, id, retain);
  if (qos == 0) return mqtt::ReasonCode::kSuccess;
  while (true) {
    const mqtt::Packet& answer = next();
    const auto last = qos == 2 ? mqtt::PacketType::kPubcomp : mqtt::PacketType::kPuback;
    if (answer.type == mqtt::PacketType::kPubrec && !mqtt::is_error(answer.ack.reason)) {
      EXPECT_EQ(answer.ack.packet_id, id);
      send_ack(mqtt::PacketType::kPubrel, id);
      continue;
    }
    if (answer.type == last || answer.type == mqtt::PacketType::kPubrec) {
      EXPECT_EQ(answer.ack.packet_id, id);
      return answer.ack.reason;
    }
    if (answer.type != mqtt::PacketType::kPublish) return mqtt::ReasonCode::kServerUnavailable;
    keep(answer.publish);
  }
}

void TestClient::send_ack(mqtt::PacketType type, uint16_t packet_id) {
  std::string bytes;
  mqtt::encode_ack(bytes, type, decoder_.version(), packet_id);
  send(bytes);
}

bool TestClient::answered(mqtt::PacketType type, uint16_t packet_id) {
  const mqtt::Packet& packet = next();
  if (packet.type == type && packet.ack.packet_id == packet_id) return true;
  ADD_FAILURE() << "expected " << mqtt::to_string(type) << ", got " << mqtt::to_string(packet.type);
  return false;
}

Published TestClient::receive(bool ack) {
  while (kept_.empty()) {
    const mqtt::Packet& packet = next();
    if (packet.type != mqtt::PacketType::kPublish) {
      ADD_FAILURE() << "expected PUBLISH, got " << mqtt::to_string(packet.type);
      return {};
    }
    keep(packet.publish);
  }
  Published out = kept_.front();
  kept_.erase(kept_.begin());
  if (!ack || out.qos == 0) return out;
  if (out.qos == 1) {
    send_ack(mqtt::PacketType::kPuback, out.packet_id);
    return out;
  }
  send_ack(mqtt::PacketType::kPubrec, out.packet_id);
  while (true) {
    const mqtt::Packet& packet = next();
    if (packet.type == mqtt::PacketType::kPubrel) {
      EXPECT_EQ(packet.ack.packet_id, out.packet_id);
      send_ack(mqtt::PacketType::kPubcomp, out.packet_id);
      return out;
    }
    if (packet.type != mqtt::PacketType::kPublish) {
      ADD_FAILURE() << "expected PUBREL, got " << mqtt::to_string(packet.type);
      return out;
    }
    keep(packet.publish);
  }
}

void TestClient::disconnect() {
  std::string bytes;
  mqtt::encode(bytes, decoder_.version(), mqtt::Disconnect{});
  send(bytes);
  EXPECT_TRUE(closed());
}

// ---------------------------------------------------------------- around the broker

PublishHook::Verdict TestHook::on_publish(const Publisher& publisher, std::string_view topic,
                                          std::string_view payload, const Message& /*properties*/,
                                          Timestamp now, log::Batch& batch) {
  static_cast<void>(publisher);
  {
    const std::lock_guard lock(mutex_);
    seen_.push_back(std::string(topic) + " " + std::string(payload));
  }
  Verdict verdict;
  const auto reply = [&](const std::string& to) {
    auto message = std::make_shared<Message>();
    message->topic = to;
    message->payload = payload;
    message->qos = 1;
    verdict.replies.push_back(std::move(message));
  };
  if (topic.starts_with("durable/")) batch.append({"records/test", 0}, std::string(payload), now);
  if (topic.starts_with("ask/")) reply("answer/" + std::string(topic.substr(4)));
  if (topic == "loop") reply("loop");
  if (topic == "bomb") {
    for (int i = 0; i < 10; ++i) reply("bomb");
  }
  if (topic.starts_with("swallow/")) verdict.route_to_subscribers = false;
  return verdict;
}

std::vector<std::string> TestHook::seen(std::string_view topic_prefix) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const std::string& line : seen_) {
    if (line.starts_with(topic_prefix)) out.push_back(line);
  }
  return out;
}

namespace {

// Sums in the order of names.
void add(const DimensionCounters& delta, std::vector<DimensionCounters>& totals) {
  const auto order = [](const DimensionCounters& c) { return c.dimension + (c.in ? "+" : "-"); };
  auto it = totals.begin();
  while (it != totals.end() && order(*it) < order(delta)) ++it;
  if (it == totals.end() || order(*it) != order(delta)) {
    totals.insert(it, delta);
    return;
  }
  it->messages_sent += delta.messages_sent;
  it->messages_received += delta.messages_received;
  it->message_bytes_total += delta.message_bytes_total;
  it->authorization_failures += delta.authorization_failures;
}

}  // namespace

void TestSink::on_observations(std::vector<Observation> batch) {
  const std::lock_guard lock(mutex_);
  for (const Observation& delta : batch) {
    Observation& total = totals_[delta.thing];
    total.registered = delta.registered;
    total.connected = delta.connected;
    total.messages_sent += delta.messages_sent;
    total.messages_received += delta.messages_received;
    total.message_bytes_total += delta.message_bytes_total;
    total.authorization_failures += delta.authorization_failures;
    total.connection_attempts += delta.connection_attempts;
    total.disconnects += delta.disconnects;
    if (delta.connected || delta.disconnected_since.ms != 0) {
      total.disconnected_since = delta.disconnected_since;
    }
    if (!delta.source_addresses.empty()) total.source_addresses = delta.source_addresses;
    for (const DimensionCounters& counters : delta.dimensions) add(counters, total.dimensions);
  }
}

Observation TestSink::total(const std::string& thing) {
  const std::lock_guard lock(mutex_);
  return totals_[thing];
}

void eventually(const std::function<bool()>& condition, const char* what) {
  for (int i = 0; i < kPatienceMs / 5; ++i) {
    if (condition()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ADD_FAILURE() << "never: " << what;
}

Options Harness::default_options() {
  Options options;
  options.shards = 2;
  options.keepalive_min = Duration{1000};
  return options;
}

Options Harness::aws_options() {
  Options options = Options::aws();
  options.shards = 2;
  return options;
}

Harness::Harness(Options o)
    : clock(SystemClock().now()),
      tables(registry::Tables::add_to(store)),
      identities(identity::Tables::add_to(store)),
      authorizer(tables, {AccountId::trusted("123456789012"), "eu-west-1"}, identities),
      options(std::move(o)) {
  EXPECT_TRUE(store.open(":memory:"));
  std::string path = (std::filesystem::temp_directory_path() / "fleetward-broker-XXXXXX").string();
  directory = ::mkdtemp(path.data());
  start();
}

Harness::~Harness() {
  if (broker) broker->stop(Duration{2000});
  broker.reset();
  std::filesystem::remove_all(directory);
}

void Harness::start() {
  metrics = std::make_unique<Metrics>();
  broker = std::make_unique<Broker>(
      options, Broker::Dependencies{log, store, authorizer, hook, sink, clock, steady, random, logger,
                                    *metrics, nullptr, [this](const state::SnapshotPtr&) {
                                      const std::lock_guard lock(counted_mutex_);
                                      return counted_;
                                    }});
  const Status started = broker->start();
  EXPECT_TRUE(started) << started.error().message;
}

void Harness::restart() {
  broker->stop(Duration{0});
  broker.reset();
  start();
}

void Harness::set_counted_topics(CountedTopicsPtr topics) {
  const std::lock_guard lock(counted_mutex_);
  counted_ = std::move(topics);
}
Result<std::string> Harness::listen(Listener listener) {
  if (listener.address.empty()) listener.address = "127.0.0.1:0";
  if (listener.plain_policy.empty()) listener.plain_policy = "open";
  return broker->listen(listener);
}

std::string Harness::listen_plain(const std::string& policy) {
  Listener listener;
  listener.kind = Listener::Kind::kMqtt;
  listener.address = "127.0.0.1:0";
  listener.plain_policy = policy;
  auto address = broker->listen(listener);
  EXPECT_TRUE(address);
  return address ? *address : "";
}

std::string Harness::listen_tls(Listener::Kind kind,
                                std::function<void(int, const SocketAddress&, std::string)> https,
                                std::shared_ptr<const AddressList> proxies) {
  if (!pki) {
    auto opened = registry::open_pki(directory, {"localhost"}, random, clock.now());
    EXPECT_TRUE(opened);
    pki.emplace(std::move(*opened));
  }
  Listener listener;
  listener.kind = kind;
  listener.address = "127.0.0.1:0";
  listener.certificate = {pki->server.certificate_chain_path, pki->server.private_key_path};
  listener.https = std::move(https);
  listener.proxies = std::move(proxies);
  auto address = broker->listen(listener);
  EXPECT_TRUE(address) << address.error().message;
  return address ? *address : "";
}

DeviceFiles Harness::device(const std::string& name, bool registered) {
  auto issued = pki->authority.issue_device(registry::KeyType::kP256, random, clock.now());
  auto facts = registry::parse_certificate(issued->certificate_pem);
  DeviceFiles out{facts->id.str(), directory + "/" + name + ".pem", directory + "/" + name + ".key"};
  write_file(out.certificate_path, issued->certificate_pem);
  write_file(out.key_path, issued->private_key_pem);
  if (registered) {
    registry::Certificate certificate;
    certificate.facts = *facts;
    certificate.pem = issued->certificate_pem;
    certificate.status = registry::CertificateStatus::kActive;
    certificate.created = certificate.modified = clock.now();
    EXPECT_TRUE(store.transact([&](auto& t) { return registry::add_certificate(t, tables, certificate); }));
  }
  return out;
}

void Harness::set_status(const DeviceFiles& device, registry::CertificateStatus status) {
  EXPECT_TRUE(store.transact(
      [&](auto& t) { return registry::set_certificate_status(t, tables, device.id, status, clock.now()); }));
}

void Harness::policy(const std::string& name, const std::string& document, const DeviceFiles* device) {
  auto parsed = registry::parse_policy_document(document);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_TRUE(store.transact([&](auto& t) -> Status {
    if (auto ok = registry::create_policy(t, tables, name, *parsed, "g", clock.now()); !ok) return ok;
    if (device == nullptr) return {};
    return registry::attach_policy(t, tables, name, registry::certificate_target(device->id), clock.now());
  }));
}

void Harness::thing(const std::string& name, const DeviceFiles& device, bool exclusive) {
  EXPECT_TRUE(store.transact([&](auto& t) -> Status {
    registry::Thing thing;
    thing.name = name;
    thing.id = "id-" + name;
    if (auto made = registry::create_thing(t, tables, thing); !made) return fail(made.error());
    return registry::attach_principal(t, tables, name, device.id, exclusive);
  }));
}

double Harness::metric(const std::string& line_start) {
  const std::string text = metrics->scrape();
  const size_t at = text.find("\n" + line_start + " ");
  if (at == std::string::npos) return -1;
  return std::stod(text.substr(at + line_start.size() + 2));
}

}  // namespace fleetward::broker
