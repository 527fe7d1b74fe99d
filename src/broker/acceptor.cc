#include "broker/acceptor.h"

#include <unistd.h>

#include "broker/shard.h"

namespace fleetward::broker {

Acceptor::Acceptor(Shard& shard, int descriptor, std::shared_ptr<const ListenerState> state)
    : shard_(shard), descriptor_(descriptor), state_(std::move(state)) {}

Acceptor::~Acceptor() {
  shard_.loop().remove(descriptor_, this);
  ::close(descriptor_);
}

Status Acceptor::attach() {
  return shard_.loop().add(descriptor_, this, true, false);
}

void Acceptor::on_event(bool /*readable*/, bool /*writable*/) {
  shard_.accept_from(*this);
}

void Acceptor::pause() {
  paused_ = true;
  shard_.loop().change(descriptor_, this, false, false);
}

void Acceptor::resume() {
  if (!paused_) return;
  paused_ = false;
  shard_.loop().change(descriptor_, this, true, false);
}

}  // namespace fleetward::broker
