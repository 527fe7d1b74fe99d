#include "broker/observation_table.h"

#include <array>

namespace fleetward::broker {
namespace {

constexpr uint8_t kConnect = kConnectionAttempts | kSourceAddress;
constexpr uint8_t kEnd = kDisconnects | kDisconnectedSince;

constexpr auto kTable = std::to_array<Happening>({
    // Messages from the device.
    {"publishes, QoS 0", kMessagesSent, ""},
    {"publishes, QoS 1", kMessagesSent, "a repetition (DUP) counts again: it is another packet"},
    {"publishes, QoS 2", kMessagesSent, "likewise, though it is not delivered again"},
    {"publishes a retained message", kMessagesSent, ""},
    {"publishes by Basic Ingest", kMessagesSent, "the topic is `$aws/rules/<rule>/...`"},
    {"publishes a device report", kMessagesSent, "likewise every other reserved topic that may be published"},
    {"a publish its policy denies", kMessagesSent | kAuthorizationFailures | kEnd,
     "it was sent; the connection ends"},
    {"a publish to a topic that does not exist", kMessagesSent | kEnd,
     "`$`-topics of nobody, too large a payload; the connection ends"},
    // Messages to the device.
    {"is delivered a message, QoS 0", kMessagesReceived, "whoever published it: a device, a rule, the API"},
    {"is delivered a message, QoS 1", kMessagesReceived, "counted when sent, acknowledged or not"},
    {"is delivered a message, QoS 2", kMessagesReceived, "likewise"},
    {"is delivered its own message", kMessagesSent | kMessagesReceived, ""},
    {"is delivered a retained message", kMessagesReceived, "for a new subscription"},
    {"is delivered a message of a shared subscription", kMessagesReceived, "the chosen member alone"},
    {"is sent what waited for it", kConnect | kMessagesReceived, "a persistent session, connecting again"},
    {"is sent again what it did not acknowledge", kConnect | kMessagesReceived, ""},
    {"is delivered a will", kMessagesReceived, "the client whose will it is has sent nothing"},
    {"is published for by the API or a rule", kNothing, "in its name or not: the device did not send it"},
    {"its policy denies the delivery", kNothing, "iot:Receive: the device did not ask for anything"},
    // Subscriptions.
    {"subscribes", kNothing, ""},
    {"a subscription its policy denies", kAuthorizationFailures, "each filter of the packet by itself"},
    {"a subscription to a filter that is not allowed", kNothing, ""},
    // Connections.
    {"connects", kConnect, "disconnect-duration is 0 again"},
    {"connects, which its policy denies", kConnect | kAuthorizationFailures,
     "also for the topic of its will"},
    {"connects with a certificate that is not ACTIVE", kConnect | kAuthorizationFailures, ""},
    {"connects with a certificate nobody knows", kNothing,
     "the handshake fails: there is no name to count for"},
    {"connects with a client id in use", kConnect | kDisconnects,
     "the older connection ends; the device stays connected"},
    {"disconnects", kEnd, ""},
    {"its connection is lost", kEnd, "reset, or silent for longer than its keep-alive allows"},
    {"breaks the protocol", kEnd, ""},
    {"is disconnected by an operator", kEnd, "DeleteConnection"},
    {"loses its certificate's ACTIVE status", kEnd, ""},
    {"the server shuts down", kEnd, "an ordinary stop; after a crash the same, at the next start"},
    {"its will is published", kNothing, "the end of its connection has been counted"},
});

}  // namespace

std::span<const Happening> happenings() {
  return kTable;
}

std::string observation_reference_markdown() {
  std::string out =
      "\n## What counts for which cloud-side metric\n\n"
      "Generated from `src/broker/observation_table.cc`, to which a test holds the broker. The columns: "
      "messages "
      "sent (and their size), messages received, authorization failures, connection attempts, source "
      "address, "
      "disconnects, and whether disconnect-duration begins to run.\n\n"
      "| The device | sent | received | failures | attempts | address | disconnects | duration | |\n"
      "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
  for (const Happening& row : kTable) {
    out += "| " + std::string(row.what);
    for (int bit = 0; bit < 7; ++bit) out += (row.counts >> bit & 1) != 0 ? " | yes" : " | ";
    out += " | " + std::string(row.remark) + " |\n";
  }
  out +=
      "\nA connection that stays open is seen from its address in every interval.\n\n"
      "With a dimension, a message counts by its topic: `IN` if a filter of the dimension matches it, "
      "`NOT_IN` if "
      "none does. A denied subscription counts by its filter. A refused connection has no topic: it counts "
      "for "
      "`NOT_IN` alone. `aws:source-ip-address` with a dimension has the addresses of the connections of "
      "which "
      "something was counted. Filters match as subscriptions do: one that begins with a wildcard matches no "
      "`$`-topic. `${iot:ClientId}` in a filter is the client's id, in which `+` and `#` are no wildcards.\n";
  return out;
}

}  // namespace fleetward::broker
