#include "alerts/syslog_sender.h"

#include <arpa/inet.h>
#include <condition_variable>
#include <map>
#include <mutex>
#include <netinet/in.h>
#include <sys/socket.h>

#include <gtest/gtest.h>
#include <unistd.h>

namespace fleetward::alerts {
namespace {

// A socket on a free loopback port.
class Receiver {
 public:
  explicit Receiver(int type) : listener_(::socket(AF_INET, type, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address_), sizeof address_), 0);
    socklen_t size = sizeof address_;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address_), &size);
    if (type == SOCK_STREAM) ::listen(listener_, 8);
  }
  ~Receiver() { ::close(listener_); }
  std::string address() const { return "127.0.0.1:" + std::to_string(ntohs(address_.sin_port)); }
  int accept() const { return ::accept(listener_, nullptr, nullptr); }
  static std::string read(int descriptor, size_t bytes) {
    std::string out(bytes, '\0');
    size_t got = 0;
    while (got < bytes) {
      const ssize_t more = ::recv(descriptor, out.data() + got, bytes - got, 0);
      if (more <= 0) break;
      got += static_cast<size_t>(more);
    }
    out.resize(got);
    return out;
  }
  std::string datagram() const {
    char bytes[4096];
    const ssize_t got = ::recv(listener_, bytes, sizeof bytes, 0);
    return got < 0 ? "" : std::string(bytes, static_cast<size_t>(got));
  }

 private:
  int listener_;
  sockaddr_in address_{};
};

class Results {
 public:
  SyslogDone done() {
    return [this](uint64_t id, AttemptResult result) {
      const std::lock_guard lock(mutex_);
      results_[id] = std::move(result);
      arrived_.notify_all();
    };
  }
  AttemptResult of(uint64_t id) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(arrived_.wait_for(lock, std::chrono::seconds(20), [&] { return results_.count(id) != 0; }));
    return results_[id];
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<uint64_t, AttemptResult> results_;
};

Target target(const Receiver& receiver, Target::Transport transport, bool octet_counting = true) {
  Target out;
  out.kind = Target::Kind::kSyslog;
  out.name = "logs";
  out.address = receiver.address();
  out.transport = transport;
  out.octet_counting = octet_counting;
  out.timeout = Duration{10'000};
  return out;
}

TEST(SyslogSender, KeepsItsConnectionAndFramesWhatItSends) {
  for (const bool octets : {true, false}) {
    const Receiver receiver(SOCK_STREAM);
    Results results;
    const auto sender =
        make_syslog_sender({target(receiver, Target::Transport::kTcp, octets)}, results.done());
    sender->start(1, "logs", "<1>1 one");
    const int connection = receiver.accept();
    EXPECT_EQ(results.of(1).status, 200);
    sender->start(2, "logs", "<1>1 two");
    EXPECT_EQ(results.of(2).status, 200);
    const std::string expected = octets ? "8 <1>1 one8 <1>1 two" : "<1>1 one\n<1>1 two\n";
    EXPECT_EQ(Receiver::read(connection, expected.size()), expected);
    ::close(connection);
  }
}

TEST(SyslogSender, ConnectsAgainWhenTheOtherSideHasClosed) {
  const Receiver receiver(SOCK_STREAM);
  Results results;
  const auto sender = make_syslog_sender({target(receiver, Target::Transport::kTcp)}, results.done());
  sender->start(1, "logs", "one");
  int connection = receiver.accept();
  EXPECT_EQ(results.of(1).status, 200);
  EXPECT_EQ(Receiver::read(connection, 5), "3 one");
  ::close(connection);
  sender->start(2, "logs", "two");
  connection = receiver.accept();
  EXPECT_EQ(results.of(2).status, 200);
  EXPECT_EQ(Receiver::read(connection, 5), "3 two");
  ::close(connection);
}

TEST(SyslogSender, SaysWhyNothingWasSent) {
  Results results;
  std::vector<Target> targets;
  {
    const Receiver nobody(SOCK_STREAM);
    targets.push_back(target(nobody, Target::Transport::kTcp));
  }
  const auto sender = make_syslog_sender(targets, results.done());
  sender->start(1, "logs", "one");
  EXPECT_EQ(results.of(1).status, 0);
  EXPECT_EQ(results.of(1).error, "connect: Connection refused");
  sender->start(2, "other", "one");
  EXPECT_EQ(results.of(2).error, "no such target");
}

TEST(SyslogSender, AServerThatDoesNotAnswerIsGivenUpInTime) {
  const Receiver receiver(SOCK_STREAM);
  Target slow = target(receiver, Target::Transport::kTls);  // no handshake will come
  slow.timeout = Duration{100};
  Results results;
  const auto sender = make_syslog_sender({slow}, results.done());
  sender->start(1, "logs", "one");
  EXPECT_EQ(results.of(1).error, "no answer in time");
}

TEST(SyslogSender, AStopWaitsForNoServer) {
  const Receiver receiver(SOCK_STREAM);
  Results results;
  auto sender = make_syslog_sender({target(receiver, Target::Transport::kTls)}, results.done());
  sender->start(1, "logs", "one");
  const int connection = receiver.accept();  // it waits for the handshake
  sender.reset();
  EXPECT_EQ(results.of(1).error, "the server stops");
  ::close(connection);
}

TEST(SyslogSender, OneDatagramForEachMessage) {
  const Receiver receiver(SOCK_DGRAM);
  Results results;
  const auto sender = make_syslog_sender({target(receiver, Target::Transport::kUdp)}, results.done());
  sender->start(1, "logs", "one");
  sender->start(2, "logs", "two");
  EXPECT_EQ(receiver.datagram(), "one");
  EXPECT_EQ(receiver.datagram(), "two");
  EXPECT_EQ(results.of(2).status, 200);
}

}  // namespace
}  // namespace fleetward::alerts
