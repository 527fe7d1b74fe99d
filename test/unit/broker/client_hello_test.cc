#include "broker/client_hello.h"

#include <openssl/ssl.h>
#include <random>

#include <gtest/gtest.h>

namespace fleetward::broker {
namespace {

// What OpenSSL's client really sends.
std::string real_hello(const std::string& alpn, const char* server_name) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* ssl = SSL_new(context);
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
  if (!alpn.empty()) {
    SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(alpn.data()),
                        static_cast<unsigned>(alpn.size()));
  }
  if (server_name != nullptr) SSL_set_tlsext_host_name(ssl, server_name);
  SSL_set_connect_state(ssl);
  SSL_do_handshake(ssl);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  std::string bytes(data, static_cast<size_t>(size));
  SSL_free(ssl);
  SSL_CTX_free(context);
  return bytes;
}

using State = ClientHello::State;

TEST(ClientHello, reads_alpn_and_server_name) {
  const std::string bytes = real_hello("\x02h2\x0ex-amzn-mqtt-ca", "broker.example");
  const auto hello = parse_client_hello(bytes);
  ASSERT_EQ(hello.state, State::kComplete);
  EXPECT_EQ(hello.alpn, (std::vector<std::string>{"h2", "x-amzn-mqtt-ca"}));
  EXPECT_EQ(hello.server_name, "broker.example");
  EXPECT_EQ(parse_client_hello(bytes + "more").state, State::kComplete);

  const auto plain = parse_client_hello(real_hello("", nullptr));
  EXPECT_EQ(plain.state, State::kComplete);
  EXPECT_TRUE(plain.alpn.empty());
}

TEST(ClientHello, every_prefix_is_incomplete) {
  const std::string bytes = real_hello("\x0ex-amzn-mqtt-ca", "h");
  for (size_t i = 0; i < bytes.size(); ++i) {
    ASSERT_EQ(parse_client_hello(std::string_view(bytes).substr(0, i)).state, State::kIncomplete) << i;
  }
}

TEST(ClientHello, may_come_in_many_records) {
  const std::string bytes = real_hello("\x0ex-amzn-mqtt-ca", nullptr);
  const std::string message = bytes.substr(5);
  std::string split;
  for (size_t at = 0; at < message.size(); at += 3) {
    const std::string piece = message.substr(at, 3);
    split += std::string("\x16\x03\x01\x00", 4) + static_cast<char>(piece.size()) + piece;
  }
  const auto hello = parse_client_hello(split);
  ASSERT_EQ(hello.state, State::kComplete);
  EXPECT_EQ(hello.alpn, std::vector<std::string>{"x-amzn-mqtt-ca"});
}

TEST(ClientHello, what_is_no_hello_is_invalid_at_once) {
  EXPECT_EQ(parse_client_hello("GET / HTTP/1.1\r\n").state, State::kInvalid);
  EXPECT_EQ(parse_client_hello(std::string("\x10\x20\x00\x04MQTT", 8)).state, State::kInvalid);
  EXPECT_EQ(parse_client_hello(std::string("\x16\x03\x01\x00\x00", 5)).state, State::kInvalid);
  EXPECT_EQ(parse_client_hello(std::string("\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9)).state,
            State::kInvalid);
  // A length beyond the bound is not waited for.
  EXPECT_EQ(parse_client_hello(std::string("\x16\x03\x01\x00\x04\x01\xff\xff\xff", 9)).state,
            State::kInvalid);
  EXPECT_EQ(parse_client_hello("").state, State::kIncomplete);
}

TEST(ClientHello, survives_any_bytes) {
  const std::string good = real_hello("\x0ex-amzn-mqtt-ca", "host.example");
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = good;
    for (unsigned flips = 1 + random() % 4; flips > 0; --flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    bytes.resize(random() % (bytes.size() + 1));
    parse_client_hello(bytes);
  }
}

}  // namespace
}  // namespace fleetward::broker
