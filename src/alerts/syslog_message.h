#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/time.h"

// Messages of RFC 5424 and their framing for streams (RFC 6587). Pure.
namespace fleetward::alerts {

struct SyslogElement {
  std::string id;
  std::vector<std::pair<std::string, std::string>> parameters;  // names, values: any UTF-8
};

struct SyslogMessage {
  int facility = 16, severity = 5;  // section 6.2.1
  Timestamp time;
  std::string hostname, app_name, process_id, message_id;  // empty: the nil value
  std::vector<SyslogElement> elements;
  std::string text;  // UTF-8
};

// The numbers behind the names of section 6.2.1 ("local0", "warning"); nullopt: no such name.
std::optional<int> syslog_facility(std::string_view name);
std::optional<int> syslog_severity(std::string_view name);
// 1..bytes_max of %d33-126, as the header's fields are.
bool is_syslog_word(std::string_view text, size_t bytes_max);
// An SD-ID or a parameter's name: 1..32 of %d33-126 without '=', ']' and '"'.
bool is_syslog_id(std::string_view text);

// One message without framing. Identifiers must be checked words. Of the parameters '"', '\' and ']' are
// escaped (section 6.3.3); control characters become spaces, so that no receiver sees two messages, as they
// do in the text. The byte order mark, which says that the text is UTF-8, stands only before a text that is
// not all ASCII. The text is cut, between characters, so that the whole has at most `bytes_max` bytes, if
// that is enough for the rest.
std::string format_syslog(const SyslogMessage& message, size_t bytes_max);

// "<length> <message>" (RFC 6587 3.4.1, RFC 5425), or the message and a line feed (RFC 6587 3.4.2).
std::string frame_syslog(std::string_view message, bool octet_counting);

// At most `bytes_max` bytes of UTF-8 text, cut between characters.
std::string_view cut_utf8(std::string_view text, size_t bytes_max);

}  // namespace fleetward::alerts
