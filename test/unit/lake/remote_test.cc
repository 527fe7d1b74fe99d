#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "lake/remote_answer.h"
#include "lake/remote_store.h"

namespace fleetward::lake {
namespace {

using testing::HasSubstr;

TEST(RemoteAnswer, Classes) {
  const auto code = [](long status, const char* name) {
    return classify_answer("PUT x", status, "<Error><Code>" + std::string(name) + "</Code></Error>").code;
  };
  EXPECT_EQ(code(404, "NoSuchBucket"), ErrorCode::kNotFound);
  EXPECT_EQ(code(403, "AccessDenied"), ErrorCode::kPermissionDenied);
  EXPECT_EQ(code(403, "SignatureDoesNotMatch"), ErrorCode::kUnauthenticated);
  EXPECT_EQ(code(400, "ExpiredToken"), ErrorCode::kUnauthenticated);
  EXPECT_EQ(code(503, "SlowDown"), ErrorCode::kThrottled);
  EXPECT_EQ(code(503, "ServiceUnavailable"), ErrorCode::kUnavailable);
  EXPECT_EQ(code(500, "InternalError"), ErrorCode::kUnavailable);
  EXPECT_EQ(code(409, "OperationAborted"), ErrorCode::kUnavailable);
  EXPECT_EQ(code(400, "EntityTooLarge"), ErrorCode::kLimitExceeded);
  EXPECT_EQ(code(301, "PermanentRedirect"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(classify_answer("PUT x", 403, "<Code>A</Code><Message>no\nway</Message>").message,
            "PUT x: the outside S3 answered 403 A: no way");
  EXPECT_EQ(classify_answer("PUT x", 502, "bad gateway").message, "PUT x: the outside S3 answered 502");
}

TEST(RemoteAnswer, Targets) {
  const auto path = remote_target("http://minio:9000", true, "b.c", "a b/\xc3\xa9");
  EXPECT_EQ(path.url, "http://minio:9000/b.c/a%20b/%C3%A9");
  EXPECT_EQ(path.host, "minio:9000");
  const auto virtual_host = remote_target("https://s3.eu-west-1.amazonaws.com/", false, "b", "k");
  EXPECT_EQ(virtual_host.url, "https://b.s3.eu-west-1.amazonaws.com/k");
  EXPECT_EQ(virtual_host.raw_path, "/k");
  EXPECT_EQ(remote_target("https://s3.example", false, "a.b", "k").url, "https://s3.example/a.b/k");
  EXPECT_EQ(remote_target("http://h", true, "b", "").raw_path, "/b");
  for (const char* bad : {"", "minio:9000", "ftp://h", "http://", "http://h/path", "http://u@h"}) {
    EXPECT_FALSE(check_endpoint(bad)) << bad;
  }
  EXPECT_TRUE(check_endpoint("http://h:9000/"));
}

// Answers one connection after the other with the given answers, and keeps what it was asked.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::vector<std::string> answers) : answers_(std::move(answers)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    ::listen(listener_, 8);
    socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    endpoint_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { run(); });
  }
  ~ScriptedServer() {
    join();
    ::close(listener_);
  }
  void join() {
    if (thread_.joinable()) thread_.join();
  }
  const std::string& endpoint() const { return endpoint_; }
  std::vector<std::string> requests;

 private:
  void run() {
    for (const std::string& answer : answers_) {
      const int connection = ::accept(listener_, nullptr, nullptr);
      std::string request;
      char buffer[4096];
      while (request.find("payload") == std::string::npos) {
        const ssize_t n = ::read(connection, buffer, sizeof buffer);
        if (n <= 0) break;
        request.append(buffer, static_cast<size_t>(n));
      }
      requests.push_back(request);
      if (::write(connection, answer.data(), answer.size()) < 0) requests.push_back("write failed");
      ::close(connection);
    }
  }

  std::vector<std::string> answers_;
  int listener_;
  std::string endpoint_;
  std::thread thread_;
};

RemoteStoreOptions options_for(const std::string& endpoint) {
  RemoteStoreOptions options;
  options.endpoint = endpoint;
  options.access_key_id = "AK";
  options.secret_access_key = "secret";
  options.first_backoff = Duration{1};
  return options;
}

constexpr char kOk[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
constexpr char kBusy[] =
    "HTTP/1.1 503 Busy\r\nContent-Length: 21\r\nConnection: close\r\n\r\n<Code>SlowDown</Code>";
constexpr char kDenied[] =
    "HTTP/1.1 403 No\r\nContent-Length: 25\r\nConnection: close\r\n\r\n<Code>AccessDenied</Code>";

TEST(RemoteStore, PutsSignedAndTriesAgain) {
  ScriptedServer server({kBusy, kOk});
  Metrics metrics;
  auto store = RemoteStore::create(options_for(server.endpoint()), metrics);
  ASSERT_TRUE(store) << store.error().message;
  const auto status = (*store)->put({"b", "k/1", "text/plain", "gzip", "payload"});
  server.join();
  ASSERT_TRUE(status) << status.error().message;
  ASSERT_EQ(server.requests.size(), 2u);
  EXPECT_THAT(server.requests[1], HasSubstr("PUT /b/k/1 HTTP/1.1\r\n"));
  EXPECT_THAT(server.requests[1], HasSubstr("Authorization: AWS4-HMAC-SHA256 Credential=AK/"));
  EXPECT_THAT(server.requests[1], HasSubstr("Content-Type: text/plain\r\n"));
  EXPECT_THAT(server.requests[1], HasSubstr("Content-Encoding: gzip\r\n"));
  EXPECT_THAT(server.requests[1], HasSubstr("Content-Length: 7\r\n"));
}

TEST(RemoteStore, ARefusalIsNotTriedAgain) {
  ScriptedServer server({kDenied});
  Metrics metrics;
  auto store = RemoteStore::create(options_for(server.endpoint()), metrics);
  const auto status = (*store)->put({"b", "k", "", "", "payload"});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kPermissionDenied);
  EXPECT_THAT(status.error().message, HasSubstr("AccessDenied"));
}

TEST(RemoteStore, NobodyThere) {
  Metrics metrics;
  std::string endpoint;
  {
    ScriptedServer gone({});
    endpoint = gone.endpoint();
  }
  auto store = RemoteStore::create(options_for(endpoint), metrics);
  const auto status = (*store)->put({"b", "k", "", "", "payload"});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kUnavailable);
  auto large = options_for(endpoint);
  large.object_bytes_max = 3;
  EXPECT_EQ((*RemoteStore::create(large, metrics))->put({"b", "k", "", "", "payload"}).error().code,
            ErrorCode::kLimitExceeded);
  EXPECT_FALSE(RemoteStore::create(options_for("minio"), metrics));
  large.secret_access_key.clear();
  EXPECT_FALSE(RemoteStore::create(large, metrics));
}

}  // namespace
}  // namespace fleetward::lake
