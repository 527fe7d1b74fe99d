#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/random.h"
#include "core/result.h"
#include "core/time.h"
#include "delivery/stream.h"
#include "delivery/time_pattern.h"

// Names of delivered objects (pure). Source: Amazon Data Firehose Developer Guide, "Custom prefixes for
// Amazon S3 objects".
namespace fleetward::delivery {

inline constexpr size_t kPrefixBytesMax = 1024;          // as written
inline constexpr size_t kEvaluatedPrefixBytesMax = 512;  // once evaluated

// Text with expressions "!{timestamp:yyyy/MM}", "!{firehose:random-string}", "!{firehose:error-output-type}".
class PrefixPattern {
 public:
  // kInvalidArgument for an expression that does not parse or an unknown namespace; kUnimplemented for
  // partitionKeyFromQuery and partitionKeyFromLambda, which need dynamic partitioning.
  static Result<PrefixPattern> parse(std::string_view text);

  bool has_expression() const;
  bool has_timestamp() const;
  bool has_error_type() const;
  void append_timestamp(std::string_view pattern);
  void append_text(std::string_view text);
  void append_error_type();
  std::string evaluate(const LocalTime& time, Random& random, std::string_view error_type) const;

 private:
  enum class Kind { kText, kTimestamp, kRandom, kErrorType };
  struct Piece {
    Kind kind;
    std::string text;
    TimePattern pattern;
  };
  bool has(Kind kind) const;
  std::vector<Piece> pieces_;
};

// The rules for Prefix and ErrorOutputPrefix together, FileExtension and CustomTimeZone. kInvalidArgument or
// kUnimplemented; the message starts with the member's name.
Status check_names(const Destination& destination);

// "<evaluated prefix><stream>-<version>-<yyyy-MM-dd-HH-mm-ss>-<uuid><extension>"; `oldest` is the arrival of
// the object's oldest record. The destination passed check_names.
std::string object_key(const Stream& stream, Timestamp oldest, Random& random);

// The evaluated error prefix for records that failed with `error_type` ("processing-failed").
std::string error_prefix(const Destination& destination, Timestamp oldest, std::string_view error_type,
                         Random& random);

}  // namespace fleetward::delivery
