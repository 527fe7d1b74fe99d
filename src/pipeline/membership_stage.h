#pragma once

#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "broker/hooks.h"
#include "core/logger.h"
#include "core/metrics.h"
#include "core/time.h"
#include "log/log.h"
#include "registry/dynamic_groups.h"
#include "state/store.h"

namespace fleetward::pipeline {

struct MembershipOptions {
  // Clients that came or went and wait for the stage, each once, with the latest. What is beyond is dropped
  // and counted: that client's connectivity stays as it was until it comes or goes again.
  size_t clients_max = 250'000;
  size_t changes_max = 2'000;  // clients of one transaction: others wait for it some milliseconds
  size_t things_max = 2'000;   // things that one transaction compares with new queries
  Duration gather{50};         // between two transactions for clients
  Duration pause{2};           // between two slices, for everyone else who wants the store
  // After the start, for those who were connected before it: until then they count as connected, so that a
  // restart moves nobody between groups. AWS's SDKs try again after 128 s at most.
  Duration return_grace{180'000};
};

// Brings what the broker sees of connections into the registry's memory tables and, for the next start,
// beside the log (connectivity_keys.h); takes new queries of dynamic groups to all things in slices. One
// thread; the registry's functions do the work.
class MembershipStage final : public broker::PresenceSink {
 public:
  // The store and the log outlive the stage. Who was connected before and is not back in time disconnected at
  // the moment of this call.
  MembershipStage(MembershipOptions options, state::Store& store, registry::Tables tables, log::Log& log,
                  const Clock& clock, const Clock& steady, Logger& logger, Metrics& metrics);
  ~MembershipStage() override;  // stops

  void start();
  // To be called before the broker ends its connections: that is no news for queries, who asks for connected
  // devices finds them until the next start's grace is over.
  void stop();

  // Any thread. Takes a mutex for the time of one insertion.
  void on_presence(const broker::Presence& presence) override;

  // One transaction for clients, one slice of those who did not return and one of scans, on the caller's
  // thread; true if more is waiting.
  bool step();

 private:
  struct Shared;

  void run();
  void apply(std::vector<registry::ConnectivityChange> changes);
  bool give_up_absent();  // true if there may be more
  void transact(const std::function<Status(state::Transaction&)>& change);

  const MembershipOptions options_;
  state::Store& store_;
  registry::Tables tables_;
  log::Log& log_;
  const Clock& steady_;
  Logger& logger_;
  prometheus::Counter &dropped_, &unsaved_;
  const Timestamp started_;  // wall time
  const Timestamp grace_end_;
  bool grace_over_ = false;         // and nobody is remembered any more
  std::string absent_next_;         // clients below it are done
  std::shared_ptr<Shared> shared_;  // also the store's listener's, which cannot be taken back
  std::thread thread_;
};

}  // namespace fleetward::pipeline
