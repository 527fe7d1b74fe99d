#include "api/s3/fields.h"

#include <algorithm>
#include <ctime>

#include "core/encoding.h"
#include "core/text.h"

namespace fleetward::api::s3 {
namespace {

// Entries of one If-Match; a longer list is cut, which can only make a condition fail.
constexpr size_t kEtagsMax = 100;

// Cuts `text` at each `separator`.
std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  for (;;) {
    const size_t at = text.find(separator);
    out.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + 1);
  }
}

}  // namespace

std::optional<Timestamp> parse_http_date(std::string_view text) {
  const std::string date(trim(text));
  for (const char* form :
       {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
    std::tm parts{};
    const char* end = ::strptime(date.c_str(), form, &parts);
    if (end != nullptr && *end == '\0') return Timestamp{static_cast<int64_t>(::timegm(&parts)) * 1000};
  }
  return std::nullopt;
}

std::string strip_quotes(std::string_view etag) {
  etag = trim(etag);
  if (etag.substr(0, 2) == "W/") etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return std::string(etag);
}

std::vector<std::string> parse_etags(std::string_view text) {
  std::vector<std::string> out;
  for (const std::string_view one : split(text, ',')) {
    if (out.size() == kEtagsMax) break;
    out.push_back(strip_quotes(one));
  }
  return out;
}

lake::Conditions parse_conditions(const http::Headers& headers, std::string_view prefix) {
  lake::Conditions conditions;
  const auto field = [&](std::string_view name) { return headers.get(std::string(prefix).append(name)); };
  if (const auto text = field("if-match"); !text.empty()) conditions.if_match = parse_etags(text);
  if (const auto text = field("if-none-match"); !text.empty()) conditions.if_none_match = parse_etags(text);
  conditions.if_modified_since = parse_http_date(field("if-modified-since"));
  conditions.if_unmodified_since = parse_http_date(field("if-unmodified-since"));
  return conditions;
}

ApiResult<std::optional<ByteRange>> parse_range(std::string_view text, uint64_t object_size) {
  constexpr std::string_view kUnit = "bytes=";
  text = trim(text);
  if (text.substr(0, kUnit.size()) != kUnit) return std::nullopt;
  text.remove_prefix(kUnit.size());
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos || text.find(',') != std::string_view::npos) return std::nullopt;
  const std::string_view first_text = text.substr(0, dash), last_text = text.substr(dash + 1);
  const auto first = parse_number<uint64_t>(first_text), last = parse_number<uint64_t>(last_text);
  const auto unsatisfiable = [] { return s3_fail("InvalidRange", "The requested range is not satisfiable"); };
  if (first_text.empty()) {  // the last bytes
    if (!last) return std::nullopt;
    if (*last == 0 || object_size == 0) return unsatisfiable();
    const uint64_t size = std::min(*last, object_size);
    return ByteRange{object_size - size, size};
  }
  if (!first || (!last_text.empty() && !last) || (last && *last < *first)) return std::nullopt;
  if (*first >= object_size) return unsatisfiable();
  const uint64_t end = last ? std::min(*last, object_size - 1) : object_size - 1;
  return ByteRange{*first, end - *first + 1};
}

ApiResult<ByteRange> parse_copy_range(std::string_view text, uint64_t object_size) {
  constexpr std::string_view kUnit = "bytes=";
  const size_t dash = text.find('-');
  std::optional<uint64_t> first, last;
  if (text.substr(0, kUnit.size()) == kUnit && dash != std::string_view::npos) {
    first = parse_number<uint64_t>(text.substr(kUnit.size(), dash - kUnit.size()));
    last = parse_number<uint64_t>(text.substr(dash + 1));
  }
  if (!first || !last || *last < *first) {
    return s3_fail(
        "InvalidArgument",
        "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last "
        "are the zero-based offsets of the first and last bytes to copy");
  }
  if (*last >= object_size) {
    return s3_fail("InvalidRange",
                   "Range specified is not valid for source object of size: " + std::to_string(object_size));
  }
  return ByteRange{*first, *last - *first + 1};
}

ApiResult<CopySource> parse_copy_source(std::string_view text) {
  const auto malformed = [] {
    return s3_fail("InvalidArgument",
                   "Copy Source must mention the source bucket and key: sourcebucket/sourcekey");
  };
  CopySource source;
  const size_t question = text.find("?versionId=");
  if (question != std::string_view::npos) {
    source.version_id = std::string(text.substr(question + 11));
    text = text.substr(0, question);
  }
  const auto decoded = percent_decode(text);
  if (!decoded) return malformed();
  std::string_view path = *decoded;
  if (!path.empty() && path.front() == '/') path.remove_prefix(1);
  const size_t slash = path.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == path.size()) return malformed();
  source.bucket = std::string(path.substr(0, slash));
  source.key = std::string(path.substr(slash + 1));
  return source;
}

ApiResult<std::vector<lake::Tag>> parse_tagging_header(std::string_view text) {
  std::vector<lake::Tag> tags;
  if (text.empty()) return tags;
  for (const std::string_view pair : split(text, '&')) {
    const size_t equals = pair.find('=');
    const auto key = percent_decode(pair.substr(0, equals), true);
    const auto value =
        percent_decode(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), true);
    if (!key || !value) {
      return s3_fail("InvalidArgument",
                     "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded "
                     "URL query parameters without tag name duplicates.");
    }
    tags.push_back({*key, *value});
  }
  std::sort(tags.begin(), tags.end(), [](const lake::Tag& a, const lake::Tag& b) { return a.key < b.key; });
  return tags;
}

std::optional<int64_t> parse_integer(std::string_view text, int64_t min, int64_t max) {
  const auto value = parse_number<int64_t>(text);
  return value && *value >= min && *value <= max ? value : std::nullopt;
}

std::string stored_content_encoding(std::string_view text) {
  if (text.find("aws-chunked") == std::string_view::npos) return std::string(trim(text));
  std::string out;
  for (const std::string_view piece : split(text, ',')) {
    const std::string_view coding = trim(piece);
    if (coding.empty() || coding == "aws-chunked") continue;
    if (!out.empty()) out += ",";
    out += coding;
  }
  return out;
}

}  // namespace fleetward::api::s3
