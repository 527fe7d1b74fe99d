#include "bench/load/report.h"

#include <cinttypes>
#include <cstdio>

namespace fleetward::load {
namespace {

// 1234567 -> "1,234,567"
std::string grouped(double value) {
  const std::string digits = std::to_string(static_cast<uint64_t>(value + 0.5));
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out.push_back(',');
    out.push_back(digits[i]);
  }
  return out;
}

std::string latency(uint64_t ns) {
  char text[32];
  if (ns < 1'000'000)
    std::snprintf(text, sizeof(text), "%.1f us", static_cast<double>(ns) / 1e3);
  else if (ns < 1'000'000'000)
    std::snprintf(text, sizeof(text), "%.2f ms", static_cast<double>(ns) / 1e6);
  else
    std::snprintf(text, sizeof(text), "%.2f s", static_cast<double>(ns) / 1e9);
  return text;
}

void print_row(const char* name, uint64_t messages, const Histogram& h, const Outcome& o) {
  const std::string rate = grouped(static_cast<double>(messages) / o.seconds);
  const std::string per_cpu =
      o.server_cpu_s > 0 ? grouped(static_cast<double>(messages) / o.server_cpu_s) : "-";
  if (h.count() == 0) {
    std::printf("%-20s %14s %16s %11s %11s %11s %11s\n", name, rate.c_str(), per_cpu.c_str(), "-", "-", "-",
                "-");
    return;
  }
  std::printf("%-20s %14s %16s %11s %11s %11s %11s\n", name, rate.c_str(), per_cpu.c_str(),
              latency(h.quantile(0.5)).c_str(), latency(h.quantile(0.99)).c_str(),
              latency(h.quantile(0.999)).c_str(), latency(h.max()).c_str());
}

void print_latency_json(const char* name, const Histogram& h) {
  std::printf(", \"%s_us\": {\"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}", name,
              static_cast<double>(h.quantile(0.5)) / 1e3, static_cast<double>(h.quantile(0.99)) / 1e3,
              static_cast<double>(h.quantile(0.999)) / 1e3, static_cast<double>(h.max()) / 1e3);
}

}  // namespace

void print_table(const Options& options, const Outcome& o) {
  std::printf("%zu connections, %zu subscribers, MQTT %s, QoS %d, %zu B, window %zu, %s, %.1f s measured\n",
              options.connections, options.subscribers, options.version == mqtt::Version::k5 ? "5" : "3.1.1",
              options.qos, options.payload_bytes, options.window, options.tls ? "TLS" : "plain", o.seconds);
  std::printf(
      "connected in %.2f s (%s/s); generator used %.2f CPU-seconds", o.connect_seconds,
      grouped(static_cast<double>(options.connections + options.subscribers) / o.connect_seconds).c_str(),
      o.own_cpu_s);
  if (o.server_cpu_s > 0) std::printf(", server %.2f", o.server_cpu_s);
  if (options.server_pid != 0)
    std::printf(", which grew by %s B a connection", grouped(o.server_connection_bytes).c_str());
  std::printf("\n%-20s %14s %16s %11s %11s %11s %11s\n", "", "messages/s", "per server CPU-s", "p50", "p99",
              "p99.9", "max");
  print_row(options.qos == 1 ? "publish -> PUBACK" : "publish (written)", o.counts.published,
            o.counts.publish_latency, o);
  if (options.subscribers > 0) print_row("delivered", o.counts.received, o.counts.delivery_latency, o);
  if (o.counts.errors > 0)
    std::printf("%" PRIu64 " errors, the first: %s\n", o.counts.errors, o.counts.first_error.c_str());
}

void print_json(const Options& options, const Outcome& o) {
  std::printf(
      "{\"connections\": %zu, \"subscribers\": %zu, \"mqtt\": %d, \"qos\": %d, \"payload\": %zu, \"window\": "
      "%zu, "
      "\"tls\": %s, \"seconds\": %.3f, \"connect_seconds\": %.3f, \"published\": %" PRIu64
      ", \"published_per_s\": %.0f, \"received\": %" PRIu64 ", \"received_per_s\": %.0f, \"errors\": %" PRIu64
      ", \"generator_cpu_s\": %.3f",
      options.connections, options.subscribers, static_cast<int>(options.version), options.qos,
      options.payload_bytes, options.window, options.tls ? "true" : "false", o.seconds, o.connect_seconds,
      o.counts.published, static_cast<double>(o.counts.published) / o.seconds, o.counts.received,
      static_cast<double>(o.counts.received) / o.seconds, o.counts.errors, o.own_cpu_s);
  if (o.server_cpu_s > 0) {
    std::printf(
        ", \"server_cpu_s\": %.3f, \"published_per_server_cpu_s\": %.0f, \"received_per_server_cpu_s\": %.0f",
        o.server_cpu_s, static_cast<double>(o.counts.published) / o.server_cpu_s,
        static_cast<double>(o.counts.received) / o.server_cpu_s);
  }
  if (options.server_pid != 0) std::printf(", \"server_connection_bytes\": %.0f", o.server_connection_bytes);
  print_latency_json("publish", o.counts.publish_latency);
  if (options.subscribers > 0) print_latency_json("delivery", o.counts.delivery_latency);
  std::printf("}\n");
}

}  // namespace fleetward::load
