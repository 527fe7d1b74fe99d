#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/time.h"
#include "detect/config.h"
#include "detect/profile.h"
#include "registry/tables.h"
#include "state/store.h"

namespace fleetward::pipeline {

struct CustomMetric {
  std::string name;
  detect::ValueKind type = detect::ValueKind::kNumber;
  std::string display_name;
  std::string creation_token;  // clientRequestToken of its creation: the same again is the same call
  Timestamp created, modified;
};

struct Dimension {
  std::string name;
  std::vector<std::string> values;  // topic filters, which may hold ${iot:ClientId}
  std::string request_token;        // clientRequestToken of its creation
  Timestamp created, modified;
};

struct ProfileTarget {
  Timestamp since;
};

// Detect's tables in the control store (detect/ itself is pure and knows no store). Attachments are kept in
// both directions, keyed by state::key.
struct DetectTables {
  state::Table<detect::SecurityProfile> profiles;  // name
  state::Table<CustomMetric> custom_metrics;       // name
  state::Table<Dimension> dimensions;              // name
  state::Table<ProfileTarget> profile_targets;     // profile, target ARN
  state::Table<ProfileTarget> target_profiles;     // target ARN, profile

  // Before Store::open().
  static DetectTables add_to(state::Store& store);
};

// For checking profiles. `snapshot` must outlive it.
detect::AccountLookup account_lookup(const state::Snapshot& snapshot, const DetectTables& tables);

// What the engine is told: profiles, custom metrics and whom profiles reach (dynamic groups; static groups
// with all their child groups; all/things, all/registered-things, all/unregistered-things). `previous` (may
// be null, else the configuration built from the snapshot before) lends its profiles if they did not change,
// so that nothing is compiled again.
class DetectConfigBuilder {
 public:
  DetectConfigBuilder(DetectTables tables, registry::Tables registry, AccountScope account);

  // nullptr if nothing that matters to Detect changed since the snapshot of the last call.
  detect::ConfigPtr refresh(state::SnapshotPtr snapshot);

 private:
  bool same_profiles(const state::Snapshot& snapshot) const;
  bool same_reach(const state::Snapshot& snapshot) const;

  DetectTables tables_;
  registry::Tables registry_;
  AccountScope account_;
  state::SnapshotPtr last_;  // kept alive, so that its maps' addresses tell whether they changed
  std::shared_ptr<const detect::Profiles> profiles_;
};

}  // namespace fleetward::pipeline
