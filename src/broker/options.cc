#include "broker/options.h"

namespace fleetward::broker {

Options Options::aws() {
  Options options;
  options.behaviour = Behaviour::kAws;
  options.packet_bytes_max = 149'504;
  options.payload_bytes_max = 128 * 1024;
  options.topic_bytes_max = 256;
  options.topic_slashes_max = 7;
  options.client_id_bytes_max = 128;
  options.filters_per_subscribe_max = 8;
  options.subscriptions_per_connection_max = 50;
  options.keepalive_min = Duration{30'000};
  options.keepalive_max = Duration{1'200'000};
  options.tls_session_lifetime = Duration{0};
  options.qos_max = 1;
  options.subscribe_qos_strict = true;
  options.aws_wildcards = true;
  options.retained_for_wildcards = false;
  options.dollar_client_ids = false;
  options.session_expiry_max = Duration{3'600'000};
  return options;
}

}  // namespace fleetward::broker
