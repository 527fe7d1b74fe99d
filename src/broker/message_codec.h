#pragma once

#include <string>
#include <string_view>

#include "broker/hooks.h"
#include "core/result.h"
#include "mqtt/packet.h"

namespace fleetward::broker {

// A message as the log's keys `session/...` and `retained/...` hold it. Format (all integers little endian):
//   u8 format (1), u8 flags (1 retain, 2 utf-8 payload), u8 qos, u32 expiry s, i64 published ms, u32 hops,
//   then texts, each u32 length + bytes: topic, payload, content type, response topic, correlation data,
//   u32 number of user properties, each two texts.
std::string encode_message(const Message& message);
// kCorrupt if the bytes are not of that format.
Result<MessagePtr> decode_message(std::string_view bytes);

// Bytes a message is accounted for in a queue or mailbox.
size_t message_weight(const Message& message);

// The packet that carries a message at `now`; views into the message. The remaining expiry is set, 0 and the
// answer false if it has run out.
bool to_publish(const Message& message, Timestamp now, mqtt::Publish& publish);
// Copies what a client published.
void from_publish(const mqtt::Publish& publish, Timestamp now, Message& message);
// The same for its properties alone (`message` was cleared).
void properties_from_publish(const mqtt::Publish& publish, Message& message);

}  // namespace fleetward::broker
