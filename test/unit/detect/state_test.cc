// The state machine of alarms, told in state_cases.txt.
#include <fstream>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "core/json.h"
#include "detect/engine.h"

namespace fleetward::detect {
namespace {

constexpr int64_t kStart = 1'767'225'600'000;  // a multiple of the tick

// One thing under one behaviour; each step is a minute or, where it has a tick, what that needs.
class Life {
 public:
  Life(int to_alarm, int to_clear) : to_alarm_(to_alarm), to_clear_(to_clear) { configure(true, 10); }

  // What follows of it, as the cases write it.
  char step(char what) {
    effects_.clear();
    now_ms_ += 60'000;
    switch (what) {
      case '-':
      case '+':
        report(R"("bo":)" + std::string(what == '-' ? "50" : "5"));
        break;
      case '.':
        report(R"("bi":1)");
        break;
      case 'S':
        tick(options_.silence.count() + options_.tick.count());
        break;
      case 'D':
        configure(false, 10);
        tick(options_.tick.count());
        configure(true, 10);
        break;
      case 'F':
        configure(true, 11);
        tick(options_.tick.count());
        configure(true, 10);
        break;
      default:
        restart();
    }
    remember();
    return read();
  }

 private:
  void configure(bool attached, int limit) {
    const auto document = json::parse(
        R"({"securityProfileName":"p","behaviors":[{"name":"b","metric":"aws:all-bytes-out","criteria":{)"
        R"("comparisonOperator":"less-than","value":{"count":)" +
        std::to_string(limit) + R"(},"consecutiveDatapointsToAlarm":)" + std::to_string(to_alarm_) +
        R"(,"consecutiveDatapointsToClear":)" + std::to_string(to_clear_) + "}}]}");
    auto profiles = std::make_shared<Profiles>();
    profiles->profiles.push_back(
        std::make_shared<const SecurityProfile>(profile_from_json(document->get_object()).value()));
    config_ = std::make_shared<const Config>(
        Config{++version_, profiles, [attached](std::string_view, std::vector<uint32_t>& out) {
                 if (attached) out.push_back(0);
               }});
    remember();
    engine_.configure(config_);
  }

  void report(const std::string& network) {
    Event event;
    event.kind = Event::Kind::kReport;
    event.time = {now_ms_};
    event.thing = "pump";
    const std::string text = R"({"header":{"report_id":)" + std::to_string(++sequence_) +
                             R"(,"version":"1.0"},"metrics":{"ns":{)" + network + "}}}";
    ASSERT_TRUE(parser_.parse(ReportFormat::kJson, text, event.report));
    engine_.apply(event, sequence_, effects_);
  }

  void tick(int64_t after_ms) {
    const int64_t tick_ms = options_.tick.count();
    now_ms_ = (now_ms_ + after_ms) / tick_ms * tick_ms;
    EXPECT_TRUE(engine_.tick({now_ms_}, ++sequence_, 1000, effects_));
  }

  // What a stage would write.
  void remember() {
    if (!effects_.forgotten.empty()) stored_.clear();
    for (const uint32_t index : effects_.changed) {
      stored_.clear();
      engine_.encode_thing(index, stored_);
    }
    effects_.changed.clear();
    effects_.forgotten.clear();
  }

  void restart() {
    engine_ = Engine(options_);
    engine_.configure(config_);
    if (!stored_.empty()) {
      EXPECT_TRUE(engine_.restore_thing("pump", stored_));
    }
  }

  char read() {
    if (!effects_.updates.empty()) {
      EXPECT_EQ(effects_.updates.size(), 1U);
      EXPECT_TRUE(effects_.events.empty());
      EXPECT_EQ(effects_.updates[0].violation_id, open_);
      return 'U';
    }
    if (effects_.events.empty()) return '.';
    EXPECT_EQ(effects_.events.size(), 1U);
    const ViolationEvent& event = effects_.events[0];
    EXPECT_EQ(event.time.ms, now_ms_);
    if (event.type == ViolationEvent::Type::kInAlarm) {
      EXPECT_TRUE(ids_.insert(event.violation_id).second);
      open_ = event.violation_id;
      started_ms_ = now_ms_;
      return 'A';
    }
    EXPECT_EQ(event.violation_id, open_);
    EXPECT_EQ(event.started.ms, started_ms_);
    const bool cleared = event.type == ViolationEvent::Type::kCleared;
    EXPECT_EQ(event.value.has_value(), cleared);  // an end for want of values has none
    open_.clear();
    return cleared ? 'C' : 'I';
  }

  int to_alarm_, to_clear_;
  EngineOptions options_;
  Engine engine_{options_};
  Effects effects_;
  ReportParser parser_;
  ConfigPtr config_;
  std::string stored_, open_;
  std::set<std::string> ids_;
  int64_t now_ms_ = kStart, started_ms_ = 0;
  uint64_t version_ = 0, sequence_ = 0;
};

TEST(States, Cases) {
  std::ifstream file(FLEETWARD_TEST_DATA "/state_cases.txt");
  size_t cases = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream in(line);
    int to_alarm = 0, to_clear = 0;
    std::string bar, happens, follows;
    ASSERT_TRUE(in >> to_alarm >> to_clear >> bar >> happens >> bar >> follows) << line;
    Life life(to_alarm, to_clear);
    std::string seen;
    for (const char what : happens) seen += life.step(what);
    EXPECT_EQ(seen, follows) << line;
    ++cases;
  }
  EXPECT_GT(cases, 30U);
}

}  // namespace
}  // namespace fleetward::detect
