#include "broker/client_hello.h"

#include <cstdint>
#include <cstdlib>
#include <string_view>

// Any bytes: never a read beyond them; a verdict once reached does not change with what follows.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using fleetward::broker::ClientHello;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const ClientHello half = fleetward::broker::parse_client_hello(bytes.substr(0, size / 2));
  const ClientHello whole = fleetward::broker::parse_client_hello(bytes);
  if (half.state != ClientHello::State::kIncomplete && half.state != whole.state) std::abort();
  if (half.state == ClientHello::State::kComplete && half.alpn != whole.alpn) std::abort();
  return 0;
}
