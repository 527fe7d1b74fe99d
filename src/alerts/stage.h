#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "alerts/alert_record.h"
#include "alerts/attempt.h"
#include "alerts/http_sender.h"
#include "alerts/retry.h"
#include "alerts/signer.h"
#include "alerts/syslog_sender.h"
#include "alerts/target_deliveries.h"
#include "alerts/topics.h"
#include "core/logger.h"
#include "core/metrics.h"
#include "core/random.h"
#include "identity/authorizer.h"
#include "log/log.h"
#include "state/store.h"

namespace fleetward::alerts {

inline constexpr const char* kStream = "alerts";  // of the log; one partition

struct StageOptions {
  AccountScope account;
  // "https://localhost:8443": where subscribers find our API (links and the certificate). Asked at each use.
  std::function<std::string()> public_url;
  RetryPolicy retry;               // of SNS
  std::vector<Target> targets;     // of the server's configuration; passed prepare()
  std::string hostname;            // of this machine, for syslog
  size_t backlog_max = 100'000;    // notifications not yet expanded: publishers are throttled
  size_t deliveries_max = 20'000;  // pending ones of SNS; beyond, the stage stops reading the stream
  // Beyond, that subscription's newest are dropped and counted; a target's bound is its own queue_max.
  size_t deliveries_per_subscription_max = 1000;
  size_t attempts_max = 64;                  // of SNS, at once
  size_t attempts_per_subscription_max = 2;  // at once; of a webhook or MQTT target too
  size_t syslog_batch_max = 100;             // messages of one syslog target that are sent together
};

// Publishes on an MQTT topic of the broker; `done` may be called from any thread, once. kUnavailable is tried
// again, any other error is final.
using MqttPublish = std::function<void(MqttMessage message, std::function<void(Status)> done)>;

// Carries notifications from the log's stream `alerts` to the subscribers of their topics and, if they tell
// of violations, to the server's own targets. A step turns a notification into one pending delivery for each
// destination, atomically with the consumer's offset; a pending delivery ("alerts/delivery/..." in the log's
// store) is erased when the destination has it or it was given up. So nothing acknowledged is lost, and a
// crash repeats at most attempts whose answer was not noted. One thread of its own; publish() and confirm()
// are called by API workers.
class Stage {
 public:
  // Pauses are of `steady`, what is stored and told of `clock`.
  Stage(StageOptions options, log::Log& log, const state::Store& store, const Tables& tables,
        const identity::Authorizer& authorizer, const Signer& signer, std::unique_ptr<HttpSender> http,
        const MakeSyslogSender& syslog, MqttPublish mqtt, const Clock& clock, const Clock& steady,
        Random& random, Logger& logger, Metrics& metrics);
  ~Stage();

  // Loads what is pending, drops what was for a target that is no longer configured, and starts the thread.
  // stop() waits for the current step; attempts in flight are made again at the next start.
  Status start();
  void stop();

  // Appends notifications and waits for the sync; answers their message ids. kThrottled over backlog_max.
  Result<std::vector<std::string>> publish(std::vector<AlertRecord> records);
  // Sends a SubscriptionConfirmation (pending) or UnsubscribeConfirmation (deleted) to the endpoint.
  Status confirm(const Subscription& subscription);

  // For tests, instead of start(): loads what is pending; one round without waiting.
  Status load();
  void run_once();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fleetward::alerts
