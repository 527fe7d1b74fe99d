#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "broker/session.h"
#include "log/log.h"

// Persistent sessions and retained messages as keys of the log. Keys (cid = client id, which holds no '\0'):
//   session/<cid>\0m                 JSON {"expiry":s,"disconnected":ms,"version":n}
//   session/<cid>\0s<filter>         u8 qos, u8 flags (1 no local, 2 retain as published)
//   session/<cid>\0q<sequence, 8 bytes big endian>    u8 flags (1 retain, 2 shared), then message_codec.h or,
//                                                    if shared, the message's id (8 bytes big endian)
//   message/<id, 8 bytes big endian>                  message_codec.h; as long as a queue refers to it
//   retained/<topic>                 message_codec.h
namespace fleetward::broker::session_store {

void put_session(log::Batch& batch, const ClientSession& session);
// With its queue, which is not `stored` any more.
void erase_session(log::Batch& batch, ClientSession& session);
void put_subscription(log::Batch& batch, std::string_view client_id, std::string_view filter,
                      const SessionSubscription& subscription);
void erase_subscription(log::Batch& batch, std::string_view client_id, std::string_view filter);
void put_message(log::Batch& batch, std::string_view client_id, Outgoing& outgoing);
void erase_message(log::Batch& batch, std::string_view client_id, Outgoing& outgoing);

void put_retained(log::Batch& batch, const Message& message);
void erase_retained(log::Batch& batch, std::string_view topic);

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
