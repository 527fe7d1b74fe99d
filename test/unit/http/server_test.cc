#include "http/server.h"

#include <algorithm>
#include <arpa/inet.h>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "http/spool.h"
#include "http/wire.h"

namespace fleetward::http {
namespace {

// Says what it took. Refuses "/take/never" before the body, "/take/late" after its first bytes.
class EchoTaker final : public BodyTaker {
 public:
  EchoTaker(std::string path, std::atomic<int>& finished) : path_(std::move(path)), finished_(finished) {}
  std::unique_ptr<Response> take(std::string_view bytes) override {
    size_ += bytes.size();
    if (!bytes.empty()) end_ = bytes.substr(bytes.size() - std::min<size_t>(bytes.size(), 4));
    if (path_ == "/take/throw") throw std::runtime_error("broken");
    if (path_ != "/take/never" && (path_ != "/take/late" || size_ == 0)) return nullptr;
    auto out = std::make_unique<Response>();
    out->status = 403;
    out->body = "no";
    return out;
  }
  Response finish() override {
    ++finished_;
    Response out;
    out.body = "took " + std::to_string(size_) + " " + end_;
    return out;
  }

 private:
  const std::string path_;
  std::atomic<int>& finished_;
  uint64_t size_ = 0;
  std::string end_;
};

// Answers what it was asked; "/stream" streams, "/wait" blocks until release() is called.
class EchoHandler final : public Handler {
 public:
  std::unique_ptr<Response> before_body(const RequestHead& head, uint64_t& body_bytes_max) override {
    if (head.path == "/refused") {
      auto out = std::make_unique<Response>();
      out->status = 403;
      out->body = "no";
      return out;
    }
    if (head.path == "/large" || head.path.starts_with("/take")) body_bytes_max = 8 << 20;
    return nullptr;
  }
  std::unique_ptr<BodyTaker> taker(const RequestHead& head) override {
    if (!head.path.starts_with("/take")) return nullptr;
    return std::make_unique<EchoTaker>(head.path, finished);
  }
  Response handle(Request request) override {
    Response out;
    if (request.path == "/stream") {
      auto left = std::make_shared<int>(5);
      out.source_length = 500'000;
      out.source = [left]() -> Result<std::string> {
        return (*left)-- > 0 ? std::string(100'000, static_cast<char>('a' + *left)) : std::string();
      };
      return out;
    }
    if (request.path == "/cut") {
      out.source_length = 10;
      out.source = []() -> Result<std::string> { return fail(ErrorCode::kInternal, "disk"); };
      return out;
    }
    if (request.path == "/throw") throw std::runtime_error("broken");
    if (request.path == "/wait") {
      std::unique_lock lock(mutex_);
      ++waiting_;
      changed_.notify_all();
      changed_.wait(lock, [&] { return released_; });
    }
    const auto body = request.body->read(request.body->size() > 4 ? request.body->size() - 4 : 0, 100);
    out.headers.add("X-Split", "a\r\nInjected: b");
    out.body =
        request.method + " " + request.path + " " + std::to_string(request.body->size()) + " " + body.value();
    return out;
  }
  void wait_for_one() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ > 0; });
  }
  void release() {
    const std::lock_guard lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }
  std::atomic<int> finished = 0;  // bodies that were taken whole

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  bool released_ = false;
};

class Client {
 public:
  explicit Client(const std::string& address) {
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    timeval limit{10, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  ~Client() {
    if (socket_ >= 0) ::close(socket_);
  }
  int take() { return std::exchange(socket_, -1); }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  std::string read_until(std::string_view end) {
    while (input_.find(end) == std::string::npos && more()) {
    }
    const size_t at = input_.find(end);
    std::string out = input_.substr(0, at == std::string::npos ? at : at + end.size());
    input_.erase(0, out.size());
    return out;
  }
  std::string read(size_t count) {
    while (input_.size() < count && more()) {
    }
    std::string out = input_.substr(0, count);
    input_.erase(0, out.size());
    return out;
  }
  std::string read_all() {
    while (more()) {
    }
    return std::move(input_);
  }
  // Status and body of one answer.
  std::string answer() {
    const std::string head = read_until("\r\n\r\n");
    const size_t at = head.find("Content-Length: ");
    const size_t length = at == std::string::npos ? 0 : std::stoul(head.substr(at + 16));
    return head.substr(9, 3) + " " + read(length);
  }

 private:
  bool more() {
    char buffer[65536];
    const ssize_t n = ::recv(socket_, buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    input_.append(buffer, static_cast<size_t>(n));
    return true;
  }
  int socket_;
  std::string input_;
};

class ServerTest : public testing::Test {
 protected:
  void start(ServerOptions options = {}) {
    options.memory_body_max = 1000;
    options.spool_directory = testing::TempDir();
    server = std::make_unique<Server>(options, handler, logger, metrics);
    address = server->listen("127.0.0.1:0").value();
  }
  std::shared_ptr<EchoHandler> handler = std::make_shared<EchoHandler>();
  Logger logger = Logger::none();
  Metrics metrics;
  std::unique_ptr<Server> server;
  std::string address;
};

TEST_F(ServerTest, KeepAliveAndPipelining) {
  start();
  Client client(address);
  client.send(
      "GET /a HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nxyz"
      "GET /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(client.answer(), "200 GET /a 0 ");
  EXPECT_EQ(client.answer(), "200 POST /b 3 xyz");
  EXPECT_EQ(client.answer(), "200 GET /c 0 ");
  EXPECT_EQ(client.read_all(), "");
}

TEST_F(ServerTest, BytesOneByOne) {
  start();
  Client client(address);
  for (const char c : std::string_view("POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                                       "3;x=y\r\nabc\r\n4\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n")) {
    client.send({&c, 1});
  }
  EXPECT_EQ(client.answer(), "200 POST /b 7 defg");
}

TEST_F(ServerTest, HeaderValuesCannotSplitTheAnswer) {
  start();
  Client client(address);
  client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_NE(client.read_until("\r\n\r\n").find("X-Split: aInjected: b\r\n"), std::string::npos);
}

TEST_F(ServerTest, ExpectContinue) {
  start();
  Client client(address);
  client.send("PUT /large HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send(std::string(1'999'996, 'x') + "last");
  EXPECT_EQ(client.answer(), "200 PUT /large 2000000 last");
  client.send("PUT /refused HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.answer(), "403 no");
}

TEST_F(ServerTest, LargeBodiesAreTakenAsTheyArrive) {
  start();
  Client client(address);
  const std::string body = std::string(999'996, 'x') + "last";
  client.send("PUT /take HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + body);
  EXPECT_EQ(client.answer(), "200 took 1000000 last");
  client.send("PUT /take HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nf4240\r\n" + body +
              "\r\n0\r\n\r\n");
  EXPECT_EQ(client.answer(), "200 took 1000000 last");
  // Small ones need no second way.
  client.send("PUT /take HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(client.answer(), "200 PUT /take 3 abc");
  EXPECT_EQ(handler->finished, 2);
}

TEST_F(ServerTest, TakersRefuse) {
  start();
  const std::string body(1'000'000, 'x');
  {
    // Who asks first is told before it sends.
    Client client(address);
    client.send(
        "PUT /take/never HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_EQ(client.answer(), "403 no");
  }
  Client client(address);
  for (const char* path : {"/take/never", "/take/late"}) {
    // Who sends at once is told when it can hear, and may go on.
    client.send("PUT " + std::string(path) + " HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" +
                body);
    EXPECT_EQ(client.answer(), "403 no");
  }
  client.send("PUT /take/throw HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + body);
  EXPECT_EQ(client.answer().substr(0, 3), "500");
  client.send("PUT /take HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send(body);
  EXPECT_EQ(client.answer(), "200 took 1000000 xxxx");
  EXPECT_EQ(handler->finished, 1);
}

TEST_F(ServerTest, BodiesOverTheBound) {
  start({.body_bytes_max = 10});
  {
    Client client(address);
    client.send("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n");
    EXPECT_EQ(client.answer(), "413 the body is too large\n");
  }
  Client client(address);
  client.send(
      "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n");
  EXPECT_EQ(client.answer(), "413 the body is too large\n");
}

TEST_F(ServerTest, StreamsAndHead) {
  start();
  Client client(address);
  client.send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string got = client.answer();
  EXPECT_EQ(got.size(), 500'004u);
  EXPECT_EQ(got.back(), 'a');
  client.send("HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_NE(client.read_until("\r\n\r\n").find("Content-Length: 500000\r\n"), std::string::npos);
  EXPECT_EQ(client.answer(), "200 GET /a 0 ");
}

TEST_F(ServerTest, ABrokenSourceEndsTheConnection) {
  start();
  Client client(address);
  client.send("GET /cut HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string got = client.read_all();
  EXPECT_NE(got.find("Content-Length: 10\r\n"), std::string::npos);
  EXPECT_TRUE(got.ends_with("\r\n\r\n"));
}

TEST_F(ServerTest, WhatIsNotHttp) {
  start();
  for (const char* bytes :
       {"\x16\x03\x01\x02", "GET\r\n\r\n", "GET a HTTP/1.1\r\n\r\n", "GET /%zz HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "GET / HTTP/1.1\r\nA b: c\r\n\r\n"}) {
    Client client(address);
    client.send(bytes);
    client.send("\r\n\r\n");
    EXPECT_EQ(client.answer().substr(0, 4), "400 ") << bytes;
  }
  Client client(address);
  client.send("GET / HTTP/1.1\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n");
  EXPECT_EQ(client.answer().substr(0, 4), "431 ");
  const auto ask = [&](const std::string& bytes) {
    Client one(address);
    one.send(bytes);
    return one.answer().substr(0, 4);
  };
  EXPECT_EQ(ask("GET / HTTP/2.0\r\n\r\n"), "505 ");
  EXPECT_EQ(ask("GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), "501 ");
  EXPECT_EQ(ask("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"), "400 ");
  const auto counted = [&](const std::string& reason) {
    return metrics.counter("fleetward_http_bad_requests_total", "", {{"reason", reason}}).Value();
  };
  EXPECT_EQ(counted("head"), 5);
  EXPECT_EQ(counted("target"), 2);
  EXPECT_EQ(counted("head_too_large"), 1);
  EXPECT_EQ(counted("version"), 1);
  EXPECT_EQ(counted("upgrade"), 1);
  EXPECT_EQ(counted("body"), 1);
}

TEST_F(ServerTest, HandlersThatThrow) {
  start();
  Client client(address);
  client.send("GET /throw HTTP/1.1\r\nHost: h\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(client.answer(), "500 internal error\n");
  EXPECT_EQ(client.answer(), "200 GET /a 0 ");
}

TEST_F(ServerTest, OverloadIsRefusedAtOnce) {
  start({.worker_threads = 1, .worker_queue_max = 1});
  Client first(address);
  first.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  handler->wait_for_one();
  // Of these two, one waits in the queue and the other finds it full.
  Client second(address), third(address);
  second.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  third.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  while (metrics.scrape().find("fleetward_http_overloaded_total 1") == std::string::npos) {
    std::this_thread::yield();
  }
  handler->release();
  EXPECT_EQ(first.answer(), "200 GET /wait 0 ");
  std::vector<std::string> answers{second.answer(), third.answer()};
  std::sort(answers.begin(), answers.end());
  EXPECT_EQ(answers, (std::vector<std::string>{"200 GET /a 0 ", "503 too many requests\n"}));
}

TEST_F(ServerTest, TooManyConnections) {
  start({.connections_max = 1});
  Client first(address);
  first.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(first.answer(), "200 GET /a 0 ");
  Client second(address);
  EXPECT_EQ(second.read_all(), "");
  // The one that was idle made room.
  EXPECT_EQ(first.read_all(), "");
  std::string answer;
  for (int i = 0; i < 100 && answer.empty(); ++i) {
    Client next(address);
    next.send("GET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    answer = next.read_all();
  }
  EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 200");
}

TEST_F(ServerTest, StopLetsARequestFinish) {
  start();
  Client idle(address), busy(address);
  idle.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(idle.answer(), "200 GET /a 0 ");
  busy.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  handler->wait_for_one();
  std::thread stopper([&] { server->stop(Duration{10'000}); });
  EXPECT_EQ(idle.read_all(), "");  // closed at once
  handler->release();
  EXPECT_EQ(busy.answer(), "200 GET /wait 0 ");
  stopper.join();
}

TEST_F(ServerTest, AdoptsASocketWithWhatWasRead) {
  start();
  int pair[2];
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof at;
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&at), length), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &length);
  Client client("127.0.0.1:" + std::to_string(ntohs(at.sin_port)));
  pair[0] = ::accept(listener, nullptr, nullptr);
  ::close(listener);
  server->adopt(pair[0], {"192.0.2.7", 4711}, "GET /ado", nullptr);
  client.send("pted HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(client.answer(), "200 GET /adopted 0 ");
}

TEST_F(ServerTest, APortInUse) {
  start();
  const auto again = server->listen(address);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kConflict);
  EXPECT_FALSE(server->listen("localhost"));
  EXPECT_FALSE(server->listen("127.0.0.1:99999"));
}

TEST(Spool, ABodyInAFile) {
  BodySpool spool(testing::TempDir());
  ASSERT_TRUE(spool.append("01234"));
  ASSERT_TRUE(spool.append("56789abc"));
  ASSERT_TRUE(spool.append("def"));
  const auto body = spool.finish();
  EXPECT_EQ(body->text().value(), "0123456789abcdef");
  EXPECT_EQ(body->read(10, 3).value(), "abc");
  EXPECT_EQ(body->read(14, 30).value(), "ef");
  EXPECT_EQ(body->read(16, 1).value(), "");
  EXPECT_FALSE(BodySpool("/nonexistent").append("x"));
  EXPECT_EQ(memory_body("0123456789")->read(8, 10).value(), "89");
}

}  // namespace
}  // namespace fleetward::http
