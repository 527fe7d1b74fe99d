#include "app/simulate/device_model.h"

#include <algorithm>
#include <cmath>

namespace fleetward::app::simulate {
namespace {

constexpr size_t kConnectionsListed = 50;  // an agent samples a longer list

// splitmix64: spreads (seed, index) over all bits.
uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace

DeviceModel::DeviceModel(uint64_t seed, uint64_t index)
    : random_(mix(seed) ^ mix(index + 1)), signal_dbm_(0) {
  signal_dbm_ = uniform(-92, -70);
  phase_ = uniform(0, 1);
}

// Not std::uniform_real_distribution: its values differ between standard libraries.
double DeviceModel::uniform(double low, double high) {
  return low + (high - low) * static_cast<double>(random_() >> 11) * 0x1.0p-53;
}

Report DeviceModel::next_report(Timestamp now, Attack attack) {
  Report r;
  r.report_id = last_report_id_ = std::max(last_report_id_ + 1, now.ms / 1000);
  r.listening_tcp_ports = {22};
  r.listening_udp_ports = {68};
  r.connections = {{"198.51.100.10:8883", static_cast<uint16_t>(uniform(32'768, 60'999))}};
  r.bytes_in = static_cast<uint64_t>(uniform(4'000, 12'000));
  r.bytes_out = static_cast<uint64_t>(uniform(2'000, 8'000));
  r.signal_dbm = std::round(std::clamp(signal_dbm_ + uniform(-3, 3), -97.0, -60.0));
  r.core_loads = {std::round(uniform(1, 40)), std::round(uniform(1, 40))};
  r.units = {"agent", "sshd"};
  r.dns_servers = {"192.0.2.53"};

  if (attack == Attack::kPortScan) {
    const auto hosts = static_cast<size_t>(uniform(200, 400));
    for (size_t i = 0; i < kConnectionsListed; ++i) {
      r.connections.push_back(
          {"203.0.113." + std::to_string(1 + random_() % 254) + ":" + std::to_string(1 + random_() % 1024),
           static_cast<uint16_t>(uniform(32'768, 60'999))});
    }
    r.connections_total = hosts;
  } else if (attack == Attack::kOpenPorts) {
    r.listening_tcp_ports.insert(r.listening_tcp_ports.end(), {23, 2323, 4444, 31'337});
    r.listening_udp_ports.push_back(1900);
  } else if (attack == Attack::kExfiltration) {
    r.bytes_out = static_cast<uint64_t>(uniform(30e6, 80e6));
  } else if (attack == Attack::kWeakSignal) {
    r.signal_dbm = std::round(uniform(-119, -105));
  }
  r.connections_total = std::max(r.connections_total, r.connections.size());
  r.packets_in = 1 + r.bytes_in / 600;
  r.packets_out = 1 + r.bytes_out / 600;
  return r;
}

std::string DeviceModel::next_telemetry(Timestamp now, Attack attack) {
  std::string text = "{\"time\":" + std::to_string(now.ms / 1000) +
                     ",\"temperature\":" + std::to_string(static_cast<int>(uniform(180, 260))) + "}";
  if (attack == Attack::kLargeMessages) {
    text.pop_back();
    text += ",\"padding\":\"" + std::string(100'000, 'x') + "\"}";
  }
  return text;
}

}  // namespace fleetward::app::simulate
