#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "alerts/delivery.h"
#include "alerts/stage.h"
#include "log/memory_log.h"

namespace fleetward::alerts {

// Keeps what was to be posted until the test answers.
class FakeSender final : public HttpSender {
 public:
  void start(uint64_t id, HttpPost post) override { open.emplace_back(id, std::move(post)); }
  std::vector<std::pair<uint64_t, AttemptResult>> wait(Duration) override { return std::exchange(ended, {}); }
  void wake() override {}
  void answer(size_t which, int status) {
    ended.emplace_back(open[which].first, AttemptResult{status, status == 0 ? "refused" : ""});
    open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
  }
  std::vector<std::pair<uint64_t, HttpPost>> open;
  std::vector<std::pair<uint64_t, AttemptResult>> ended;
};

inline const AccountScope kAccount{AccountId::trusted("123456789012"), "eu-west-1"};
inline const std::string kTopic = "arn:aws:sns:eu-west-1:123456789012:alerts";

// Likewise; what ends is told by `done`.
class FakeSyslog final : public SyslogSender {
 public:
  explicit FakeSyslog(SyslogDone d) : done(std::move(d)) {}
  void start(uint64_t id, std::string_view target, std::string message) override {
    open.push_back({id, std::string(target), std::move(message)});
  }
  void answer(size_t which, const std::string& error = "") {
    done(open[which].id, {error.empty() ? 200 : 0, error});
    open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
  }
  struct Sent {
    uint64_t id;
    std::string target, message;
  };
  SyslogDone done;
  std::vector<Sent> open;
};

class StageTest : public testing::Test {
 protected:
  StageTest() {
    identity_tables = identity::Tables::add_to(store);
    tables = Tables::add_to(store, registry::add_tag_table(store));
    EXPECT_TRUE(store.open(":memory:"));
    EXPECT_TRUE(store.transact([&](state::Transaction& change) -> Status {
      change.put(tables.topics, "alerts", Topic{"alerts", {1}, {}});
      return {};
    }));
    authorizer = std::make_unique<identity::Authorizer>(store, identity_tables, kAccount);
    restart();
  }
  void restart() {
    stage.reset();
    auto made = std::make_unique<FakeSender>();
    sender = made.get();
    StageOptions options;
    options.account = kAccount;
    options.public_url = [] { return "https://fleet:8443"; };
    options.deliveries_per_subscription_max = 5;
    options.deliveries_max = deliveries_max;
    options.targets = targets;
    options.hostname = "fleet.example";
    stage = std::make_unique<Stage>(
        options, log, store, tables, *authorizer, signer(), std::move(made),
        [this](const std::vector<Target>&, SyslogDone done) {
          auto fake = std::make_unique<FakeSyslog>(std::move(done));
          syslog = fake.get();
          return fake;
        },
        [this](MqttMessage message, const std::function<void(Status)>& done) {
          mqtt.push_back(std::move(message));
          done(mqtt_answer);
        },
        clock, steady, random, logger, metrics);
    EXPECT_TRUE(stage->load());
  }
  static const Signer& signer() {
    static SystemRandom entropy;
    static const std::string directory = testing::TempDir() + "fleetward-stage-signer";
    static const auto made = Signer::open(directory, "sns", entropy, {1795503600000});
    return **made;
  }
  void subscribe(const std::string& id, const std::string& protocol, const std::string& endpoint,
                 const std::function<void(Subscription&)>& more = {}) {
    Subscription s;
    s.state = Subscription::State::kConfirmed;
    s.topic = "alerts";
    s.id = id;
    s.protocol = protocol;
    s.endpoint = endpoint;
    if (more) more(s);
    EXPECT_TRUE(store.transact([&](state::Transaction& change) -> Status {
      change.put(tables.subscriptions, state::key("alerts", id), s);
      return {};
    }));
  }
  std::string publish(const std::string& message) {
    const auto ids = stage->publish({{.topic_arn = kTopic, .message = message}});
    EXPECT_TRUE(ids);
    return ids->front();
  }
  void pass(Duration time) {
    clock.advance(time);
    steady.advance(time);
  }
  size_t stored() const { return log.scan(kDeliveryPrefix, "alerts/delivery0", 1000, false)->size(); }
  double dropped(const std::string& reason, const std::string& target = "") {
    const std::string label = target.empty() ? "" : ",target=\"" + target + "\"";
    return metric("fleetward_alerts_dropped_total{reason=\"" + reason + "\"" + label + "} ");
  }
  double metric(const std::string& name) {
    const std::string line = "\n" + name, text = metrics.scrape();
    const size_t at = text.find(line);
    return at == std::string::npos ? 0 : std::stod(text.substr(at + line.size()));
  }

  log::MemoryLog log;
  state::Store store;
  identity::Tables identity_tables;
  Tables tables;
  std::unique_ptr<identity::Authorizer> authorizer;
  ManualClock clock, steady{{5'000}};
  SeededRandom random{1};
  Logger logger = Logger::none();
  Metrics metrics;
  FakeSender* sender = nullptr;
  FakeSyslog* syslog = nullptr;
  std::vector<Target> targets;  // of the next restart()
  size_t deliveries_max = 20'000;
  Status mqtt_answer;
  std::unique_ptr<Stage> stage;
  std::vector<MqttMessage> mqtt;
};

}  // namespace fleetward::alerts
