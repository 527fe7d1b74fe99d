#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/simulate/fleet.h"

struct mosquitto;
struct mosquitto_message;

namespace fleetward::app::simulate {

// One simulated device: its model, its libmosquitto client, its counters. Used by the fleet's thread only,
// under the fleet's lock.
class Device {
 public:
  // What the fleet keeps for all devices.
  struct Ledger {
    std::vector<SentReport> reports;
    uint64_t changes = 0;  // of connection states, for who waits
  };

  Device(const FleetOptions& options, size_t index, Ledger& ledger);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // Sets up TLS; kInvalidArgument names the file that cannot be used.
  Status prepare();

  // Does what is due: connects, reports, publishes, misbehaves.
  void tick(Timestamp now);
  // When tick() has something to do next.
  Timestamp next_due() const;
  int socket() const;  // -1 if none
  bool wants_write() const;
  void on_readable();
  void on_writable();

  void set_attack(Attack attack, Timestamp now);
  void report_now(Timestamp now) { report_due_ = now; }
  // From now on nothing new is sent and no connection is opened.
  void quiesce() { quiet_ = true; }
  // Nothing sent is without its acknowledgement or answer (or nothing can come any more).
  bool settled() const;
  void disconnect();

  bool subscribed() const { return subscribed_; }
  const DeviceCounters& counters() const { return counters_; }

 private:
  void connect(Timestamp now);
  void lost(const std::string& why);
  void send_report(Timestamp now);
  void send_telemetry(Timestamp now);
  void misbehave(Timestamp now);
  bool publish(const std::string& topic, const std::string& payload);
  void check(int rc);

  void on_connected(int reason);
  void on_disconnected(int reason);
  void on_message(const mosquitto_message& message);
  void on_subscribed();
  void on_published();

  const FleetOptions& options_;
  Ledger& ledger_;
  DeviceCredentials credentials_;
  DeviceModel model_;
  mosquitto* client_ = nullptr;
  DeviceCounters counters_;
  std::string report_topic_, telemetry_topic_;
  bool connecting_ = false, subscribed_ = false, quiet_ = false, leaving_ = false;
  Timestamp connect_due_, report_due_, telemetry_due_, attack_due_, misc_due_;
  struct Awaited {
    int64_t report_id;
    size_t ledger_index;
  };
  std::vector<Awaited> awaited_;
};

}  // namespace fleetward::app::simulate
