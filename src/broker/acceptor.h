#pragma once

#include <memory>

#include "broker/connection.h"
#include "broker/event_loop.h"

namespace fleetward::broker {

// A listening socket in the loop of its shard. Owns the descriptor.
class Acceptor final : public EventSource {
 public:
  Acceptor(Shard& shard, int descriptor, std::shared_ptr<const ListenerState> state);
  ~Acceptor() override;

  Status attach();
  void on_event(bool readable, bool writable) override;
  // Out of descriptors: a level-triggered loop would spin on a connection that cannot be accepted.
  void pause();
  void resume();
  int descriptor() const { return descriptor_; }
  const std::shared_ptr<const ListenerState>& state() const { return state_; }
  void set_state(std::shared_ptr<const ListenerState> state) { state_ = std::move(state); }

 private:
  Shard& shard_;
  const int descriptor_;
  std::shared_ptr<const ListenerState> state_;
  bool paused_ = false;
};

}  // namespace fleetward::broker
