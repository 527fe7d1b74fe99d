// Prefix expressions and time patterns of delivery streams: what parses can be evaluated.
#include <cstddef>
#include <cstdint>
#include <string>

#include "delivery/object_name.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fleetward;
  const std::string text(reinterpret_cast<const char*>(data), size);
  delivery::Stream stream;
  stream.name = "s";
  const size_t half = text.find('\n');
  stream.destination.prefix = text.substr(0, half);
  if (half != std::string::npos) stream.destination.error_prefix = text.substr(half + 1);
  SeededRandom random(1);
  if (delivery::check_names(stream.destination)) {
    const std::string key = delivery::object_key(stream, {1'795'503'909'042}, random);
    if (key.size() > delivery::kEvaluatedPrefixBytesMax + 128) __builtin_trap();
    delivery::error_prefix(stream.destination, {0}, "processing-failed", random);
  }
  return 0;
}
