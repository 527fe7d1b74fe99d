#include <algorithm>
#include <cctype>
#include <set>

#include "core/encoding.h"
#include "lake/object_store.h"

namespace fleetward::lake {
namespace {

bool is_lower_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool looks_like_ipv4(std::string_view name) {
  return std::count(name.begin(), name.end(), '.') == 3 &&
         std::all_of(name.begin(), name.end(), [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
}

size_t code_points(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(),
                                           [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }));
}

bool matches_any(const std::vector<std::string>& etags, const std::string& etag) {
  return std::any_of(etags.begin(), etags.end(),
                     [&](const std::string& one) { return one == "*" || one == etag; });
}

int64_t whole_seconds(Timestamp t) {
  return t.ms / 1000;
}

}  // namespace

// Source: Amazon S3 User Guide, "General purpose bucket naming rules".
// Each label of a name is one of DNS: not empty, no hyphen at its ends.
constexpr std::string_view kTornLabels[] = {"..", ".-", "-."};

StoreStatus check_bucket_name(std::string_view name) {
  const bool good = name.size() >= 3 && name.size() <= 63 && is_lower_or_digit(name.front()) &&
                    is_lower_or_digit(name.back()) && std::all_of(name.begin(), name.end(), [](char c) {
                      return is_lower_or_digit(c) || c == '-' || c == '.';
                    });
  const bool reserved = name.substr(0, 4) == "xn--" || name.substr(0, 7) == "sthree-" ||
                        (name.size() > 8 && name.substr(name.size() - 8) == "-s3alias") ||
                        (name.size() > 7 && name.substr(name.size() - 7) == "--ol-s3");
  const bool torn = std::any_of(std::begin(kTornLabels), std::end(kTornLabels), [&](std::string_view pair) {
    return name.find(pair) != std::string_view::npos;
  });
  if (!good || reserved || torn || looks_like_ipv4(name)) {
    return refuse(Reason::kInvalidBucketName, "The specified bucket is not valid.");
  }
  return {};
}

StoreStatus check_key(std::string_view key, const StoreLimits& limits) {
  if (key.size() > limits.key_bytes_max) return refuse(Reason::kKeyTooLong, "Your key is too long");
  if (key.empty()) return refuse(Reason::kInvalidArgument, "A key has at least one character.");
  if (!is_utf8(key)) return refuse(Reason::kInvalidArgument, "A key must be UTF-8.");
  return {};
}

StoreStatus check_tags(const std::vector<Tag>& tags, size_t count_max) {
  if (tags.size() > count_max) {
    return refuse(Reason::kInvalidTag, "Object tags cannot be greater than " + std::to_string(count_max));
  }
  std::set<std::string_view> seen;
  for (const Tag& tag : tags) {
    if (tag.key.empty() || code_points(tag.key) > 128 || !is_utf8(tag.key)) {
      return refuse(Reason::kInvalidTag, "The TagKey you have provided is invalid");
    }
    if (code_points(tag.value) > 256 || !is_utf8(tag.value)) {
      return refuse(Reason::kInvalidTag, "The TagValue you have provided is invalid");
    }
    if (tag.key.substr(0, 4) == "aws:") {
      return refuse(Reason::kInvalidTag, "System tags cannot be added/updated by requester");
    }
    if (!seen.insert(tag.key).second) {
      return refuse(Reason::kInvalidTag, "Cannot provide multiple Tags with the same key");
    }
  }
  return {};
}

StoreStatus check_read_conditions(const Conditions& conditions, const ObjectInfo& info) {
  const auto failed = [] {
    return refuse(Reason::kPreconditionFailed,
                  "At least one of the pre-conditions you specified did not hold");
  };
  const auto not_modified = [] { return refuse(Reason::kNotModified, "Not Modified"); };
  const int64_t modified = whole_seconds(info.modified);
  if (conditions.if_match) {
    if (!matches_any(*conditions.if_match, info.etag)) return failed();
  } else if (conditions.if_unmodified_since && modified > whole_seconds(*conditions.if_unmodified_since)) {
    return failed();
  }
  if (conditions.if_none_match) {
    if (matches_any(*conditions.if_none_match, info.etag)) return not_modified();
  } else if (conditions.if_modified_since && modified <= whole_seconds(*conditions.if_modified_since)) {
    return not_modified();
  }
  return {};
}

}  // namespace fleetward::lake
