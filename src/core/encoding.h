#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace fleetward {

// Bytes travel as std::string / std::string_view throughout the project.
using Digest256 = std::array<uint8_t, 32>;

std::string to_hex(std::string_view bytes);  // lower case
Result<std::string> from_hex(std::string_view text);
std::string to_base64(std::string_view bytes);
// Standard alphabet, padding required, no white space. kMalformed otherwise.
Result<std::string> from_base64(std::string_view text);
// RFC 3986: everything but A-Za-z0-9-._~ becomes %XX; `keep_slash` leaves '/' alone.
std::string percent_encode(std::string_view text, bool keep_slash = false);
// kMalformed on a bad escape. `plus_is_space` for form bodies and query strings of HTML forms.
Result<std::string> percent_decode(std::string_view text, bool plus_is_space = false);

Digest256 sha256(std::string_view bytes);
std::string sha256_hex(std::string_view bytes);
std::string hmac_sha256(std::string_view key, std::string_view bytes);  // 32 raw bytes
// Compares in time that depends on the lengths only.
bool equal_constant_time(std::string_view a, std::string_view b);

// True if the text is well-formed UTF-8 (no surrogates, no overlong forms).
bool is_utf8(std::string_view text);

}  // namespace fleetward
