#include "alerts/delivery_metrics.h"

namespace fleetward::alerts {
namespace {

MetricLabels labels_of(const std::string& target) {
  return target.empty() ? MetricLabels{} : MetricLabels{{"target", target}};
}

}  // namespace

DeliveryMetrics::DeliveryMetrics(const std::vector<Target>& targets, Logger& logger, Metrics& metrics)
    : logger_(logger),
      metrics_(metrics),
      notifications_(
          metrics.counter("fleetward_alerts_notifications_total", "Notifications read from the log.")) {
  counters_.emplace("", add(""));
  for (const Target& target : targets) counters_.emplace(target.name, add(target.name));
}

DeliveryMetrics::Counters DeliveryMetrics::add(const std::string& target) {
  const MetricLabels labels = labels_of(target);
  return {metrics_.counter("fleetward_alerts_delivered_total",
                           "Notifications that a subscriber, or the target named, has taken.", labels),
          metrics_.counter("fleetward_alerts_retried_total", "Attempts that failed and will be made again.",
                           labels),
          metrics_.gauge("fleetward_alerts_pending", "Deliveries not yet done.", labels)};
}

DeliveryMetrics::Counters& DeliveryMetrics::of(const Delivery& delivery) {
  return counters_.at(delivery.target);
}

void DeliveryMetrics::delivered(const Delivery& delivery) {
  of(delivery).pending.Decrement();
  of(delivery).delivered.Increment();
}

void DeliveryMetrics::retried(const Delivery& delivery, const std::string& detail) {
  of(delivery).retried.Increment();
  logger_.info("alert_attempt_failed", {{"topic", delivery.topic},
                                        {"subscription", delivery.subscription},
                                        {"target", delivery.target},
                                        {"message", delivery.message_id},
                                        {"reason", detail}});
}

void DeliveryMetrics::dropped(const Delivery& delivery, std::string_view reason, const std::string& detail) {
  of(delivery).pending.Decrement();
  dropped({delivery.topic, delivery.subscription, delivery.target, reason, detail});
}

void DeliveryMetrics::dropped(const Dropped& what, size_t count) {
  MetricLabels labels = labels_of(what.target);
  labels["reason"] = std::string(what.reason);
  metrics_.counter("fleetward_alerts_dropped_total", "Notifications given up, by reason.", labels)
      .Increment(static_cast<double>(count));
  logger_.warn("alert_dropped", {{"topic", what.topic},
                                 {"subscription", what.subscription},
                                 {"target", what.target},
                                 {"count", std::to_string(count)},
                                 {"reason", what.reason},
                                 {"detail", what.detail}});
}

}  // namespace fleetward::alerts
