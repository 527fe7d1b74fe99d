#include "delivery/object_name.h"

#include <algorithm>

namespace fleetward::delivery {
namespace {

constexpr std::string_view kDefaultTimestamp = "yyyy/MM/dd/HH/";
constexpr size_t kRandomStringLength = 11;
const std::string kRandomAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

// The prefix with what the rules add to it.
Result<PrefixPattern> full_prefix(const Destination& d) {
  auto prefix = PrefixPattern::parse(d.prefix);
  if (prefix && !prefix->has_timestamp()) prefix->append_timestamp(kDefaultTimestamp);
  return prefix;
}

Result<PrefixPattern> full_error_prefix(const Destination& d) {
  if (!d.error_prefix.empty()) return PrefixPattern::parse(d.error_prefix);
  auto prefix = PrefixPattern::parse(d.prefix);
  if (!prefix) return prefix;
  prefix->append_error_type();
  prefix->append_text("/");
  prefix->append_timestamp(kDefaultTimestamp);
  return prefix;
}

Status check_extension(std::string_view extension) {
  if (extension.empty()) return {};
  const auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           std::string_view("!-_.*'()").find(c) != std::string_view::npos;
  };
  if (extension.size() < 2 || extension.size() > 128 || extension.front() != '.' ||
      !std::all_of(extension.begin() + 1, extension.end(), allowed)) {
    return fail(ErrorCode::kInvalidArgument, "FileExtension must match ^$|\\.[0-9a-z!\\-_.*'()]+");
  }
  return {};
}

Error in_member(std::string_view member, Error error) {
  error.message = std::string(member) + ": " + error.message;
  return error;
}

}  // namespace

Result<PrefixPattern> PrefixPattern::parse(std::string_view text) {
  PrefixPattern out;
  while (!text.empty()) {
    const size_t begin = text.find("!{");
    if (begin != 0) out.append_text(text.substr(0, begin));
    if (begin == std::string_view::npos) break;
    const size_t end = text.find('}', begin);
    if (end == std::string_view::npos) {
      return fail(ErrorCode::kInvalidArgument, "an expression that starts with '!{' is not closed");
    }
    const std::string_view expression = text.substr(begin + 2, end - begin - 2);
    const size_t colon = std::min(expression.find(':'), expression.size());
    const std::string_view space = expression.substr(0, colon);
    const std::string_view value = expression.substr(std::min(colon + 1, expression.size()));
    if (space == "timestamp" && !value.empty()) {
      auto pattern = TimePattern::parse(value);
      if (!pattern) return fail(pattern.error());
      out.pieces_.push_back({Kind::kTimestamp, {}, std::move(*pattern)});
    } else if (space == "firehose" && value == "random-string") {
      out.pieces_.push_back({Kind::kRandom, {}, {}});
    } else if (space == "firehose" && value == "error-output-type") {
      out.append_error_type();
    } else if (space == "partitionKeyFromQuery" || space == "partitionKeyFromLambda") {
      return fail(ErrorCode::kUnimplemented, "the namespace '" + std::string(space) +
                                                 "' needs dynamic partitioning, which is not implemented");
    } else {
      return fail(ErrorCode::kInvalidArgument,
                  "'!{" + std::string(expression) +
                      "}' is not a valid expression; the namespaces are timestamp and "
                      "firehose (random-string, error-output-type)");
    }
    text.remove_prefix(end + 1);
  }
  return out;
}

bool PrefixPattern::has(Kind kind) const {
  return std::any_of(pieces_.begin(), pieces_.end(), [&](const Piece& p) { return p.kind == kind; });
}

bool PrefixPattern::has_expression() const {
  return std::any_of(pieces_.begin(), pieces_.end(), [](const Piece& p) { return p.kind != Kind::kText; });
}

bool PrefixPattern::has_timestamp() const {
  return has(Kind::kTimestamp);
}

bool PrefixPattern::has_error_type() const {
  return has(Kind::kErrorType);
}

void PrefixPattern::append_timestamp(std::string_view pattern) {
  // Only our own, valid patterns come here.
  pieces_.push_back({Kind::kTimestamp, {}, TimePattern::parse(pattern).value_or(TimePattern())});
}

void PrefixPattern::append_text(std::string_view text) {
  if (!text.empty()) pieces_.push_back({Kind::kText, std::string(text), {}});
}

void PrefixPattern::append_error_type() {
  pieces_.push_back({Kind::kErrorType, {}, {}});
}

std::string PrefixPattern::evaluate(const LocalTime& time, Random& random,
                                    std::string_view error_type) const {
  std::string out;
  for (const Piece& piece : pieces_) {
    switch (piece.kind) {
      case Kind::kText:
        out += piece.text;
        break;
      case Kind::kTimestamp:
        out += piece.pattern.format(time);
        break;
      case Kind::kRandom:
        out += random.text(kRandomStringLength, kRandomAlphabet);
        break;
      case Kind::kErrorType:
        out += error_type;
        break;
    }
  }
  return out;
}

Status check_names(const Destination& d) {
  for (const auto& [member, text] :
       {std::pair{"Prefix", &d.prefix}, std::pair{"ErrorOutputPrefix", &d.error_prefix}}) {
    if (text->size() > kPrefixBytesMax) {
      return fail(
          ErrorCode::kInvalidArgument,
          std::string(member) + " must have length less than or equal to " + std::to_string(kPrefixBytesMax));
    }
  }
  const auto zone = Zone::find(d.time_zone);
  if (!zone) return fail(in_member("CustomTimeZone", zone.error()));
  if (auto extension = check_extension(d.file_extension); !extension) return extension;
  const auto given = PrefixPattern::parse(d.prefix);
  if (!given) return fail(in_member("Prefix", given.error()));
  if (given->has_error_type()) {
    return fail(ErrorCode::kInvalidArgument, "Prefix must not contain !{firehose:error-output-type}");
  }
  if (d.error_prefix.empty() && given->has_expression()) {
    return fail(ErrorCode::kInvalidArgument,
                "ErrorOutputPrefix must be given because Prefix contains expressions");
  }
  const auto error = PrefixPattern::parse(d.error_prefix);
  if (!error) return fail(in_member("ErrorOutputPrefix", error.error()));
  if (error->has_expression() && !error->has_error_type()) {
    return fail(ErrorCode::kInvalidArgument,
                "ErrorOutputPrefix contains expressions, so it must contain !{firehose:error-output-type}");
  }
  // A Wednesday in September, in the evening: about the longest texts there are.
  const LocalTime longest = zone->at({1'790'805'599'999});
  SeededRandom random(1);
  const auto prefix = full_prefix(d);
  const auto full_error = full_error_prefix(d);
  if (prefix->evaluate(longest, random, {}).size() > kEvaluatedPrefixBytesMax ||
      full_error->evaluate(longest, random, "format-conversion-failed").size() > kEvaluatedPrefixBytesMax) {
    return fail(ErrorCode::kInvalidArgument, "Prefix and ErrorOutputPrefix may have at most " +
                                                 std::to_string(kEvaluatedPrefixBytesMax) +
                                                 " characters each once evaluated");
  }
  return {};
}

std::string object_key(const Stream& stream, Timestamp oldest, Random& random) {
  const Destination& d = stream.destination;
  const LocalTime time = Zone::find(d.time_zone).value_or(Zone()).at(oldest);
  static const TimePattern suffix = TimePattern::parse("yyyy-MM-dd-HH-mm-ss").value();
  std::string key;
  if (const auto prefix = full_prefix(d)) key = prefix->evaluate(time, random, {});
  key += stream.name + "-" + std::to_string(stream.version) + "-" + suffix.format(time) + "-" + random.uuid();
  key += !d.file_extension.empty() ? d.file_extension : d.compression == Compression::kGzip ? ".gz" : "";
  return key;
}

std::string error_prefix(const Destination& destination, Timestamp oldest, std::string_view error_type,
                         Random& random) {
  const LocalTime time = Zone::find(destination.time_zone).value_or(Zone()).at(oldest);
  const auto prefix = full_error_prefix(destination);
  return prefix ? prefix->evaluate(time, random, error_type) : std::string();
}

}  // namespace fleetward::delivery
