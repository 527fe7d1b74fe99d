#include "alerts/target.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <system_error>

#include <curl/curl.h>

#include "alerts/syslog_message.h"
#include "alerts/webhook.h"
#include "core/encoding.h"
#include "core/files.h"
#include "core/text.h"

namespace fleetward::alerts {
namespace {

constexpr size_t kNameBytesMax = 64;
constexpr size_t kTopicBytesMax = 256;  // as the broker's default
constexpr std::string_view kEvents[] = {"in-alarm", "alarm-cleared", "alarm-invalidated"};

tl::unexpected<Error> wrong(std::string what) {
  return fail(ErrorCode::kInvalidArgument, std::move(what));
}

bool is_target_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

// '*' any characters, '?' one.
bool matches(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

Status check_file(const char* member, const std::string& path) {
  if (path.empty()) return {};
  if (auto text = read_file(path); !text) return wrong(std::string(member) + ": " + text.error().message);
  return {};
}

std::string as_level(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c == '/' || c == '+' || c == '#' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '_';
  }
  return out;
}

Status check_mqtt(const Target& target) {
  if (target.topic.empty()) return wrong("needs topic");
  const std::string topic = topic_for(target, "t", "p");
  if (topic.size() > kTopicBytesMax) return wrong("topic has more than 256 bytes");
  if (topic.find("${") != std::string::npos) return wrong("topic may have ${thing} and ${profile} only");
  if (!is_utf8(topic)) return wrong("topic is not UTF-8");
  const bool control = std::any_of(topic.begin(), topic.end(), [](unsigned char c) { return c < 0x20; });
  if (control || topic.find_first_of("+#") != std::string::npos) {
    return wrong("topic must be a topic name, without wildcards and control characters");
  }
  constexpr std::string_view kBasicIngest = "$aws/rules/";
  if (topic.front() == '$' && (!topic.starts_with(kBasicIngest) || topic.size() == kBasicIngest.size())) {
    return wrong("topic may be no reserved one but $aws/rules/<rule>/...");
  }
  return {};
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "[::1]" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos);
}

Status check_url(const Target& target) {
  if (target.url.empty()) return wrong("needs url");
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), curl_url_cleanup);
  if (curl_url_set(url.get(), CURLUPART_URL, target.url.c_str(), CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
    return wrong("url is no URL");
  }
  const auto part = [&](CURLUPart which) {
    char* text = nullptr;
    const bool given = curl_url_get(url.get(), which, &text, 0) == CURLUE_OK;
    const std::unique_ptr<char, decltype(&curl_free)> owner(text, curl_free);
    return std::string(given ? text : "");
  };
  const std::string scheme = part(CURLUPART_SCHEME);
  if (scheme != "https" && scheme != "http") return wrong("url must be https://...");
  if (scheme == "http" && !target.allow_http && !is_loopback(part(CURLUPART_HOST))) {
    return wrong("url must be https://..., unless its host is this machine or allow_http = true");
  }
  return {};
}

Status check_webhook(Target& target) {
  if (auto ok = check_url(target); !ok) return ok;
  if (target.secret.empty() == target.secret_file.empty()) {
    return wrong("needs either secret or secret_file");
  }
  std::string text = target.secret;
  if (!target.secret_file.empty()) {
    auto file = read_file(target.secret_file);
    if (!file) return wrong("secret_file: " + file.error().message);
    text = std::move(*file);
  }
  auto keys = parse_secrets(text);
  if (!keys) {
    return wrong((target.secret_file.empty() ? "secret " : "secret_file ") + keys.error().message);
  }
  target.keys = std::move(*keys);
  return check_file("ca_file", target.ca_file);
}

Status check_syslog(const Target& target) {
  if (target.address.empty()) return wrong("needs address");
  if (auto ok = parse_address(target.address); !ok) return wrong("address " + ok.error().message);
  if (!syslog_facility(target.facility)) return wrong("facility is not one of RFC 5424's names");
  if (!syslog_severity(target.severity)) return wrong("severity is not one of RFC 5424's names");
  if (!is_syslog_word(target.app_name, 48)) {
    return wrong("app_name must be 1 to 48 printable ASCII characters, without spaces");
  }
  if (!target.hostname.empty() && !is_syslog_word(target.hostname, 255)) {
    return wrong("hostname must be at most 255 printable ASCII characters, without spaces");
  }
  if (!is_syslog_id(target.structured_data_id) || target.structured_data_id.find('@') == std::string::npos) {
    return wrong("structured_data_id must be name@number, at most 32 characters");
  }
  if (!target.octet_counting && target.transport != Target::Transport::kTcp) {
    return wrong("framing = \"newline\" is for transport = \"tcp\" only");
  }
  if (target.transport != Target::Transport::kTls &&
      !(target.ca_file.empty() && target.certificate_file.empty() && target.key_file.empty())) {
    return wrong("ca_file, certificate_file and key_file are for transport = \"tls\" only");
  }
  if (target.certificate_file.empty() != target.key_file.empty()) {
    return wrong("certificate_file and key_file go together");
  }
  if (auto ok = check_file("ca_file", target.ca_file); !ok) return ok;
  if (auto ok = check_file("certificate_file", target.certificate_file); !ok) return ok;
  return check_file("key_file", target.key_file);
}

}  // namespace

bool Target::wants(std::string_view profile, std::string_view event) const {
  return std::find(events.begin(), events.end(), event) != events.end() &&
         std::any_of(profiles.begin(), profiles.end(),
                     [&](const std::string& pattern) { return matches(pattern, profile); });
}

RetryPolicy Target::retry() const {
  return {.retries_max = std::numeric_limits<int>::max(),
          .delay = retry_first,
          .delay_max = retry_max,
          .age_max = give_up_after,
          .refusals_are_final = false};
}

Result<HostPort> parse_address(std::string_view address) {
  const size_t colon = address.rfind(':');
  const std::string_view host = address.substr(0, colon == std::string_view::npos ? 0 : colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const bool plain = !host.empty() && host.find_first_of(":[] \t\r\n") == std::string_view::npos;
  const auto port = parse_number<uint16_t>(address.substr(colon == std::string_view::npos ? 0 : colon + 1));
  if ((!bracketed && !plain) || !port || *port == 0)
    return wrong("must be host:port, such as logs.example:6514");
  return HostPort{std::string(bracketed ? host.substr(1, host.size() - 2) : host), std::to_string(*port)};
}

std::string topic_for(const Target& target, std::string_view thing, std::string_view profile) {
  const std::pair<std::string_view, std::string_view> names[] = {{"${thing}", thing},
                                                                 {"${profile}", profile}};
  std::string out;
  for (std::string_view rest = target.topic; !rest.empty();) {
    const auto found = std::find_if(std::begin(names), std::end(names),
                                    [&](const auto& name) { return rest.starts_with(name.first); });
    if (found == std::end(names)) {
      out += rest.front();
      rest.remove_prefix(1);
    } else {
      out += as_level(found->second);
      rest.remove_prefix(found->first.size());
    }
  }
  return out;
}

Status prepare(Target& target) {
  if (!is_target_name(target.name)) return wrong("name must be 1 to 64 of [a-zA-Z0-9_-]");
  if (target.profiles.empty()) return wrong("profiles is empty");
  if (target.events.empty()) return wrong("events is empty");
  for (const std::string& event : target.events) {
    if (std::find(std::begin(kEvents), std::end(kEvents), event) == std::end(kEvents)) {
      return wrong("events may have in-alarm, alarm-cleared and alarm-invalidated, not '" + event + "'");
    }
  }
  if (target.retry_max < target.retry_first) return wrong("retry_max is shorter than retry_first");
  switch (target.kind) {
    case Target::Kind::kMqtt:
      return check_mqtt(target);
    case Target::Kind::kWebhook:
      return check_webhook(target);
    case Target::Kind::kSyslog:
      return check_syslog(target);
  }
  return {};
}

}  // namespace fleetward::alerts
