#include "rules/event.h"

#include "core/encoding.h"
#include "rules/limits.h"

namespace fleetward::rules {

std::string trace_id(const Event& event) {
  std::string bytes(16, '\0');
  for (size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<char>(event.entropy[0] >> (8 * i));
    bytes[8 + i] = static_cast<char>(event.entropy[1] >> (8 * i));
  }
  // RFC 9562: version 4, variant 10.
  bytes[6] = static_cast<char>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3F) | 0x80);
  std::string text = to_hex(bytes);
  for (const size_t dash : {20, 16, 12, 8}) text.insert(dash, 1, '-');
  return text;
}

const json::value* Message::document() const {
  if (!parsed_) {
    parsed_ = true;
    if (event_.payload.empty()) {
      document_ = json::object();
      is_json_ = true;
    } else if (auto parsed = json::parse(event_.payload, {event_.payload.size(), kPayloadDepthMax})) {
      document_ = std::move(*parsed);
      is_json_ = document_.is_object() || document_.is_array();
    }
  }
  return is_json_ ? &document_ : nullptr;
}

}  // namespace fleetward::rules
