#pragma once

#include <memory>
#include <string>
#include <thread>
#include <unordered_map>

#include "broker/hooks.h"
#include "core/logger.h"
#include "core/metrics.h"
#include "core/time.h"
#include "registry/tables.h"
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
};

// Brings what the broker sees of connections into the registry's memory tables, and takes new queries of
// dynamic groups to all things in slices. One thread; the registry's functions do the work.
class MembershipStage final : public broker::PresenceSink {
 public:
  // The store outlives the stage.
  MembershipStage(MembershipOptions options, state::Store& store, registry::Tables tables, Logger& logger,
                  Metrics& metrics);
  ~MembershipStage() override;  // stops

  void start();
  void stop();

  // Any thread. Takes a mutex for the time of one insertion.
  void on_presence(const broker::Presence& presence) override;

  // One transaction for clients and one slice, on the caller's thread; true if more is waiting.
  bool step();

 private:
  struct Shared;

  void run();
  void transact(const std::function<Status(state::Transaction&)>& change);

  const MembershipOptions options_;
  state::Store& store_;
  registry::Tables tables_;
  Logger& logger_;
  prometheus::Counter& dropped_;
  std::shared_ptr<Shared> shared_;  // also the store's listener's, which cannot be taken back
  std::thread thread_;
};

}  // namespace fleetward::pipeline
