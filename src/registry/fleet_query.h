#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "registry/types.h"

// The query language of fleet indexing (AWS IoT Developer Guide, "Query syntax" and "Example thing queries"),
// over what the registry knows of a thing and whether it is connected. Pure.
//
//   query   terms joined by AND (also by standing next to each other), OR, NOT and '-', parentheses. NOT
//   binds
//           closer than AND, AND closer than OR. The four words are upper case.
//   term    field:value, field:(query of values), field>number (also >=, <, <=), or a value alone, which is
//           looked for in every field
//   value   a word, with '*' for any characters and '?' for one; "a phrase", literally; [a TO b] with its
//   ends,
//           {a TO b} without, mixed as one likes, '*' for an open end
//   field   thingName, thingId, thingTypeName, thingGroupNames, attributes.<name> (the first four also after
//           "registry."), connectivity.connected, connectivity.timestamp (ms), connectivity.disconnectReason
//
// Values are compared without regard to case, as a whole (none holds white space). A bound that is a number
// compares numerically, with the things whose value is a number; any other bound compares as text. '\' takes
// the meaning from the character after it.
namespace fleetward::registry {

inline constexpr size_t kQueryCharactersMax = 1000;
inline constexpr size_t kQueryTermsMax = 12;
// A term that begins with a wildcard has to be looked for everywhere: one per query, in a short query.
inline constexpr size_t kLeadingWildcardTermsMax = 1;
inline constexpr size_t kLeadingWildcardCharactersMax = 100;
inline constexpr size_t kQueryDepthMax = 32;  // parentheses and NOTs inside each other (ours)

// What a query is asked about. Lives for one call.
struct ThingDocument {
  const Thing& thing;
  std::span<const std::string> groups;
  const Connectivity* connectivity = nullptr;  // null: not indexed, so no query about it matches
};

namespace query {

enum class Field : uint8_t {
  kAny,
  kThingName,
  kThingId,
  kThingTypeName,
  kThingGroupNames,
  kAttribute,
  kConnected,
  kTimestamp,
  kDisconnectReason,
};

struct Bound {
  std::string text;  // folded to lower case
  bool inclusive = false;
};

struct Term {
  enum class Kind : uint8_t { kPresent, kEquals, kPattern, kNumbers, kTexts } kind = Kind::kPresent;
  Field field = Field::kAny;
  std::string attribute;     // of kAttribute
  std::string text;          // kEquals; kPattern: escaped characters have a '\' before them. Lower case.
  std::optional<Bound> low;  // kTexts
  std::optional<Bound> high;
  double low_number = 0, high_number = 0;  // kNumbers, infinite where open
  bool low_inclusive = true, high_inclusive = true;
};

// A node's children are nodes before it, so the last one is the whole query.
struct Node {
  enum class Kind : uint8_t { kTerm, kAnd, kOr, kNot } kind = Kind::kTerm;
  uint32_t term = 0;               // index, of kTerm
  std::vector<uint32_t> children;  // of the others; of kNot one
};

}  // namespace query

// A compiled query. Immutable.
class FleetQuery {
 public:
  // kInvalidArgument: what is wrong, where, in words for the user; also what AWS has and this release does
  // not (shadow.*, deviceDefender.*, geographic terms), by name.
  static Result<std::shared_ptr<const FleetQuery>> parse(std::string_view text);

  bool matches(const ThingDocument& document) const;
  bool asks_connectivity() const;

  // What every match has: a field, and if `value` is there, that value of it (in lower case). For finding the
  // few of many queries that may match a thing. Empty if the query does not tell.
  struct Required {
    query::Field field = query::Field::kAny;
    std::string attribute;
    std::optional<std::string> value;
    auto operator<=>(const Required&) const = default;
  };
  std::vector<Required> required() const;

 private:
  friend class FleetQueryParser;
  bool holds(uint32_t node, const ThingDocument& document) const;
  void collect_required(uint32_t node, std::vector<Required>& out) const;

  std::vector<query::Term> terms_;
  std::vector<query::Node> nodes_;
};

}  // namespace fleetward::registry
