#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/simulate/device_model.h"
#include "core/result.h"
#include "core/time.h"

namespace fleetward::app::simulate {

// A device's name (its thing name and client id) and its PEM files.
struct DeviceCredentials {
  std::string thing_name;
  std::string certificate_file;
  std::string key_file;
};

struct FleetOptions {
  std::string host = "localhost";
  uint16_t port = 8883;
  std::string ca_file;
  std::vector<DeviceCredentials> devices;
  uint64_t seed = 1;
  ReportFormat format = ReportFormat::kJson;
  CustomMetricNames metrics;
  Duration report_interval{300'000};  // each device's first report is spread over one interval
  double messages_per_second = 0;     // ordinary messages of each device, beside its reports
  std::string telemetry_topic = "fleet/%s/telemetry";  // %s: the thing name
  uint16_t keep_alive_s = 60;
  Duration reconnect_delay{1'000};
  size_t sent_reports_max = 1'000'000;  // kept for sent(); later ones are only counted
};

// What one device did and saw. A publish counts when it is handed to the client library, so that after
// stop() these explain the cloud-side metrics exactly: messages_sent are all its PUBLISH packets (reports
// included), messages_received all that it was sent (the answers to its reports).
struct DeviceCounters {
  std::string thing_name;
  bool connected = false;
  Attack attack = Attack::kNone;
  uint64_t connects = 0;          // CONNACKs that accepted
  uint64_t connect_failures = 0;  // refused, or broken off before
  uint64_t disconnects = 0;       // connections that ended without being asked to
  uint64_t reports_sent = 0;
  uint64_t reports_accepted = 0;
  uint64_t reports_rejected = 0;
  uint64_t messages_sent = 0;
  uint64_t messages_acknowledged = 0;
  uint64_t messages_received = 0;
  uint64_t payload_bytes_sent = 0;
  std::string last_error;  // of the connection; empty if all is well
};

// One report as it was sent: what must be found again at the other end.
struct SentReport {
  std::string thing_name;
  int64_t report_id = 0;
  Timestamp sent;
  double signal_dbm = 0;
  size_t payload_bytes = 0;
  Attack attack = Attack::kNone;
  bool accepted = false;  // its answer arrived
};

// Simulated devices on their own thread: each a connection over mutual TLS by libmosquitto, a foreign client
// to this program. Thread safe; callers' threads never touch the network.
class Fleet {
 public:
  // Starts connecting at once. kInvalidArgument if a file cannot be read or there is no device.
  static Result<std::unique_ptr<Fleet>> start(FleetOptions options);
  // Stops if stop() was not called.
  ~Fleet();

  // One device misbehaves from now on; kNone ends it. kNotFound if there is no such device.
  Status misbehave(const std::string& thing_name, Attack attack);
  // Devices that wait for their next report send it now.
  void report_now();

  size_t connected() const;
  // True when `count` devices are connected and subscribed to their answers; false after `timeout`.
  bool wait_connected(size_t count, Duration timeout) const;
  std::vector<DeviceCounters> counters() const;
  DeviceCounters totals() const;  // sums; thing_name is empty
  // In the order of sending.
  std::vector<SentReport> sent() const;

  // Sends nothing new, waits until everything sent is acknowledged and every report is answered (at most
  // `patience`), then disconnects in order. Idempotent.
  void stop(Duration patience = Duration{5'000});

 private:
  class Impl;
  explicit Fleet(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fleetward::app::simulate
