#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fleetward::broker {

// The first flight of a TLS client, read without taking part in the handshake, to decide who gets the
// connection. Pure.
struct ClientHello {
  enum class State { kIncomplete, kInvalid, kComplete } state = State::kIncomplete;
  std::vector<std::string> alpn;  // in the client's order; empty if it offers none
  std::string server_name;        // SNI, or empty
};

// A ClientHello that takes more bytes than this is invalid.
constexpr size_t kClientHelloBytesMax = 16 * 1024 + 512;

// `bytes`: all that the client sent so far. The hello may be split over several records.
ClientHello parse_client_hello(std::string_view bytes);

}  // namespace fleetward::broker
