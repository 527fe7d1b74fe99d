#pragma once

#include <string_view>

namespace fleetward::mqtt {

// One pass over a topic name or other text. Internal to the codec.
struct TextScan {
  bool valid = true;      // well-formed UTF-8 without U+0000 [MQTT-1.5.4-1, MQTT-1.5.4-2]
  bool wildcard = false;  // holds '+' or '#'
};
TextScan scan_text(std::string_view text);

}  // namespace fleetward::mqtt
