#pragma once

#include <tl/expected.hpp>

#include "http/message.h"

namespace fleetward::http {

// The opening handshake of a WebSocket that carries MQTT (RFC 6455 4.2, [MQTT-6.0.0-3], [MQTT-6.0.0-4]): the
// 101 that accepts it, or what the request lacks. Pure; who asks is not looked at.
tl::expected<Response, Response> accept_mqtt_websocket(const RequestHead& head);

}  // namespace fleetward::http
