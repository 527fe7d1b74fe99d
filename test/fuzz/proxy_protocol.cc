#include "core/proxy_protocol.h"

#include <cstdint>
#include <cstdlib>

// Any bytes: a verdict once reached does not change with what follows, and a header is within its bound.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using State = fleetward::ProxyHeader::State;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto half = fleetward::parse_proxy_header(bytes.substr(0, size / 2));
  const auto whole = fleetward::parse_proxy_header(bytes);
  if (half.state != State::kIncomplete && (half.state != whole.state || half.bytes != whole.bytes))
    std::abort();
  if (whole.bytes > size || whole.bytes > fleetward::kProxyHeaderBytesMax) std::abort();
  if (whole.state == State::kIncomplete && size >= fleetward::kProxyHeaderBytesMax) std::abort();
  if (whole.source && (whole.state != State::kComplete || whole.source->ip.empty())) std::abort();
  return 0;
}
