#include "alerts/syslog_message.h"

#include <algorithm>
#include <iterator>

namespace fleetward::alerts {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kFacilities[] = {"kern",   "user",   "mail",   "daemon", "auth",     "syslog",
                                            "lpr",    "news",   "uucp",   "cron",   "authpriv", "ftp",
                                            "ntp",    "audit",  "alert",  "clock",  "local0",   "local1",
                                            "local2", "local3", "local4", "local5", "local6",   "local7"};
constexpr std::string_view kSeverities[] = {"emergency", "alert",  "critical",      "error",
                                            "warning",   "notice", "informational", "debug"};

template <size_t N>
std::optional<int> index_of(const std::string_view (&names)[N], std::string_view name) {
  const auto found = std::find(std::begin(names), std::end(names), name);
  if (found == std::end(names)) return std::nullopt;
  return static_cast<int>(found - std::begin(names));
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

bool is_print(char c) {
  return c > ' ' && c < 0x7f;
}

void word_to(std::string_view word, std::string& out) {
  out += ' ';
  out += word.empty() ? "-" : word;
}

void element_to(const SyslogElement& element, std::string& out) {
  out += '[';
  out += element.id;
  for (const auto& [name, value] : element.parameters) {
    out += ' ';
    out += name;
    out += "=\"";
    for (const char c : value) {
      if (c == '"' || c == '\\' || c == ']') out += '\\';
      out += is_control(c) ? ' ' : c;
    }
    out += '"';
  }
  out += ']';
}

}  // namespace

std::optional<int> syslog_facility(std::string_view name) {
  return index_of(kFacilities, name);
}

std::optional<int> syslog_severity(std::string_view name) {
  return index_of(kSeverities, name);
}

bool is_syslog_word(std::string_view text, size_t bytes_max) {
  return !text.empty() && text.size() <= bytes_max && std::all_of(text.begin(), text.end(), is_print);
}

bool is_syslog_id(std::string_view text) {
  return is_syslog_word(text, 32) && text.find_first_of("=]\"") == std::string_view::npos;
}

std::string_view cut_utf8(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

std::string format_syslog(const SyslogMessage& message, size_t bytes_max) {
  std::string out = "<" + std::to_string(message.facility * 8 + message.severity) + ">1";
  word_to(to_iso8601(message.time), out);
  word_to(message.hostname, out);
  word_to(message.app_name, out);
  word_to(message.process_id, out);
  word_to(message.message_id, out);
  out += ' ';
  if (message.elements.empty()) out += '-';
  for (const SyslogElement& element : message.elements) element_to(element, out);
  if (message.text.empty()) return out;
  out += ' ';
  const bool ascii = std::all_of(message.text.begin(), message.text.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (!ascii) out += kByteOrderMark;
  const size_t room = bytes_max > out.size() ? bytes_max - out.size() : 0;
  for (const char c : cut_utf8(message.text, room)) out += is_control(c) ? ' ' : c;
  return out;
}

std::string frame_syslog(std::string_view message, bool octet_counting) {
  if (octet_counting) return std::to_string(message.size()) + " " + std::string(message);
  return std::string(message) + "\n";
}

}  // namespace fleetward::alerts
