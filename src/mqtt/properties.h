#pragma once

#include <cstdint>
#include <string>

#include "mqtt/cursor.h"
#include "mqtt/decoder.h"
#include "mqtt/packet.h"

// The property lists of MQTT 5, section 2.2.2. Internal to the codec.
namespace fleetward::mqtt {

// Which list is read: that of a packet, or the will's inside CONNECT.
inline constexpr unsigned kWillProperties = 0;
constexpr unsigned properties_of(PacketType type) {
  return static_cast<unsigned>(type);
}

// Reads the length and the list at the cursor. An error, by `text`, if it is not well formed, holds a
// property that does not belong to `list`, twice, or with a value out of its range.
bool read_properties(Cursor& cursor, unsigned list, size_t user_properties_max, Properties& properties,
                     DecodeError& error);

// Bytes of the list without its length field.
size_t properties_size(const Properties& properties);
// The length field and the list; `size` is properties_size().
void write_properties(std::string& out, const Properties& properties, size_t size);

void write_varint(std::string& out, uint32_t value);

}  // namespace fleetward::mqtt
