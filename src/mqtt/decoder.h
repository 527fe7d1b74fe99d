#pragma once

#include <cstddef>
#include <string_view>

#include "mqtt/packet.h"

namespace fleetward::mqtt {

// Whose packets a decoder accepts: a server's decoder those that clients send, and the other way round.
enum class Receiver : uint8_t { kServer, kClient };

// Why bytes are not a packet. `text` is a literal that ends with the statement it cites, for example "packet
// identifier is 0 [MQTT-2.2.1-3]".
struct DecodeError {
  ReasonCode reason = ReasonCode::kMalformedPacket;
  std::string_view text;
};

struct DecoderOptions {
  Receiver receiver = Receiver::kServer;
  size_t packet_bytes_max = 268'435'460;  // fixed header included; the protocol's own maximum
  size_t user_properties_max = 1024;      // in one packet; more: kQuotaExceeded
  size_t filters_max = 1024;              // in one SUBSCRIBE or UNSUBSCRIBE; more: kQuotaExceeded
};

// Turns bytes into packets, strictly: whatever the specification calls malformed or a protocol error that can
// be seen in one packet alone is refused here, with its statement number. Topic names are checked for
// wildcards and filters for being non-empty UTF-8; the grammar of filters is topic.h's. Pure; keeps no bytes,
// only the version, which is that of the last CONNECT it decoded (server) or what set_version() said
// (client).
class Decoder {
 public:
  enum class Kind : uint8_t {
    kPacket,    // `packet` is filled, `bytes` were used
    kNeedMore,  // not a whole packet; `bytes` is the size of the whole, 0 while that is unknown
    kError,     // close the connection
  };
  struct Outcome {
    Kind kind;
    size_t bytes = 0;
    DecodeError error;
  };

  explicit Decoder(const DecoderOptions& options = {}) : options_(options) {}

  // The first packet in `bytes`. The views in `packet` point into `bytes`.
  Outcome next(std::string_view bytes, Packet& packet);

  Version version() const { return version_; }
  void set_version(Version version) { version_ = version; }
  const DecoderOptions& options() const { return options_; }

 private:
  DecoderOptions options_;
  Version version_ = Version::k311;
};

// True for well-formed UTF-8 without U+0000 and surrogates [MQTT-1.5.4-1, MQTT-1.5.4-2].
bool is_mqtt_utf8(std::string_view text);

}  // namespace fleetward::mqtt
