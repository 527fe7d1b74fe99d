#include "pipeline/membership_stage.h"

#include <condition_variable>
#include <mutex>
#include <vector>

#include "registry/dynamic_groups.h"

namespace fleetward::pipeline {

struct MembershipStage::Shared {
  std::mutex mutex;
  std::condition_variable changed;
  bool work = true, stopping = false;
  std::unordered_map<std::string, registry::Connectivity> clients;
};

MembershipStage::MembershipStage(MembershipOptions options, state::Store& store, registry::Tables tables,
                                 Logger& logger, Metrics& metrics)
    : options_(options),
      store_(store),
      tables_(tables),
      logger_(logger),
      dropped_(metrics.counter("fleetward_membership_dropped_total",
                               "Connects and disconnects that the registry did not learn of.")),
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
    shared_->changed.wait(lock, [&] { return shared_->work || shared_->stopping; });
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
  if (!changes.empty()) {
    transact([&](state::Transaction& change) -> Status {
      registry::apply_connectivity(change, tables_, changes);
      return {};
    });
  }
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
