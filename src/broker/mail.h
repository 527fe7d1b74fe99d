#pragma once

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "broker/commit_gate.h"
#include "broker/hooks.h"
#include "broker/mailbox.h"
#include "broker/router.h"
#include "state/store.h"

namespace fleetward::broker {

class Connection;
struct WebSocketClient;

// What shards send each other. `waiter` of a message that must become durable with the receiver is told by a
// DurableMail; without one its `round` is 0.

// Deliver to this shard's subscribers.
struct RouteMail {
  MessagePtr message;
  bool ordinary = false;             // to all matching subscribers
  std::vector<SharedTarget> shared;  // and to one member of each
  Waiter waiter;
  uint64_t routed = 0;  // in the log as session_store::Routed: to be erased
};
// The owner of a retained topic writes its present value to the log.
struct RetainMail {
  std::string topic;
  Waiter waiter;
};
// Something that the round of this shard waited for is durable elsewhere.
struct DurableMail {
  uint64_t round;
  uint32_t count;
};
// The log's answer to this shard's batch.
struct CommitMail {
  Status result;
};
// A connection whose client id this shard owns; its CONNECT is waiting in it.
struct AdoptMail {
  std::unique_ptr<Connection> connection;
};
// A client that comes by way of HTTP.
struct WebSocketMail {
  std::unique_ptr<WebSocketClient> client;
};
// From InternalPublisher.
struct PublishMail {
  MessagePtr message;
  std::function<void(Status)> done;
};
// The control state has changed.
struct SnapshotMail {
  state::SnapshotPtr snapshot;
};
// An operator's command.
struct CallMail {
  std::function<void()> run;
};

using Mail = std::variant<RouteMail, InterestChange, RetainMail, DurableMail, CommitMail, AdoptMail,
                          WebSocketMail, PublishMail, SnapshotMail, CallMail>;
using ShardMailbox = Mailbox<Mail>;
// A shard has two: `inbox` for work (RouteMail, RetainMail, PublishMail), bounded, left alone
// while the shard is full, so that those who send it work stop too; `mailbox` for what must always get
// through, bounded by its causes (one CommitMail and few DurableMails for each commit, one InterestChange for
// each change, ...).

}  // namespace fleetward::broker
