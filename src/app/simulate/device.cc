#include "app/simulate/device.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <mosquitto.h>

namespace fleetward::app::simulate {
namespace {

constexpr Duration kMiscInterval{1'000};  // libmosquitto's keep-alive work
constexpr size_t kNotKept = SIZE_MAX;
constexpr size_t kBurstMax = 50;  // ordinary messages made up for at once after a pause

Duration attack_interval(Attack attack) {
  switch (attack) {
    case Attack::kAuthFailures:
      return Duration{200};
    case Attack::kMessageFlood:
      return Duration{10};
    case Attack::kLargeMessages:
      return Duration{1'000};
    case Attack::kConnectStorm:
      return Duration{500};
    default:
      return Duration{1'000};
  }
}

std::string with_name(const std::string& pattern, const std::string& name) {
  const size_t at = pattern.find("%s");
  return at == std::string::npos ? pattern : pattern.substr(0, at) + name + pattern.substr(at + 2);
}

std::string error_text(int rc) {
  return rc == MOSQ_ERR_ERRNO ? std::strerror(errno) : mosquitto_strerror(rc);
}

Status check_readable(const std::string& file) {
  std::error_code error;
  if (std::filesystem::is_regular_file(file, error)) return {};
  return fail(ErrorCode::kInvalidArgument, file + ": no such file");
}

}  // namespace

Device::Device(const FleetOptions& options, size_t index, Ledger& ledger)
    : options_(options), ledger_(ledger), credentials_(options.devices[index]), model_(options.seed, index) {
  counters_.thing_name = credentials_.thing_name;
  report_topic_ = "$aws/things/" + credentials_.thing_name + "/defender/metrics/" +
                  (options.format == ReportFormat::kCbor ? "cbor" : "json");
  telemetry_topic_ = with_name(options.telemetry_topic, credentials_.thing_name);
}

Device::~Device() {
  mosquitto_destroy(client_);
}

Status Device::prepare() {
  for (const std::string& file : {options_.ca_file, credentials_.certificate_file, credentials_.key_file}) {
    if (auto ok = check_readable(file); !ok) return ok;
  }
  client_ = mosquitto_new(credentials_.thing_name.c_str(), true, this);
  if (client_ == nullptr)
    return fail(ErrorCode::kInvalidArgument, credentials_.thing_name + ": no valid client id");
  if (const int rc =
          mosquitto_tls_set(client_, options_.ca_file.c_str(), nullptr, credentials_.certificate_file.c_str(),
                            credentials_.key_file.c_str(), nullptr);
      rc != MOSQ_ERR_SUCCESS) {
    return fail(ErrorCode::kInvalidArgument, credentials_.certificate_file + ": " + error_text(rc));
  }
  mosquitto_max_inflight_messages_set(client_, 0);
  mosquitto_connect_callback_set(
      client_, [](mosquitto*, void* self, int reason) { static_cast<Device*>(self)->on_connected(reason); });
  mosquitto_disconnect_callback_set(client_, [](mosquitto*, void* self, int reason) {
    static_cast<Device*>(self)->on_disconnected(reason);
  });
  mosquitto_message_callback_set(client_, [](mosquitto*, void* self, const mosquitto_message* m) {
    static_cast<Device*>(self)->on_message(*m);
  });
  mosquitto_subscribe_callback_set(client_, [](mosquitto*, void* self, int, int, const int*) {
    static_cast<Device*>(self)->on_subscribed();
  });
  mosquitto_publish_callback_set(
      client_, [](mosquitto*, void* self, int) { static_cast<Device*>(self)->on_published(); });
  return {};
}

int Device::socket() const {
  return mosquitto_socket(client_);
}

bool Device::wants_write() const {
  return mosquitto_want_write(client_);
}

void Device::on_readable() {
  check(mosquitto_loop_read(client_, 100));
}

void Device::on_writable() {
  check(mosquitto_loop_write(client_, 100));
}

// libmosquitto has told on_disconnected() already, unless the connection never came about.
void Device::check(int rc) {
  if (rc == MOSQ_ERR_SUCCESS) return;
  if (connecting_) lost(error_text(rc));
  // A failed handshake can leave the socket open: it is of no use any more.
  if (socket() >= 0) mosquitto_disconnect(client_);
}

void Device::connect(Timestamp now) {
  connect_due_ = now + options_.reconnect_delay;
  connecting_ = true;
  leaving_ = false;
  const int rc = mosquitto_connect(client_, options_.host.c_str(), options_.port, options_.keep_alive_s);
  if (rc != MOSQ_ERR_SUCCESS) lost(error_text(rc));
}

void Device::lost(const std::string& why) {
  if (connecting_)
    ++counters_.connect_failures;
  else if (!leaving_)
    ++counters_.disconnects;
  if (!leaving_) counters_.last_error = why;
  connecting_ = false;
  counters_.connected = subscribed_ = false;
  ++ledger_.changes;
}

void Device::on_connected(int reason) {
  if (reason != 0) {
    counters_.last_error = mosquitto_connack_string(reason);
    return;  // the disconnect that follows counts it
  }
  connecting_ = false;
  counters_.connected = true;
  counters_.last_error.clear();
  ++counters_.connects;
  const std::string answers = report_topic_ + "/+";
  mosquitto_subscribe(client_, nullptr, answers.c_str(), 1);
}

void Device::on_disconnected(int reason) {
  lost(counters_.last_error.empty() || !connecting_ ? error_text(reason) : counters_.last_error);
}

void Device::on_subscribed() {
  if (subscribed_) return;
  subscribed_ = true;
  ++ledger_.changes;
}

void Device::on_published() {
  ++counters_.messages_acknowledged;
}

void Device::on_message(const mosquitto_message& message) {
  ++counters_.messages_received;
  const std::string topic = message.topic;
  if (!topic.starts_with(report_topic_ + "/")) return;
  const std::string_view payload(static_cast<const char*>(message.payload),
                                 static_cast<size_t>(message.payloadlen));
  const ReportAnswer answer = decode_answer(payload, options_.format);
  const bool accepted = topic.ends_with("/accepted");
  ++(accepted ? counters_.reports_accepted : counters_.reports_rejected);
  // A rejection need not say which report it means: answers come in the order of the reports.
  auto found = std::find_if(awaited_.begin(), awaited_.end(),
                            [&](const Awaited& a) { return a.report_id == answer.report_id; });
  if (found == awaited_.end() && answer.report_id == 0) found = awaited_.begin();
  if (found == awaited_.end()) return;
  if (found->ledger_index != kNotKept) ledger_.reports[found->ledger_index].accepted = accepted;
  awaited_.erase(found);
}

bool Device::publish(const std::string& topic, const std::string& payload) {
  const int rc = mosquitto_publish(client_, nullptr, topic.c_str(), static_cast<int>(payload.size()),
                                   payload.data(), 1, false);
  if (rc != MOSQ_ERR_SUCCESS) return false;
  ++counters_.messages_sent;
  counters_.payload_bytes_sent += payload.size();
  return true;
}

void Device::send_report(Timestamp now) {
  const Report report = model_.next_report(now, counters_.attack);
  const bool malformed = counters_.attack == Attack::kMalformedReports;
  const std::string payload = malformed ? encode_malformed_report(report, options_.format, options_.metrics)
                                        : encode_report(report, options_.format, options_.metrics);
  if (!publish(report_topic_, payload)) return;
  ++counters_.reports_sent;
  size_t index = kNotKept;
  if (ledger_.reports.size() < options_.sent_reports_max) {
    index = ledger_.reports.size();
    ledger_.reports.push_back({credentials_.thing_name, report.report_id, now, report.signal_dbm,
                               payload.size(), counters_.attack, false});
  }
  awaited_.push_back({report.report_id, index});
}

void Device::send_telemetry(Timestamp now) {
  const Duration interval{std::max<int64_t>(1, static_cast<int64_t>(1000 / options_.messages_per_second))};
  for (size_t i = 0; i < kBurstMax && telemetry_due_ <= now; ++i) {
    publish(telemetry_topic_, model_.next_telemetry(now, Attack::kNone));
    telemetry_due_ = telemetry_due_ + interval;
  }
  telemetry_due_ = std::max(telemetry_due_, now);
}

void Device::misbehave(Timestamp now) {
  const Duration interval = attack_interval(counters_.attack);
  switch (counters_.attack) {
    case Attack::kAuthFailures:
      // A refused subscription, unlike a refused publish, leaves the connection open.
      mosquitto_subscribe(client_, nullptr, "forbidden/secrets", 1);
      break;
    case Attack::kMessageFlood:
    case Attack::kLargeMessages:
      for (size_t i = 0; i < kBurstMax && attack_due_ <= now; ++i) {
        publish(telemetry_topic_, model_.next_telemetry(now, counters_.attack));
        attack_due_ = attack_due_ + interval;
      }
      return;
    case Attack::kConnectStorm:
      // What was sent is settled first, or libmosquitto would send it again on the next connection.
      if (!settled()) {
        attack_due_ = now + Duration{20};
        return;
      }
      [[fallthrough]];
    case Attack::kSilence:
      disconnect();
      connect_due_ = now + (counters_.attack == Attack::kConnectStorm ? interval : Duration{0});
      break;
    default:
      break;
  }
  attack_due_ = now + interval;
}

void Device::tick(Timestamp now) {
  if (report_due_.ms == 0) {  // the first time: spread over one interval
    report_due_ = now + Duration{static_cast<int64_t>(model_.phase() *
                                                      static_cast<double>(options_.report_interval.count()))};
    telemetry_due_ = now;
  }
  if (misc_due_ <= now) {
    misc_due_ = now + kMiscInterval;
    if (socket() >= 0) check(mosquitto_loop_misc(client_));
  }
  if (quiet_) return;
  if (socket() < 0 && !connecting_ && connect_due_ <= now && counters_.attack != Attack::kSilence)
    connect(now);
  if (!subscribed_) return;
  if (report_due_ <= now) {
    send_report(now);
    report_due_ = std::max(report_due_ + options_.report_interval, now);
  }
  if (options_.messages_per_second > 0 && telemetry_due_ <= now) send_telemetry(now);
  if (counters_.attack != Attack::kNone && attack_due_ <= now) misbehave(now);
}

Timestamp Device::next_due() const {
  Timestamp due = misc_due_;
  if (quiet_ || counters_.attack == Attack::kSilence) return due;
  if (!subscribed_) return socket() < 0 ? std::min(due, connect_due_) : due;
  due = std::min(due, report_due_);
  if (options_.messages_per_second > 0) due = std::min(due, telemetry_due_);
  if (counters_.attack != Attack::kNone) due = std::min(due, attack_due_);
  return due;
}

void Device::set_attack(Attack attack, Timestamp now) {
  counters_.attack = attack;
  attack_due_ = now;
}

bool Device::settled() const {
  if (!counters_.connected) return true;
  return awaited_.empty() && counters_.messages_acknowledged >= counters_.messages_sent;
}

void Device::disconnect() {
  leaving_ = true;
  if (socket() >= 0) mosquitto_disconnect(client_);
}

}  // namespace fleetward::app::simulate
