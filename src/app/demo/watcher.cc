#include "app/demo/watcher.h"

#include <chrono>
#include <condition_variable>
#include <mutex>

#include <mosquitto.h>

namespace fleetward::app::demo {
namespace {

constexpr auto kConnectWaitMax = std::chrono::seconds(15);

}  // namespace

class Watcher::Impl {
 public:
  Impl(const std::vector<std::string>& topics, OnMessage on_message)
      : topics_(topics), on_message_(std::move(on_message)) {}
  ~Impl() {
    if (client_ == nullptr) return;
    mosquitto_disconnect(client_);
    mosquitto_loop_stop(client_, false);
    mosquitto_destroy(client_);
  }

  Status connect(const std::string& host, int port, const std::string& ca_file,
                 const simulate::DeviceCredentials& device) {
    client_ = mosquitto_new(device.thing_name.c_str(), true, this);
    if (client_ == nullptr) return fail(ErrorCode::kUnavailable, "no memory for an MQTT client");
    mosquitto_connect_callback_set(client_, [](mosquitto* client, void* self, int code) {
      static_cast<Impl*>(self)->connected(client, code);
    });
    mosquitto_subscribe_callback_set(client_, [](mosquitto*, void* self, int, int, const int*) {
      static_cast<Impl*>(self)->subscribed();
    });
    mosquitto_message_callback_set(client_, [](mosquitto*, void* self, const mosquitto_message* message) {
      static_cast<Impl*>(self)->on_message_(
          message->topic,
          std::string(static_cast<const char*>(message->payload), static_cast<size_t>(message->payloadlen)));
    });
    int code = mosquitto_tls_set(client_, ca_file.c_str(), nullptr, device.certificate_file.c_str(),
                                 device.key_file.c_str(), nullptr);
    if (code == MOSQ_ERR_SUCCESS) code = mosquitto_connect(client_, host.c_str(), port, 60);
    if (code == MOSQ_ERR_SUCCESS) code = mosquitto_loop_start(client_);
    if (code != MOSQ_ERR_SUCCESS) return fail(ErrorCode::kUnavailable, mosquitto_strerror(code));
    std::unique_lock lock(mutex_);
    const bool ready = changed_.wait_for(lock, kConnectWaitMax, [&] { return subscribed_ || refused_ != 0; });
    if (!ready) return fail(ErrorCode::kUnavailable, "no answer to the subscription");
    if (refused_ != 0) return fail(ErrorCode::kPermissionDenied, mosquitto_connack_string(refused_));
    return {};
  }

 private:
  void connected(mosquitto* client, int code) {
    if (code != 0) {
      const std::lock_guard lock(mutex_);
      refused_ = code;
      changed_.notify_all();
      return;
    }
    std::vector<char*> filters;
    for (std::string& topic : topics_) filters.push_back(topic.data());
    mosquitto_subscribe_multiple(client, nullptr, static_cast<int>(filters.size()), filters.data(), 1, 0,
                                 nullptr);
  }
  void subscribed() {
    const std::lock_guard lock(mutex_);
    subscribed_ = true;
    changed_.notify_all();
  }

  std::vector<std::string> topics_;
  OnMessage on_message_;
  mosquitto* client_ = nullptr;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool subscribed_ = false;
  int refused_ = 0;
};

Watcher::Watcher(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Watcher::~Watcher() = default;

Result<std::unique_ptr<Watcher>> Watcher::start(const std::string& host, int port, const std::string& ca_file,
                                                const simulate::DeviceCredentials& device,
                                                const std::vector<std::string>& topics,
                                                OnMessage on_message) {
  auto impl = std::make_unique<Impl>(topics, std::move(on_message));
  if (auto ok = impl->connect(host, port, ca_file, device); !ok) return fail(ok.error());
  return std::unique_ptr<Watcher>(new Watcher(std::move(impl)));
}

}  // namespace fleetward::app::demo
