#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "broker/router.h"
#include "broker/session.h"
#include "log/log.h"

// Persistent sessions and retained messages as keys of the log. Keys (cid = client id, which holds no '\0'):
//   session/<cid>\0m                 JSON {"expiry":s,"disconnected":ms,"version":n}
//   session/<cid>\0s<filter>         u8 qos, u8 flags (1 no local, 2 retain as published)
//   session/<cid>\0q<sequence, 8 bytes big endian>    u8 flags (1 retain, 2 shared, 4 QoS 2), then
//                                                    message_codec.h or, if shared, the message's id (8 bytes
//                                                    big endian)
//   session/<cid>\0p<sequence>       of a QoS 2 message that is, or was, sent: packet identifier (2 bytes big
//                                    endian), u8 stage (1 the client may have it, 2 it has, and the message
//                                    is gone)
//   session/<cid>\0r<packet identifier, 2 bytes big endian>   empty: a QoS 2 publish taken from the client
//   and
//                                                    not released
//   message/<id, 8 bytes big endian>                  message_codec.h; as long as a queue refers to it
//   retained/<topic>                 message_codec.h
//   routed/<id, 8 bytes big endian>  u16 shard, u16 shards, u8 ordinary, u16 number of shared targets, each a
//                                    group and a filter (u16 length + bytes; all big endian), then
//                                    message_codec.h
namespace fleetward::broker::session_store {

void put_session(log::Batch& batch, const ClientSession& session);
// With its queue, which is not `stored` any more.
void erase_session(log::Batch& batch, ClientSession& session);
void put_subscription(log::Batch& batch, std::string_view client_id, std::string_view filter,
                      const SessionSubscription& subscription);
void erase_subscription(log::Batch& batch, std::string_view client_id, std::string_view filter);
void put_message(log::Batch& batch, std::string_view client_id, Outgoing& outgoing);
void erase_message(log::Batch& batch, std::string_view client_id, Outgoing& outgoing);

// `outgoing` is kUnsent or kReleased.
void put_position(log::Batch& batch, std::string_view client_id, const Outgoing& outgoing);
void erase_position(log::Batch& batch, std::string_view client_id, const Outgoing& outgoing);
void put_unreleased(log::Batch& batch, std::string_view client_id, uint16_t packet_id);
void erase_unreleased(log::Batch& batch, std::string_view client_id, uint16_t packet_id);

void put_retained(log::Batch& batch, const Message& message);
void erase_retained(log::Batch& batch, std::string_view topic);

// A QoS 2 message that one shard has taken and another is to put in its queues. It is stored with what the
// first made durable, handed over after that, and erased with what the second does: so it arrives once.
struct Routed {
  uint64_t id = 0;  // never used again, rising
  // To the sessions that `shard` owned when there were `shards` of them.
  uint32_t shard = 0, shards = 0;
  bool ordinary = false;             // to all matching subscribers there
  std::vector<SharedTarget> shared;  // and to one member of each
  MessagePtr message;
};
void put_routed(log::Batch& batch, const Routed& routed);
void erase_routed(log::Batch& batch, uint64_t id);
// In order of their ids; answers the largest. kCorrupt names the key.
Result<uint64_t> load_routed(const log::Log& log, const std::function<void(Routed)>& visit);

// The same instant on both clocks: what is stored is wall time, deadlines are of the steady clock.
struct LoadTime {
  Timestamp wall, steady;
};

// Every stored session, complete, in order of client id. Sessions whose connection was open when the program
// ended count as disconnected at `time`. Answers the largest id of a shared message. kCorrupt names the key.
Result<uint64_t> load_sessions(const log::Log& log, const LoadTime& time,
                               const std::function<void(std::unique_ptr<ClientSession>)>& visit);
Status load_retained(const log::Log& log, const std::function<void(MessagePtr)>& visit);

}  // namespace fleetward::broker::session_store
