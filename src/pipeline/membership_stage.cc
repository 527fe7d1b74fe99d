#include "pipeline/membership_stage.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "pipeline/connectivity_keys.h"

namespace fleetward::pipeline {
namespace {

// Of who did not return: as lifecycle events name the end that a stop of the server makes.
constexpr const char* kServerEnded = "SERVER_INITIATED_DISCONNECT";

}  // namespace

struct MembershipStage::Shared {
  std::mutex mutex;
  std::condition_variable changed;
  bool work = true, stopping = false;
  std::unordered_map<std::string, registry::Connectivity> clients;
};

MembershipStage::MembershipStage(MembershipOptions options, state::Store& store, registry::Tables tables,
                                 log::Log& log, const Clock& clock, const Clock& steady, Logger& logger,
                                 Metrics& metrics)
    : options_(options),
      store_(store),
      tables_(tables),
      log_(log),
      steady_(steady),
      logger_(logger),
      dropped_(metrics.counter("fleetward_membership_dropped_total",
                               "Connects and disconnects that the registry did not learn of.")),
      unsaved_(metrics.counter("fleetward_membership_unsaved_total",
                               "Connects and disconnects that the next start will not know of.")),
      started_(clock.now()),
      grace_end_(steady.now() + options.return_grace),
      shared_(std::make_shared<Shared>()) {
  // A query may be new.
  store_.on_change([shared = shared_, scans = tables.scans](const state::SnapshotPtr& snapshot) {
    if (snapshot->get(scans).size() == 0) return;
    const std::lock_guard lock(shared->mutex);
    shared->work = true;
    shared->changed.notify_one();
  });
}

MembershipStage::~MembershipStage() {
  stop();
}

void MembershipStage::start() {
  thread_ = std::thread([this] { run(); });
}

void MembershipStage::stop() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
  }
  shared_->changed.notify_all();
  if (thread_.joinable()) thread_.join();
}

void MembershipStage::on_presence(const broker::Presence& presence) {
  bool first = false;
  {
    const std::lock_guard lock(shared_->mutex);
    std::string name(presence.thing);
    if (shared_->clients.size() >= options_.clients_max && !shared_->clients.contains(name)) {
      dropped_.Increment();
      return;
    }
    shared_->clients.insert_or_assign(
        std::move(name),
        registry::Connectivity{presence.connected, presence.at, std::string(presence.disconnect_reason)});
    first = !shared_->work;
    shared_->work = true;
  }
  if (first) shared_->changed.notify_one();
}

void MembershipStage::run() {
  for (;;) {
    std::unique_lock lock(shared_->mutex);
    const auto ready = [&] { return shared_->work || shared_->stopping; };
    if (grace_over_) {
      shared_->changed.wait(lock, ready);
    } else {
      shared_->changed.wait_for(lock, std::max(grace_end_ - steady_.now(), Duration{1}), ready);
    }
    if (shared_->stopping) return;
    shared_->work = false;
    lock.unlock();
    const bool more = step();
    lock.lock();
    shared_->work = shared_->work || more;
    shared_->changed.wait_for(lock, more ? options_.pause : options_.gather,
                              [&] { return shared_->stopping; });
  }
}

void MembershipStage::transact(const std::function<Status(state::Transaction&)>& change) {
  if (auto done = store_.transact(change); !done) {
    logger_.error("membership.failed", {{"reason", done.error().message}});
  }
}

void MembershipStage::apply(std::vector<registry::ConnectivityChange> changes) {
  log::Batch kept;
  transact([&](state::Transaction& change) -> Status {
    registry::apply_connectivity(change, tables_, changes);
    for (const registry::ConnectivityChange& one : changes) {
      keep_connectivity(kept, one.name, change.get(tables_.connectivity).find(one.name));
    }
    return {};
  });
  const auto count = static_cast<double>(changes.size());
  log_.submit(std::move(kept), [&unsaved = unsaved_, count](const log::Committed& done) {
    if (!done) unsaved.Increment(count);
  });
}

bool MembershipStage::give_up_absent() {
  std::vector<registry::ConnectivityChange> absent;
  size_t looked_at = 0;
  grace_over_ = true;
  store_.snapshot()->get(tables_.connectivity).visit_from(absent_next_, [&](const auto& entry) {
    if (looked_at++ == options_.changes_max) {
      absent_next_ = entry.key;
      grace_over_ = false;
      return false;
    }
    if (entry.value->remembered) absent.push_back({entry.key, {false, started_, kServerEnded}});
    return true;
  });
  if (!absent.empty()) apply(std::move(absent));
  return !grace_over_;
}

bool MembershipStage::step() {
  std::vector<registry::ConnectivityChange> changes;
  bool more = false;
  {
    const std::lock_guard lock(shared_->mutex);
    auto& clients = shared_->clients;
    while (!clients.empty() && changes.size() < options_.changes_max) {
      auto node = clients.extract(clients.begin());
      changes.push_back({std::move(node.key()), std::move(node.mapped())});
    }
    more = !clients.empty();
  }
  if (!changes.empty()) apply(std::move(changes));
  if (!more && !grace_over_ && steady_.now() >= grace_end_) more = give_up_absent();
  if (store_.snapshot()->get(tables_.scans).size() > 0) {
    bool rest = false;
    transact([&](state::Transaction& change) -> Status {
      rest = registry::evaluate_slice(change, tables_, options_.things_max);
      return {};
    });
    more = more || rest;
  }
  return more;
}

}  // namespace fleetward::pipeline
