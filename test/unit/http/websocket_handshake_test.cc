#include "http/websocket_handshake.h"

#include <gtest/gtest.h>

namespace fleetward::http {
namespace {

// RFC 6455 1.3, with MQTT's protocol.
RequestHead good() {
  RequestHead head;
  head.method = "GET";
  head.headers.add("Host", "server.example.com");
  head.headers.add("Upgrade", "websocket");
  head.headers.add("Connection", "Upgrade");
  head.headers.add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
  head.headers.add("Sec-WebSocket-Protocol", "mqtt");
  head.headers.add("Sec-WebSocket-Version", "13");
  return head;
}

// [MQTT3-6.0.0-4] [MQTT5-6.0.0-4]
TEST(WebSocketHandshake, AcceptsWithTheKeysAnswer) {
  const auto accepted = accept_mqtt_websocket(good());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(accepted->status, 101);
  EXPECT_EQ(accepted->headers.get("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_EQ(accepted->headers.get("sec-websocket-protocol"), "mqtt");
  EXPECT_EQ(accepted->headers.get("upgrade"), "websocket");
  EXPECT_EQ(accepted->headers.get("connection"), "Upgrade");
  RequestHead several = good();
  several.headers.set("Sec-WebSocket-Protocol", "mqttv3.1 , chat");
  several.headers.add("sec-websocket-protocol", " mqtt");
  several.headers.set("Upgrade", "WebSocket");
  EXPECT_TRUE(accept_mqtt_websocket(several));
}

// [MQTT3-6.0.0-3] [MQTT5-6.0.0-3]
TEST(WebSocketHandshake, SaysWhatIsMissing) {
  struct Case {
    const char *field, *value;
    int status;
  };
  for (const Case& c :
       {Case{"Upgrade", "h2c", 501}, Case{"Sec-WebSocket-Version", "8", 426},
        Case{"Sec-WebSocket-Version", "", 426}, Case{"Sec-WebSocket-Key", "", 400},
        Case{"Sec-WebSocket-Key", "dGhlIHNhbXBsZQ==", 400}, Case{"Sec-WebSocket-Key", "!", 400},
        Case{"Sec-WebSocket-Protocol", "", 400}, Case{"Sec-WebSocket-Protocol", "mqttv3.1", 400},
        Case{"Sec-WebSocket-Protocol", "MQTT", 400}}) {
    RequestHead head = good();
    head.headers.set(c.field, c.value);
    const auto refused = accept_mqtt_websocket(head);
    ASSERT_FALSE(refused) << c.field << " " << c.value;
    EXPECT_EQ(refused.error().status, c.status) << c.field << " " << c.value;
    EXPECT_EQ(refused.error().headers.get("sec-websocket-version"), c.status == 426 ? "13" : "");
  }
  RequestHead post = good();
  post.method = "POST";
  EXPECT_EQ(accept_mqtt_websocket(post).error().status, 405);
}

}  // namespace
}  // namespace fleetward::http
