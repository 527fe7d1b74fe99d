/* Paho C against a broker: what a device of a product does. Prints "ok" or says what went wrong.
 *   paho_c <uri> <4|5> <qos> <client id> <topic> <CA> <certificate> <key>
 * Round trip of 20 messages over mutual TLS, a retained message, and a session that is resumed with what it missed. */
#include <MQTTClient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *uri, *id, *topic, *ca, *certificate, *key;
static int version, qos;

static void expect(int true_, const char* what, int code) {
  if (true_) return;
  printf("%s: %d\n", what, code);
  exit(1);
}

static MQTTClient dial(const char* client_id, int clean, int* session_present) {
  MQTTClient_createOptions create = MQTTClient_createOptions_initializer;
  create.MQTTVersion = version == 5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
  MQTTClient client;
  int code = MQTTClient_createWithOptions(&client, uri, client_id, MQTTCLIENT_PERSISTENCE_NONE, NULL, &create);
  expect(code == MQTTCLIENT_SUCCESS, "create", code);

  MQTTClient_connectOptions options3 = MQTTClient_connectOptions_initializer;
  MQTTClient_connectOptions options5 = MQTTClient_connectOptions_initializer5;
  MQTTClient_connectOptions* options = version == 5 ? &options5 : &options3;
  MQTTClient_SSLOptions tls = MQTTClient_SSLOptions_initializer;
  tls.trustStore = ca;
  tls.keyStore = certificate;
  tls.privateKey = key;
  tls.verify = 1;
  options->ssl = &tls;
  options->keepAliveInterval = 30;
  options->connectTimeout = 10;
  if (version == 5) {
    MQTTProperties properties = MQTTProperties_initializer;
    MQTTProperty expiry = {.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, .value.integer4 = 600};
    options->cleanstart = clean;
    MQTTProperties_add(&properties, &expiry);
    MQTTResponse answer = MQTTClient_connect5(client, options, &properties, NULL);
    expect(answer.reasonCode == MQTTREASONCODE_SUCCESS, "connect", answer.reasonCode);
    MQTTResponse_free(answer);
    MQTTProperties_free(&properties);
  } else {
    options->cleansession = clean;
    code = MQTTClient_connect(client, options);
    expect(code == MQTTCLIENT_SUCCESS, "connect", code);
  }
  if (session_present) *session_present = options->returned.sessionPresent;
  return client;
}

static void subscribe(MQTTClient client) {
  if (version == 5) {
    MQTTResponse answer = MQTTClient_subscribe5(client, topic, qos, NULL, NULL);
    expect((int)answer.reasonCode == qos, "granted", answer.reasonCode);
    MQTTResponse_free(answer);
  } else {
    const int code = MQTTClient_subscribe(client, topic, qos);
    expect(code == MQTTCLIENT_SUCCESS, "subscribe", code);
  }
}

static void publish(MQTTClient client, int number, int retained) {
  char text[16];
  const int length = snprintf(text, sizeof text, "%d", number);
  MQTTClient_deliveryToken token;
  int code;
  if (version == 5) {
    MQTTResponse answer = MQTTClient_publish5(client, topic, length, text, qos, retained, NULL, &token);
    code = answer.reasonCode;
    MQTTResponse_free(answer);
  } else {
    code = MQTTClient_publish(client, topic, length, text, qos, retained, &token);
  }
  expect(code == MQTTCLIENT_SUCCESS, "publish", code);
  if (qos > 0) {
    code = MQTTClient_waitForCompletion(client, token, 10000);
    expect(code == MQTTCLIENT_SUCCESS, "acknowledgement", code);
  }
}

static void receive(MQTTClient client, int number, int retained) {
  char* name = NULL;
  int length = 0;
  MQTTClient_message* message = NULL;
  const int code = MQTTClient_receive(client, &name, &length, &message, 10000);
  expect(code == MQTTCLIENT_SUCCESS && message != NULL, "receive", code);
  char text[16] = {0};
  memcpy(text, message->payload, message->payloadlen < 15 ? message->payloadlen : 15);
  expect(atoi(text) == number, "number", atoi(text));
  expect(message->qos == qos, "qos", message->qos);
  expect(message->retained == retained, "retained", message->retained);
  MQTTClient_freeMessage(&message);
  MQTTClient_free(name);
}

static void leave(MQTTClient client) {
  const int code = version == 5 ? MQTTClient_disconnect5(client, 1000, MQTTREASONCODE_SUCCESS, NULL)
                                : MQTTClient_disconnect(client, 1000);
  expect(code == MQTTCLIENT_SUCCESS, "disconnect", code);
  MQTTClient_destroy(&client);
}

int main(int count, char** words) {
  expect(count == 9, "arguments", count);
  uri = words[1], version = atoi(words[2]), qos = atoi(words[3]), id = words[4], topic = words[5];
  ca = words[6], certificate = words[7], key = words[8];
  MQTTClient_init_options init = MQTTClient_init_options_initializer;
  init.do_openssl_init = 1;
  MQTTClient_global_init(&init);

  MQTTClient client = dial(id, 1, NULL);
  subscribe(client);
  for (int i = 0; i < 20; ++i) publish(client, i, 0);
  for (int i = 0; i < 20; ++i) receive(client, i, 0);
  publish(client, 100, 1);
  receive(client, 100, 0);
  subscribe(client);
  receive(client, 100, 1);
  leave(client);

  if (qos > 0) {
    char sleeper[128];
    snprintf(sleeper, sizeof sleeper, "%s-2", id);
    int present = 1;
    MQTTClient other = dial(sleeper, 0, &present);
    expect(!present, "a session before there was one", present);
    subscribe(other);
    receive(other, 100, 1);
    leave(other);
    client = dial(id, 1, NULL);
    for (int i = 0; i < 5; ++i) publish(client, i, 0);
    leave(client);
    other = dial(sleeper, 0, &present);
    expect(present || version == 5, "session present", present);  /* the library fills it for 3.1.1 only */
    for (int i = 0; i < 5; ++i) receive(other, i, 0);
    leave(other);
  }
  puts("ok");
  return 0;
}
