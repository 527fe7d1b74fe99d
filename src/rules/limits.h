#pragma once

#include <cstddef>

// Every bound of the rules engine in one place. What grows with a rule is refused when the rule is created;
// what grows with a message makes that one run fail and fires the rule's error action.
namespace fleetward::rules {

inline constexpr size_t kStatementBytesMax = 256 * 1024;  // AWS: 256 KB for the whole rule document
inline constexpr size_t kTemplateBytesMax = 8 * 1024;     // one action field with ${...}
inline constexpr size_t kTokensMax = 32'768;
inline constexpr size_t kParserDepthMax = 64;  // brackets, calls, CASE and prefix operators inside each other
inline constexpr size_t kExpressionHeightMax = 512;  // "a OR b OR c ..." makes a tall tree without brackets
inline constexpr size_t kNodesMax = 8'192;
inline constexpr size_t kVariablesMax = 64;  // of SET
inline constexpr size_t kRegexBytesMax = 1'024;
inline constexpr size_t kRegexMemoryMax = 1 << 20;  // of one compiled expression, in bytes
inline constexpr size_t kActionsMax = 10;
inline constexpr size_t kRulesMax = 1'000;  // of the account

inline constexpr size_t kPayloadDepthMax = 64;         // deeper JSON counts as not JSON
inline constexpr size_t kOutputBytesMax = 256 * 1024;  // of one SELECT, serialised
inline constexpr size_t kTransformBytesMax = 128 * 1024;
inline constexpr size_t kBatchRecordsMax = 500;  // firehose batchMode
// Work of one run of one rule: about a nanosecond or two each, so some 10 to 30 ms. A byte of a newly built
// value is a unit, an evaluated node kNodeWork.
inline constexpr size_t kWorkMax = 4 << 20;
inline constexpr size_t kNodeWork = 8;

}  // namespace fleetward::rules
