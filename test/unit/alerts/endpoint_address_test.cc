#include "alerts/endpoint_address.h"

#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>

#include <gtest/gtest.h>

#include "alerts/http_sender.h"

namespace fleetward::alerts {
namespace {

Status check(const std::string& text, bool private_allowed) {
  sockaddr_storage storage{};
  if (text.find(':') == std::string::npos) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
    v4.sin_family = AF_INET;
    EXPECT_EQ(::inet_pton(AF_INET, text.c_str(), &v4.sin_addr), 1) << text;
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
    v6.sin6_family = AF_INET6;
    EXPECT_EQ(::inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr), 1) << text;
  }
  return check_endpoint_address(reinterpret_cast<const sockaddr&>(storage), private_allowed);
}

TEST(EndpointAddress, PublicOnesAlwaysPass) {
  for (const char* text : {"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
                           "172.15.0.1", "172.32.0.1", "169.253.1.1", "192.167.1.1", "223.255.255.255",
                           "2600::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"}) {
    EXPECT_TRUE(check(text, false)) << text;
  }
}

TEST(EndpointAddress, PrivateOnesPassIfAllowed) {
  for (const char* text :
       {"127.0.0.1", "127.255.0.9", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
        "::1", "fc00::1", "fdff::1", "::ffff:127.0.0.1", "::ffff:10.1.1.1", "64:ff9b::7f00:1",
        "2002:c0a8:101::1", "::127.0.0.1", "64:ff9b:1::1"}) {
    EXPECT_TRUE(check(text, true)) << text;
    const Status refused = check(text, false);
    ASSERT_FALSE(refused) << text;
    EXPECT_NE(refused.error().message.find("[sns] private_endpoints"), std::string::npos);
  }
}

TEST(EndpointAddress, TheseNeverPass) {
  for (const char* text :
       {"169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::", "fe80::1", "ff02::1",
        "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "::ffff:0.0.0.0"}) {
    EXPECT_FALSE(check(text, true)) << text;
  }
}

TEST(EndpointAddress, UrlsMustNameAHostAndAPort) {
  for (const char* url :
       {"http://a", "http://a/", "https://a.b:8443/x?y#z", "http://u:p@a:1/", "http://[::1]:65535/",
        "http://[::1]", "http://10.0.0.1:80?x", "http://a:80#b:99999"}) {
    EXPECT_EQ(url_authority_problem(url), "") << url;
  }
  for (const char* url :
       {"http://localhost:99999/", "http://a:0/", "http://a:65536", "http://a:/", "http://a:8x/",
        "http://:80/", "http:///x", "http://?x", "http://[::1/", "http://[zz]/", "http://[::1]8/x",
        "http://a:1:2/", "http://a:18446744073709551617/", "http://u@/", "http://a%00b/"}) {
    EXPECT_NE(url_authority_problem(url), "") << url;
  }
}

// No server listens: nothing may get as far as that.
TEST(HttpSender, AsksForTheAddressThatANameStandsFor) {
  const auto sender = make_http_sender({.private_allowed = false});
  uint64_t id = 0;
  for (const char* host : {"127.0.0.1", "localhost", "127.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]"}) {
    sender->start(++id, {"http://" + std::string(host) + ":9/", {}, "x"});
  }
  std::vector<std::pair<uint64_t, AttemptResult>> ended;
  for (int i = 0; i < 100 && ended.size() < id; ++i) {
    for (auto& result : sender->wait(Duration{100})) ended.push_back(std::move(result));
  }
  ASSERT_EQ(ended.size(), id);
  for (const auto& [which, result] : ended) {
    EXPECT_TRUE(result.is_final) << which << " " << result.error;
    EXPECT_NE(result.error.find("is private"), std::string::npos) << which << " " << result.error;
  }
}

}  // namespace
}  // namespace fleetward::alerts
