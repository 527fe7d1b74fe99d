#include "core/ids.h"

#include <algorithm>

#include "core/encoding.h"

namespace fleetward {
namespace {

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ':' || c == '_' ||
         c == '-';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

Status ThingNameRule::check(std::string_view text) {
  if (text.empty() || text.size() > 128 || !std::all_of(text.begin(), text.end(), is_name_character)) {
    return fail(ErrorCode::kInvalidArgument, "a name has 1 to 128 characters of [a-zA-Z0-9:_-]");
  }
  return {};
}

Status ClientIdRule::check(std::string_view text) {
  const auto control = [](char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7f; };
  if (text.empty() || text.size() > 128)
    return fail(ErrorCode::kInvalidArgument, "a client id has 1 to 128 bytes");
  if (text.front() == '$') return fail(ErrorCode::kInvalidArgument, "a client id does not start with '$'");
  if (!is_utf8(text) || std::any_of(text.begin(), text.end(), control)) {
    return fail(ErrorCode::kInvalidArgument, "a client id is UTF-8 without control characters");
  }
  return {};
}

Status CertificateIdRule::check(std::string_view text) {
  const auto hex = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); };
  if (text.size() != 64 || !std::all_of(text.begin(), text.end(), hex)) {
    return fail(ErrorCode::kInvalidArgument, "a certificate id has 64 lower-case hex digits");
  }
  return {};
}

Status AccountIdRule::check(std::string_view text) {
  if (text.size() != 12 || !std::all_of(text.begin(), text.end(), is_digit)) {
    return fail(ErrorCode::kInvalidArgument, "an account id has 12 digits");
  }
  return {};
}

Result<ArnParts> parse_arn(std::string_view text) {
  std::string_view parts[5];
  std::string_view rest = text;
  for (std::string_view& part : parts) {
    const size_t colon = rest.find(':');
    if (colon == std::string_view::npos)
      return fail(ErrorCode::kInvalidArgument, "not an ARN: " + std::string(text));
    part = rest.substr(0, colon);
    rest.remove_prefix(colon + 1);
  }
  if (parts[0] != "arn" || rest.empty())
    return fail(ErrorCode::kInvalidArgument, "not an ARN: " + std::string(text));
  return ArnParts{parts[1], parts[2], parts[3], parts[4], rest};
}

std::string AccountScope::arn(std::string_view service, std::string_view resource) const {
  std::string out = "arn:aws:";
  out.append(service)
      .append(":")
      .append(region)
      .append(":")
      .append(account.str())
      .append(":")
      .append(resource);
  return out;
}

std::string AccountScope::global_arn(std::string_view service, std::string_view resource) const {
  std::string out = "arn:aws:";
  out.append(service).append("::").append(account.str()).append(":").append(resource);
  return out;
}

}  // namespace fleetward
