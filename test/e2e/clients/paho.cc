// Paho C++ against a broker: what a device of a product does. Prints "ok" or says what went wrong.
//   paho_cc <uri> <4|5> <qos> <client id> <topic> <CA> <certificate> <key>
// Round trip of 20 messages over mutual TLS with user properties, a request and its response, and a will.
#include <chrono>
#include <iostream>
#include <stdexcept>
#include <string>

#include <mqtt/async_client.h>

namespace {

int version, qos;
std::string uri, ca, certificate, key;
constexpr std::chrono::seconds kPatience{10};

void expect(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

class Client {
 public:
  explicit Client(const std::string& id, const mqtt::will_options* will = nullptr)
      : client_(uri, id, mqtt::create_options(version == 5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1)) {
    client_.start_consuming();
    mqtt::ssl_options tls;
    tls.set_trust_store(ca);
    tls.set_key_store(certificate);
    tls.set_private_key(key);
    mqtt::connect_options options;
    options.set_mqtt_version(version == 5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1);
    options.set_ssl(tls);
    options.set_keep_alive_interval(30);
    if (will != nullptr) options.set_will(*will);
    if (version == 5) {
      options.set_clean_start(true);
    } else {
      options.set_clean_session(true);
    }
    expect(client_.connect(options)->wait_for(kPatience), "connect");
  }
  void subscribe(const std::string& filter) {
    const auto token = client_.subscribe(filter, qos);
    expect(token->wait_for(kPatience), "subscribe");
    if (version == 5) expect(token->get_subscribe_response().get_reason_codes().at(0) == qos, "granted QoS");
  }
  void publish(const std::string& topic, const std::string& payload,
               const mqtt::properties& properties = {}) {
    auto message = mqtt::make_message(topic, payload, qos, false);
    if (version == 5) message->set_properties(properties);
    expect(client_.publish(message)->wait_for(kPatience), "publish");
  }
  mqtt::const_message_ptr receive() {
    mqtt::const_message_ptr message;
    expect(client_.try_consume_message_for(&message, kPatience) && message, "nothing arrived");
    return message;
  }
  void leave() { expect(client_.disconnect()->wait_for(kPatience), "disconnect"); }

 private:
  mqtt::async_client client_;
};

void round_trip(const std::string& id, const std::string& topic) {
  Client client(id);
  client.subscribe(topic + "/+");
  const mqtt::properties sent{{mqtt::property::USER_PROPERTY, "k", "1"},
                              {mqtt::property::CONTENT_TYPE, "text/plain"}};
  for (int i = 0; i < 20; ++i) client.publish(topic + "/x", std::to_string(i), sent);
  for (int i = 0; i < 20; ++i) {
    const auto message = client.receive();
    expect(message->to_string() == std::to_string(i), "order: " + message->to_string());
    expect(message->get_qos() == qos && message->get_topic() == topic + "/x", "message");
    if (version == 5) {
      const auto& properties = message->get_properties();
      expect(mqtt::get<std::string>(properties, mqtt::property::CONTENT_TYPE) == "text/plain",
             "content type");
      expect(std::get<1>(mqtt::get<mqtt::string_pair>(properties, mqtt::property::USER_PROPERTY)) == "1",
             "user property");
    }
  }
  client.leave();
}

void request_and_response(const std::string& id, const std::string& topic) {
  Client server(id + "-server"), client(id);
  server.subscribe(topic + "/request");
  client.subscribe(topic + "/response");
  client.publish(
      topic + "/request", "6*7",
      {{mqtt::property::RESPONSE_TOPIC, topic + "/response"}, {mqtt::property::CORRELATION_DATA, "c1"}});
  const auto request = server.receive();
  const auto to = mqtt::get<std::string>(request->get_properties(), mqtt::property::RESPONSE_TOPIC);
  const auto correlation =
      mqtt::get<std::string>(request->get_properties(), mqtt::property::CORRELATION_DATA);
  server.publish(to, "42", {{mqtt::property::CORRELATION_DATA, correlation}});
  const auto response = client.receive();
  expect(response->to_string() == "42", "response");
  expect(mqtt::get<std::string>(response->get_properties(), mqtt::property::CORRELATION_DATA) == "c1",
         "correlation");
  server.leave();
  client.leave();
}

void will(const std::string& id, const std::string& topic) {
  Client watcher(id + "-watcher");
  watcher.subscribe(topic + "/will");
  const mqtt::will_options last(topic + "/will", std::string("gone"), qos, false);
  Client doomed(id, &last);
  Client successor(id);  // whose connection ends the other one
  expect(watcher.receive()->to_string() == "gone", "will");
  successor.leave();
  watcher.leave();
}

}  // namespace

int main(int count, char** words) {
  try {
    expect(count == 9, "arguments");
    uri = words[1], version = std::stoi(words[2]), qos = std::stoi(words[3]);
    ca = words[6], certificate = words[7], key = words[8];
    const std::string id = words[4], topic = words[5];
    round_trip(id, topic);
    will(id, topic);
    if (version == 5) request_and_response(id, topic);
    std::cout << "ok\n";
    return 0;
  } catch (const std::exception& e) {
    std::cout << e.what() << "\n";
    return 1;
  }
}
