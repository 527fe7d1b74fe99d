#pragma once

#include <string>
#include <string_view>

#include "mqtt/packet.h"
#include "test/support/encode_again.h"

// The notation of the text cases (packets/*.txt, sessions/*.txt).
namespace fleetward::mqtt::test {

// Bytes from text: pairs of hex digits; 'text' stands for its characters; s'text' for a two-byte length and
// the text; u'<hex>' for a two-byte length and those bytes; [ ... ] and ( ... ) for a variable byte integer
// with the length of what is inside, then the inside. x*N repeats the byte x N times. Throws
// std::runtime_error on bad notation.
std::string parse_bytes(std::string_view text);

// One line that shows every field of the packet ("PUBLISH q1 id=10 topic='a/b' payload='x'").
std::string describe(const Packet& packet, Version version);
std::string describe_properties(const Properties& properties);

std::string hex(std::string_view bytes);

}  // namespace fleetward::mqtt::test
