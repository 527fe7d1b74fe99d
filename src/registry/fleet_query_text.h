#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

// Internal to fleet_query*.cc: the words of a query.
namespace fleetward::registry::query {

// A finite decimal number, all of the text; an exponent is fine.
std::optional<double> number_in(std::string_view text);

struct Token {
  enum class Kind {
    kWord,    // `text` with its escapes
    kPhrase,  // `text` without quotes and escapes
    kAnd,
    kOr,
    kNot,    // NOT and '-'
    kTo,     // TO; a word outside of a range
    kOpen,   // (
    kClose,  // )
    kColon,
    kCompare,     // text: ">", ">=", "<", "<="
    kRangeOpen,   // text: "[" or "{"
    kRangeClose,  // text: "]" or "}"
    kEnd,
  } kind = Kind::kEnd;
  std::string text;
  size_t at = 0;  // where it begins, in bytes
};

// The last token is kEnd. kInvalidArgument: a character that is not of the language, an open phrase.
Result<std::vector<Token>> read_tokens(std::string_view query);

}  // namespace fleetward::registry::query
