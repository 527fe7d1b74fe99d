#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/time.h"
#include "registry/fleet_query.h"

namespace fleetward::registry {

// The queries of all dynamic groups, with an index of what a thing must have to match each, so that a thing
// is compared with the few that it may match. Immutable, pure.
class QuerySet {
 public:
  struct Entry {
    std::string group;
    Timestamp created;
    std::shared_ptr<const FleetQuery> query;
  };

  QuerySet() = default;
  explicit QuerySet(std::vector<Entry> entries);

  // Oldest first; of one moment, by name.
  const std::vector<Entry>& entries() const { return entries_; }
  bool asks_connectivity() const { return asks_connectivity_; }
  // The groups whose query matches, oldest first.
  std::vector<std::string> match(const ThingDocument& document) const;

 private:
  using Indexes = std::vector<uint32_t>;  // of entries_
  // The queries that require one field.
  struct ByField {
    Indexes any_value;
    std::map<std::string, Indexes, std::less<>> by_value;
    void collect(std::string_view value, Indexes& out) const;
  };

  std::vector<Entry> entries_;
  bool asks_connectivity_ = false;
  Indexes always_;  // those that require nothing that is indexed
  ByField names_, ids_, types_, groups_;
  std::map<std::string, ByField> attributes_;
};

}  // namespace fleetward::registry
