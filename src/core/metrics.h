#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

namespace prometheus {
class Registry;
}

namespace fleetward {

using MetricLabels = std::map<std::string, std::string>;

// The process's metrics, exposed at /metrics in the Prometheus text format. A thin wrapper of prometheus-cpp,
// whose heavy headers stay out of the rooms. Names start with "fleetward_", end with the unit ("_bytes",
// "_total", "_seconds"). Labels have bounded values only: never a client id, a topic or a thing name.
// Registration takes a lock: do it once and keep the reference, which lives as long as Metrics. Counters are
// atomic; a hot path that cannot afford an atomic keeps plain integers and reports them through on_scrape().
// Thread safe.
class Metrics {
 public:
  Metrics();
  ~Metrics();

  prometheus::Counter& counter(const std::string& name, const std::string& help,
                               const MetricLabels& labels = {});
  prometheus::Gauge& gauge(const std::string& name, const std::string& help, const MetricLabels& labels = {});
  // Buckets are upper bounds, ascending.
  prometheus::Histogram& histogram(const std::string& name, const std::string& help,
                                   const std::vector<double>& buckets, const MetricLabels& labels = {});

  // Called before each scrape, on the scraping thread, to refresh gauges or add to counters. It must not
  // outlive what it captures: owners that die before Metrics must not register.
  void on_scrape(std::function<void()> refresh);

  std::string scrape();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fleetward
