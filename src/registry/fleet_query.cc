#include "registry/fleet_query.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/text.h"
#include "registry/fleet_query_text.h"

namespace fleetward::registry {
namespace {

using query::Field;
using query::Node;
using query::Term;

// `folded` is in lower case.
int compare_folded(std::string_view value, std::string_view folded) {
  const size_t common = std::min(value.size(), folded.size());
  for (size_t i = 0; i < common; ++i) {
    const auto a = static_cast<unsigned char>(to_lower(value[i])), b = static_cast<unsigned char>(folded[i]);
    if (a != b) return a < b ? -1 : 1;
  }
  return value.size() == folded.size() ? 0 : value.size() < folded.size() ? -1 : 1;
}

// Greedy with one point to go back to: linear but for patterns made to be slow, and those are short.
bool fits_pattern(std::string_view value, std::string_view pattern) {
  size_t v = 0, p = 0, star = std::string_view::npos, resume = 0;
  while (v < value.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      resume = v;
      continue;
    }
    const bool escaped = p + 1 < pattern.size() && pattern[p] == '\\';
    const size_t at = escaped ? p + 1 : p;
    if (at < pattern.size() && ((!escaped && pattern[at] == '?') || to_lower(value[v]) == pattern[at])) {
      p = at + 1;
      ++v;
    } else if (star != std::string_view::npos) {
      p = star;
      v = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool in_numbers(std::string_view value, const Term& term) {
  const auto number = query::number_in(value);
  if (!number) return false;
  return (term.low_inclusive ? *number >= term.low_number : *number > term.low_number) &&
         (term.high_inclusive ? *number <= term.high_number : *number < term.high_number);
}

bool in_texts(std::string_view value, const Term& term) {
  if (term.low) {
    const int order = compare_folded(value, term.low->text);
    if (order < 0 || (order == 0 && !term.low->inclusive)) return false;
  }
  if (term.high) {
    const int order = compare_folded(value, term.high->text);
    if (order > 0 || (order == 0 && !term.high->inclusive)) return false;
  }
  return true;
}

// An absent value is an empty one: none that is there is empty.
bool admits(const Term& term, std::string_view value) {
  if (value.empty()) return false;
  switch (term.kind) {
    case Term::Kind::kPresent:
      return true;
    case Term::Kind::kEquals:
      return equal_ignoring_case(value, term.text);
    case Term::Kind::kPattern:
      return fits_pattern(value, term.text);
    case Term::Kind::kNumbers:
      return in_numbers(value, term);
    case Term::Kind::kTexts:
      return in_texts(value, term);
  }
  return false;
}

bool admits_timestamp(const Term& term, const Connectivity& connectivity) {
  if (connectivity.since.ms == 0) return false;
  char text[24];
  const auto end = std::to_chars(text, text + sizeof text, connectivity.since.ms).ptr;
  return admits(term, {text, static_cast<size_t>(end - text)});
}

bool admits_any(const Term& term, const ThingDocument& d) {
  const auto one = [&](std::string_view value) { return admits(term, value); };
  return one(d.thing.name) || one(d.thing.id) || one(d.thing.type) ||
         std::any_of(d.groups.begin(), d.groups.end(), one) ||
         std::any_of(d.thing.attributes.begin(), d.thing.attributes.end(),
                     [&](const auto& attribute) { return one(attribute.second); }) ||
         (d.connectivity != nullptr &&
          (one(d.connectivity->disconnect_reason) || admits_timestamp(term, *d.connectivity)));
}

bool admits(const Term& term, const ThingDocument& d) {
  switch (term.field) {
    case Field::kAny:
      return admits_any(term, d);
    case Field::kThingName:
      return admits(term, d.thing.name);
    case Field::kThingId:
      return admits(term, d.thing.id);
    case Field::kThingTypeName:
      return admits(term, d.thing.type);
    case Field::kThingGroupNames:
      return std::any_of(d.groups.begin(), d.groups.end(),
                         [&](const std::string& name) { return admits(term, std::string_view(name)); });
    case Field::kAttribute: {
      const auto it = d.thing.attributes.find(term.attribute);
      return it != d.thing.attributes.end() && admits(term, std::string_view(it->second));
    }
    case Field::kConnected:
      return d.connectivity != nullptr &&
             admits(term, std::string_view(d.connectivity->connected ? "true" : "false"));
    case Field::kTimestamp:
      return d.connectivity != nullptr && admits_timestamp(term, *d.connectivity);
    case Field::kDisconnectReason:
      return d.connectivity != nullptr && admits(term, d.connectivity->disconnect_reason);
  }
  return false;
}

}  // namespace

namespace query {

std::optional<double> number_in(std::string_view text) {
  const auto number = parse_number<double>(text);
  return number && std::isfinite(*number) ? number : std::nullopt;  // "inf" and "nan" are texts
}

}  // namespace query

bool FleetQuery::matches(const ThingDocument& document) const {
  return holds(static_cast<uint32_t>(nodes_.size() - 1), document);
}

bool FleetQuery::holds(uint32_t index, const ThingDocument& document) const {
  const Node& node = nodes_[index];
  const auto holds_one = [&](uint32_t child) { return holds(child, document); };
  switch (node.kind) {
    case Node::Kind::kTerm:
      return admits(terms_[node.term], document);
    case Node::Kind::kAnd:
      return std::all_of(node.children.begin(), node.children.end(), holds_one);
    case Node::Kind::kOr:
      return std::any_of(node.children.begin(), node.children.end(), holds_one);
    case Node::Kind::kNot:
      return !holds(node.children[0], document);
  }
  return false;
}

bool FleetQuery::asks_connectivity() const {
  return std::any_of(terms_.begin(), terms_.end(), [](const Term& term) {
    return term.field == Field::kAny || term.field >= Field::kConnected;
  });
}

std::vector<FleetQuery::Required> FleetQuery::required() const {
  std::vector<Required> out;
  collect_required(static_cast<uint32_t>(nodes_.size() - 1), out);
  return out;
}

void FleetQuery::collect_required(uint32_t index, std::vector<Required>& out) const {
  const Node& node = nodes_[index];
  if (node.kind == Node::Kind::kAnd) {
    for (const uint32_t child : node.children) collect_required(child, out);
  }
  if (node.kind != Node::Kind::kTerm) return;
  const Term& term = terms_[node.term];
  if (term.field == Field::kAny || term.field >= Field::kConnected) return;
  const bool value = term.kind == Term::Kind::kEquals;
  // Every thing has a name and an id.
  if (!value && (term.field == Field::kThingName || term.field == Field::kThingId)) return;
  out.push_back({term.field, term.attribute, value ? std::optional(term.text) : std::nullopt});
}

}  // namespace fleetward::registry
