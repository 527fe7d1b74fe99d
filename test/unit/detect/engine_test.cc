#include "detect/engine.h"

#include <gtest/gtest.h>

#include "core/json.h"
#include "detect/history.h"

namespace fleetward::detect {
namespace {

constexpr int64_t kTickMs = 300'000;
constexpr int64_t kStart = 1'767'225'600'000;  // a multiple of the tick
constexpr int64_t kHour = 3'600'000;

// A partition with one profile for every thing whose name begins with "pump".
class EngineTest : public ::testing::Test {
 protected:
  void profile(std::string_view text, std::map<std::string, ValueKind, std::less<>> customs = {}) {
    auto document = json::parse(text);
    ASSERT_TRUE(document) << document.error().message;
    auto parsed = profile_from_json(document->get_object());
    ASSERT_TRUE(parsed) << parsed.error().message;
    auto profiles = std::make_shared<Profiles>();
    profiles->profiles.push_back(std::make_shared<const SecurityProfile>(std::move(*parsed)));
    profiles->custom_metrics = std::move(customs);
    configure(std::move(profiles));
  }
  void behavior(const std::string& metric, const std::string& criteria,
                std::map<std::string, ValueKind, std::less<>> customs = {}) {
    profile(R"({"securityProfileName":"base","behaviors":[{"name":"b","metric":")" + metric +
                R"(","criteria":{)" + criteria + "}}]}",
            std::move(customs));
  }
  void configure(std::shared_ptr<const Profiles> profiles) {
    effects_.clear();
    profiles_ = profiles;
    engine_.configure(std::make_shared<const Config>(
        Config{++version_, profiles, [this](std::string_view thing, std::vector<uint32_t>& out) {
                 if (attached_ && thing.starts_with("pump")) out.push_back(0);
               }}));
  }

  // Applies one event to a clean set of effects.
  void report(int64_t at_ms, const std::string& body, std::string_view thing = "pump-1", int64_t id = 0) {
    effects_.clear();
    Event event;
    event.kind = Event::Kind::kReport;
    event.time = {kStart + at_ms};
    event.thing = thing;
    const std::string text = R"({"header":{"report_id":)" + std::to_string(id != 0 ? id : ++report_id_) +
                             R"(,"version":"1.0"},)" + body + "}";
    const auto parsed = parser_.parse(ReportFormat::kJson, text, event.report);
    ASSERT_TRUE(parsed) << parsed.error().message;
    engine_.apply(event, ++sequence_, effects_);
  }
  void bytes_out(int64_t at_ms, uint64_t count) {
    report(at_ms, R"("metrics":{"ns":{"bo":)" + std::to_string(count) + "}}");
  }
  void observe(int64_t at_ms, Observation observation, std::string_view thing = "pump-1") {
    effects_.clear();
    Event event;
    event.kind = Event::Kind::kObservation;
    event.time = observation.to = {kStart + at_ms};
    event.thing = thing;
    event.observation = std::move(observation);
    engine_.apply(event, ++sequence_, effects_);
  }
  void tick(int64_t at_ms) {
    effects_.clear();
    EXPECT_TRUE(engine_.tick({kStart + at_ms}, ++sequence_, 1000, effects_));
  }

  void restart_server(int64_t at_ms) {
    effects_.clear();
    ++sequence_;
    while (!engine_.restart({kStart + at_ms}, sequence_, 1, effects_)) {
    }
  }

  // "in-alarm {"count":9}; ..." of the latest step.
  std::string events() const {
    std::string out;
    for (const ViolationEvent& event : effects_.events) {
      if (!out.empty()) out += "; ";
      out += to_string(event.type);
      if (event.value) out += " " + json::serialize(to_json(*event.value));
    }
    return out;
  }
  // "aws:all-bytes-out={"count":1} ..." of the latest step.
  std::string retained() const {
    std::string out;
    for (const RetainedValues& group : effects_.retained) {
      const auto row = std::string_view(effects_.retained_bytes).substr(group.begin, group.end - group.begin);
      EXPECT_TRUE(visit_row(row, [&](std::string_view series, std::string_view encoded) {
        if (!out.empty()) out += " ";
        out += series;
        out += "=" + json::serialize(to_json(*decode_value(encoded)));
      }));
    }
    return out;
  }
  std::string exported() const {
    std::string out;
    for (const ExportPoint& point : effects_.exports) {
      std::string_view bytes =
          std::string_view(effects_.export_bytes).substr(point.begin, point.end - point.begin);
      if (!out.empty()) out += " ";
      out += std::string(point.series) + "/" + std::to_string(static_cast<int>(point.combine)) + "/v" +
             std::to_string(point.version) + "=" + json::serialize(to_json(*decode_value(bytes)));
    }
    return out;
  }

  Engine engine_{EngineOptions{}};
  Effects effects_;
  ReportParser parser_;
  std::shared_ptr<const Profiles> profiles_;
  bool attached_ = true;
  uint64_t version_ = 0, sequence_ = 0;
  int64_t report_id_ = 0;
};

TEST_F(EngineTest, ABehaviourStatesWhatIsNormal) {
  behavior("aws:all-bytes-out", R"("comparisonOperator":"greater-than","value":{"count":128})");
  bytes_out(0, 129);
  EXPECT_EQ(events(), "");
  EXPECT_EQ(retained(), R"(aws:all-bytes-out={"count":129})");
  bytes_out(1000, 110);
  EXPECT_EQ(events(), R"(in-alarm {"count":110})");
  const std::string id = effects_.events[0].violation_id;
  EXPECT_EQ(id.size(), 32U);
  EXPECT_EQ(effects_.events[0].explanation,
            R"({"count":110} is not greater-than 128, data point 1 of 1 in a row)");
  bytes_out(2000, 100);  // still violating: no new event, the record moves on
  EXPECT_EQ(events(), "");
  ASSERT_EQ(effects_.updates.size(), 1U);
  EXPECT_EQ(effects_.updates[0].violation_id, id);
  bytes_out(3000, 200);
  EXPECT_EQ(events(), R"(alarm-cleared {"count":200})");
  EXPECT_EQ(effects_.events[0].violation_id, id);
  bytes_out(4000, 100);
  EXPECT_EQ(events(), R"(in-alarm {"count":100})");
  EXPECT_NE(effects_.events[0].violation_id, id);
}

TEST_F(EngineTest, ConsecutiveDatapoints) {
  behavior("aws:all-bytes-out",
           R"("comparisonOperator":"less-than","value":{"count":10},"consecutiveDatapointsToAlarm":3,)"
           R"("consecutiveDatapointsToClear":2)");
  std::string log;
  int64_t at = 0;
  for (const int value : {50, 50, 1, 50, 50, 50, 1, 50, 1, 1, 50}) {
    bytes_out(at += 1000, static_cast<uint64_t>(value));
    log += events().empty() ? "." : effects_.events[0].type == ViolationEvent::Type::kInAlarm ? "A" : "C";
  }
  EXPECT_EQ(log, ".....A...C.");
  bytes_out(at += 1000, 50);
  EXPECT_EQ(events(), "");
}

TEST_F(EngineTest, MissingValuesChangeNothing) {
  behavior("aws:all-bytes-out",
           R"("comparisonOperator":"less-than","value":{"count":10},"consecutiveDatapointsToAlarm":2)");
  bytes_out(0, 50);
  report(1000, R"("metrics":{"ns":{"bi":1}})");
  EXPECT_EQ(events() + retained(), "");
  bytes_out(2000, 50);
  EXPECT_EQ(events(), R"(in-alarm {"count":50})");
}

TEST_F(EngineTest, EveryOperator) {
  struct Case {
    const char* metric;
    const char* criteria;
    const char* normal;
    const char* violating;
  };
  const std::map<std::string, ValueKind, std::less<>> customs = {{"num", ValueKind::kNumber},
                                                                 {"nums", ValueKind::kNumbers},
                                                                 {"names", ValueKind::kStrings},
                                                                 {"ips", ValueKind::kCidrs}};
  const Case cases[] = {
      {"num", R"("comparisonOperator":"less-than","value":{"number":-100})",
       R"("cmet":{"num":[{"number":-100.5}]})", R"("cmet":{"num":[{"number":-100}]})"},
      {"num", R"("comparisonOperator":"less-than-equals","value":{"number":2.5})",
       R"("cmet":{"num":[{"number":2.5}]})", R"("cmet":{"num":[{"number":2.6}]})"},
      {"num", R"("comparisonOperator":"greater-than","value":{"number":2})",
       R"("cmet":{"num":[{"number":2.1}]})", R"("cmet":{"num":[{"number":2}]})"},
      {"num", R"("comparisonOperator":"greater-than-equals","value":{"number":2})",
       R"("cmet":{"num":[{"number":2}]})", R"("cmet":{"num":[{"number":1}]})"},
      {"nums", R"("comparisonOperator":"in-set","value":{"numbers":[3,1,2]})",
       R"("cmet":{"nums":[{"number_list":[1,3]}]})", R"("cmet":{"nums":[{"number_list":[1,4]}]})"},
      {"nums", R"("comparisonOperator":"not-in-set","value":{"numbers":[1,2]})",
       R"("cmet":{"nums":[{"number_list":[3]}]})", R"("cmet":{"nums":[{"number_list":[3,2]}]})"},
      {"names", R"("comparisonOperator":"in-set","value":{"strings":["sshd","agent"]})",
       R"("cmet":{"names":[{"string_list":["agent"]}]})", R"("cmet":{"names":[{"string_list":["x"]}]})"},
      {"names", R"("comparisonOperator":"not-in-set","value":{"strings":["x"]})",
       R"("cmet":{"names":[{"string_list":[]}]})", R"("cmet":{"names":[{"string_list":["a","x"]}]})"},
      {"ips", R"("comparisonOperator":"in-cidr-set","value":{"cidrs":["10.0.0.0/8"]})",
       R"("cmet":{"ips":[{"ip_list":["10.1.1.1"]}]})", R"("cmet":{"ips":[{"ip_list":["11.1.1.1"]}]})"},
      {"aws:destination-ip-addresses", R"("comparisonOperator":"not-in-cidr-set","value":{"cidrs":["::/0"]})",
       R"("met":{"tc":{"ec":{"cs":[{"rad":"1.2.3.4:1"}]}}})",
       R"("met":{"tc":{"ec":{"cs":[{"rad":"[::1]:1"}]}}})"},
      {"aws:listening-tcp-ports", R"("comparisonOperator":"in-port-set","value":{"ports":[443,22]})",
       R"("met":{"tp":{"pts":[{"pt":22}]}})", R"("met":{"tp":{"pts":[{"pt":23}]}})"},
      {"aws:listening-udp-ports", R"("comparisonOperator":"not-in-port-set","value":{"ports":[53]})",
       R"("met":{"up":{"pts":[]}})", R"("met":{"up":{"pts":[{"pt":53}]}})"},
  };
  for (const Case& c : cases) {
    behavior(c.metric, c.criteria, customs);
    report(0, c.normal);
    EXPECT_EQ(effects_.events.size(), 0U) << c.criteria;
    report(1, c.violating);
    ASSERT_EQ(effects_.events.size(), 1U) << c.criteria;
    report(2, c.normal);
    ASSERT_EQ(effects_.events.size(), 1U) << c.criteria;
    EXPECT_EQ(effects_.events[0].type, ViolationEvent::Type::kCleared);
  }
}

TEST_F(EngineTest, DuplicateReportsAreNotJudgedTwice) {
  behavior("aws:all-bytes-out", R"("comparisonOperator":"less-than","value":{"count":10})");
  report(0, R"("metrics":{"ns":{"bo":1}})", "pump-1", 900);
  EXPECT_NE(retained(), "");
  report(1, R"("metrics":{"ns":{"bo":99}})", "pump-1", 900);
  EXPECT_EQ(retained() + events(), "");
  report(2, R"("metrics":{"ns":{"bo":99}})", "pump-1", 5);  // a smaller id is a new report
  EXPECT_EQ(events(), R"(in-alarm {"count":99})");
  EXPECT_EQ(engine_.counters().duplicate_reports, 1U);
}

TEST_F(EngineTest, NetworkDeltasAccumulateOverTheDuration) {
  behavior("aws:all-bytes-out",
           R"("comparisonOperator":"less-than","value":{"count":100},"durationSeconds":900)");
  bytes_out(0, 60);
  EXPECT_EQ(events(), "");
  bytes_out(kTickMs, 60);
  EXPECT_EQ(events(), R"(in-alarm {"count":120})");
  EXPECT_EQ(retained(), R"(aws:all-bytes-out={"count":60})");  // kept as reported
  bytes_out(4 * kTickMs, 30);                                  // the first two have left the window
  EXPECT_EQ(events(), R"(alarm-cleared {"count":30})");
}

TEST_F(EngineTest, CloudSideCountersEachTick) {
  behavior("aws:num-authorization-failures",
           R"("comparisonOperator":"less-than-equals","value":{"count":5},"durationSeconds":600)");
  Observation seen;
  seen.connected = true;
  seen.connection_attempts = 1;
  seen.authorization_failures = 4;
  observe(1000, seen);
  EXPECT_EQ(retained() + events(), "");
  tick(kTickMs);
  EXPECT_EQ(retained(), R"(aws:num-authorization-failures={"count":4})");
  EXPECT_EQ(events(), "");
  EXPECT_EQ(effects_.retained[0].time.ms, kStart + kTickMs);
  observe(kTickMs + 1000, seen);
  tick(2 * kTickMs);
  EXPECT_EQ(events(), R"(in-alarm {"count":8})");
  tick(3 * kTickMs);  // connected and quiet: a zero is a point; the window still holds four
  EXPECT_EQ(retained(), R"(aws:num-authorization-failures={"count":0})");
  EXPECT_EQ(events(), R"(alarm-cleared {"count":4})");
  seen = Observation{};
  seen.disconnects = 1;
  observe(3 * kTickMs + 1, seen);
  tick(4 * kTickMs);
  EXPECT_NE(retained(), "");
  tick(5 * kTickMs);
  EXPECT_EQ(retained(), "");  // gone and idle: no point
  tick(5 * kTickMs);          // a tick is applied once
  EXPECT_EQ(retained(), "");
}

TEST_F(EngineTest, MessageSizeLooksAtEachMessage) {
  profile(R"({"securityProfileName":"base","behaviors":[
    {"name":"small","metric":"aws:message-byte-size","exportMetric":true,
     "criteria":{"comparisonOperator":"less-than-equals","value":{"count":1000}}},
    {"name":"some","metric":"aws:message-byte-size",
     "criteria":{"comparisonOperator":"greater-than","value":{"count":3}}}],
    "metricsExportConfig":{"mqttTopic":"export/size","roleArn":"arn:aws:iam::123456789012:role/export"}})");
  Observation seen;
  seen.connected = true;
  seen.messages_sent = 3;
  seen.message_bytes_min = 2;
  seen.message_bytes_max = 2000;
  seen.message_bytes_total = 2100;
  observe(1, seen);
  tick(kTickMs);
  EXPECT_EQ(retained(), R"(aws:message-byte-size={"count":2000})");
  EXPECT_EQ(events(), R"(in-alarm {"count":2000}; in-alarm {"count":2})");
  EXPECT_EQ(exported(), R"(aws:message-byte-size/4/v1={"count":2} aws:message-byte-size/5/v1={"count":2000})"
                        R"( aws:message-byte-size/6/v1={"count":2100})");
  tick(2 * kTickMs);
  EXPECT_EQ(retained(), "");  // no message, no size
}

TEST_F(EngineTest, SourceAddresses) {
  behavior("aws:source-ip-address", R"("comparisonOperator":"in-cidr-set","value":{"cidrs":["10.0.0.0/8"]})");
  Observation seen;
  seen.connected = true;
  seen.addresses.resize(1);
  ASSERT_TRUE(IpAddress::parse("192.0.2.9", seen.addresses[0]));
  observe(1, seen);
  tick(kTickMs);
  EXPECT_EQ(events(), R"(in-alarm {"cidrs":["192.0.2.9"]})");
}

TEST_F(EngineTest, ARestartOfTheServerEndsEveryConnection) {
  profile(R"({"securityProfileName":"base","behaviors":[
    {"name":"b","metric":"aws:disconnect-duration",
     "criteria":{"comparisonOperator":"less-than-equals","value":{"count":5}}}],
    "additionalMetricsToRetainV2":[{"metric":"aws:num-messages-sent"},{"metric":"aws:num-disconnects"}]})");
  Observation seen;
  seen.connected = true;
  observe(1000, seen);
  observe(1000, seen, "pump-2");
  seen.connected = false;
  seen.disconnects = 1;
  seen.disconnected_since = {kStart + 1500};
  observe(1500, seen, "pump-3");
  tick(kTickMs);
  restart_server(kTickMs + 10'000);
  EXPECT_EQ(retained(), R"(aws:disconnect-duration={"count":0} aws:disconnect-duration={"count":0})");
  EXPECT_EQ(effects_.changed.size(), 2U) << "who was away already is as he was";
  restart_server(kTickMs + 20'000);
  EXPECT_TRUE(effects_.changed.empty() && retained().empty()) << "the first is the one that counts";
  seen = Observation{};
  seen.connected = true;
  observe(kTickMs + 30'000, seen, "pump-2");
  // The period of the restart has a disconnect; after it there are zero points of pump-2 alone.
  tick(2 * kTickMs);
  const std::string pump_1 =
      R"(aws:disconnect-duration={"count":290} aws:num-disconnects={"count":1} aws:num-messages-sent={"count":0})";
  EXPECT_EQ(retained().substr(0, pump_1.size()), pump_1);
  tick(3 * kTickMs);
  EXPECT_EQ(events(), R"(in-alarm {"count":590})");
  EXPECT_EQ(retained(), R"(aws:disconnect-duration={"count":590} aws:disconnect-duration={"count":0} )"
                        R"(aws:num-disconnects={"count":0} aws:num-messages-sent={"count":0} )"
                        R"(aws:disconnect-duration={"count":898})");
  observe(3 * kTickMs + 1000, seen);
  EXPECT_EQ(events(), R"(alarm-cleared {"count":0})");
}

TEST_F(EngineTest, DisconnectDurationCountsMinutes) {
  profile(R"({"securityProfileName":"base","behaviors":[
    {"name":"b","metric":"aws:disconnect-duration","exportMetric":true,
     "criteria":{"comparisonOperator":"less-than-equals","value":{"count":12}}}],
    "metricsExportConfig":{"mqttTopic":"t","roleArn":"arn:aws:iam::123456789012:role/export"}})");
  Observation seen;
  seen.connected = true;
  observe(1000, seen);
  EXPECT_EQ(exported(), R"(aws:disconnect-duration/2/v1={"count":0})");
  seen.connected = false;
  seen.disconnects = 1;
  seen.disconnected_since = {kStart + 2000};
  observe(3000, seen);
  EXPECT_EQ(exported(), R"(aws:disconnect-duration/2/v1={"count":1})");
  tick(kTickMs);
  tick(2 * kTickMs);
  EXPECT_EQ(events() + exported(), "");
  EXPECT_EQ(retained(), R"(aws:disconnect-duration={"count":598})");
  tick(3 * kTickMs);
  EXPECT_EQ(events(), R"(in-alarm {"count":898})");
  tick(kHour);
  EXPECT_EQ(exported(), R"(aws:disconnect-duration/2/v1={"count":3598})");
  seen = Observation{};
  seen.connected = true;
  observe(kHour + 5000, seen);
  EXPECT_EQ(events(), R"(alarm-cleared {"count":0})");
}

TEST_F(EngineTest, SilenceInvalidates) {
  behavior("aws:all-bytes-out", R"("comparisonOperator":"less-than","value":{"count":10})");
  bytes_out(0, 50);
  tick(48 * kHour);
  EXPECT_EQ(events(), "");
  tick(48 * kHour + kTickMs);
  EXPECT_EQ(events(), "alarm-invalidated");
  tick(48 * kHour + 2 * kTickMs);
  EXPECT_EQ(events(), "");
}

TEST_F(EngineTest, DetachingInvalidatesAndForgets) {
  behavior("aws:all-bytes-out", R"("comparisonOperator":"less-than","value":{"count":10})");
  bytes_out(0, 50);
  attached_ = false;
  configure(profiles_);
  tick(kTickMs);
  EXPECT_EQ(events(), "alarm-invalidated");
  EXPECT_EQ(effects_.events[0].behavior->name, "b");
  EXPECT_EQ(effects_.forgotten, std::vector<std::string>{"pump-1"});
  EXPECT_EQ(engine_.things(), 0U);
  bytes_out(kTickMs + 1, 50);
  EXPECT_EQ(events() + retained(), "");
}

TEST_F(EngineTest, AChangedCriterionIsAnotherBehaviour) {
  behavior("aws:all-bytes-out", R"("comparisonOperator":"less-than","value":{"count":10})");
  bytes_out(0, 50);
  behavior("aws:all-bytes-out", R"("comparisonOperator":"less-than","value":{"count":20})");
  bytes_out(1, 50);
  EXPECT_EQ(events(), R"(alarm-invalidated; in-alarm {"count":50})");
  // The same profile built anew keeps its violations and runs.
  behavior("aws:all-bytes-out", R"("comparisonOperator":"less-than","value":{"count":20})");
  bytes_out(2, 5);
  EXPECT_EQ(events(), R"(alarm-cleared {"count":5})");
}

TEST_F(EngineTest, CustomMetricsOfAnotherTypeOrUnknownAreDropped) {
  profile(R"({"securityProfileName":"base","additionalMetricsToRetainV2":[{"metric":"rssi"}]})",
          {{"rssi", ValueKind::kNumber}});
  report(0, R"("cmet":{"rssi":[{"number_list":[1]}],"other":[{"number":1}]})");
  EXPECT_EQ(retained(), "");
  EXPECT_EQ(engine_.counters().dropped_custom, 2U);
  report(1, R"("cmet":{"rssi":[{"number":-102}]})");
  EXPECT_EQ(retained(), R"(rssi={"number":-102})");
}

TEST_F(EngineTest, ExportOnlyWhatWasAskedFor) {
  profile(R"({"securityProfileName":"base",
    "additionalMetricsToRetainV2":[{"metric":"rssi","exportMetric":true},{"metric":"aws:all-bytes-in"}],
    "metricsExportConfig":{"mqttTopic":"t","roleArn":"arn:aws:iam::123456789012:role/export"}})",
          {{"rssi", ValueKind::kNumber}});
  report(0, R"("met":{"ns":{"bi":4}},"cmet":{"rssi":[{"number":-1}]})");
  EXPECT_EQ(exported(), R"(rssi/0/v1={"number":-1})");
  report(0, R"("met":{"ns":{"bi":4}},"cmet":{"rssi":[{"number":-2}]})");  // within the same millisecond
  EXPECT_EQ(exported(), R"(rssi/0/v2={"number":-2})");
}

TEST_F(EngineTest, ADimensionIsASeriesOfItsOwn) {
  profile(R"({"securityProfileName":"base","behaviors":[
    {"name":"in","metric":"aws:num-messages-sent","metricDimension":{"dimensionName":"d"},"exportMetric":true,
     "criteria":{"comparisonOperator":"less-than","value":{"count":5},"durationSeconds":600}},
    {"name":"out","metric":"aws:num-authorization-failures",
     "metricDimension":{"dimensionName":"d","operator":"NOT_IN"},
     "criteria":{"comparisonOperator":"less-than","value":{"count":5}}},
    {"name":"all","metric":"aws:num-messages-sent",
     "criteria":{"comparisonOperator":"less-than","value":{"count":1000}}},
    {"name":"from","metric":"aws:source-ip-address","metricDimension":{"dimensionName":"d"},
     "criteria":{"comparisonOperator":"in-cidr-set","value":{"cidrs":["192.0.2.0/24"]}}},
    {"name":"size","metric":"aws:message-byte-size","metricDimension":{"dimensionName":"d"},
     "criteria":{"comparisonOperator":"less-than","value":{"count":100}}}],
    "metricsExportConfig":{"mqttTopic":"t","roleArn":"arn:aws:iam::123456789012:role/export"}})");
  Observation seen;
  seen.connected = true;
  seen.messages_sent = 20;
  DimensionCounters in;
  in.dimension = {"d", DimensionOperator::kIn};
  in.messages_sent = 3;
  in.message_bytes_min = in.message_bytes_max = 7;
  in.message_bytes_total = 21;
  in.addresses.resize(1);
  IpAddress::parse("192.0.2.7", in.addresses[0]);
  DimensionCounters unknown = in;
  unknown.dimension.name = "other";
  seen.dimensions = {in, unknown};
  observe(1, seen);
  observe(2, seen);
  // Between the observations and their tick, the state is stored and read back.
  std::string state;
  engine_.encode_thing(effects_.changed.at(0), state);
  ASSERT_TRUE(engine_.restore_thing("pump-1", state));
  tick(kTickMs);
  EXPECT_EQ(retained(),
            R"(aws:message-byte-size|IN|d={"count":7} aws:num-authorization-failures|NOT_IN|d={"count":0} )"
            R"(aws:num-messages-sent={"count":40} aws:num-messages-sent|IN|d={"count":6} )"
            R"(aws:source-ip-address|IN|d={"cidrs":["192.0.2.7"]})");
  EXPECT_EQ(exported(), R"(aws:num-messages-sent|IN|d/1/v1={"count":6})");
  EXPECT_EQ(events(), R"(in-alarm {"count":6})");
  EXPECT_EQ(effects_.events[0].behavior->name, "in");
  // A connected device that sends nothing has zero points for each series of a counter; the window of two
  // ticks still holds the six.
  tick(2 * kTickMs);
  EXPECT_EQ(retained(), R"(aws:num-authorization-failures|NOT_IN|d={"count":0} )"
                        R"(aws:num-messages-sent={"count":0} aws:num-messages-sent|IN|d={"count":0})");
  EXPECT_EQ(events(), "");
  tick(3 * kTickMs);
  EXPECT_EQ(events(), R"(alarm-cleared {"count":0})");
}

TEST(Event, ObservationsReadBack) {
  Observation seen;
  seen.from = {5};
  seen.to = {9};
  seen.messages_sent = 1;
  seen.authorization_failures = 300;
  seen.disconnects = 2;
  seen.addresses.resize(1);
  DimensionCounters counters;
  counters.dimension = {"topics", DimensionOperator::kNotIn};
  counters.messages_received = 70'000;
  counters.addresses.resize(2);
  seen.dimensions = {counters, counters};
  std::string bytes;
  encode_observation_event("pump", seen, bytes);
  Event event;
  ASSERT_TRUE(decode_event(bytes, event));
  EXPECT_EQ(event.observation.authorization_failures, 300U);
  ASSERT_EQ(event.observation.dimensions.size(), 2U);
  EXPECT_EQ(event.observation.dimensions[1].dimension, counters.dimension);
  EXPECT_EQ(event.observation.dimensions[1].messages_received, 70'000U);
  EXPECT_EQ(event.observation.dimensions[1].addresses.size(), 2U);
  std::string again;
  encode_observation_event(event.thing, event.observation, again);
  EXPECT_EQ(again, bytes);
  for (size_t cut = 0; cut < bytes.size(); ++cut) EXPECT_FALSE(decode_event(bytes.substr(0, cut), event));
  // Addresses of both families together have 16 bytes each, of one 4 if it is IPv4.
  seen.addresses.clear();
  for (const char* text : {"192.0.2.7", "198.51.100.1"}) {
    ASSERT_TRUE(IpAddress::parse(text, seen.addresses.emplace_back()));
  }
  std::string v4, both;
  encode_observation_event("pump", seen, v4);
  ASSERT_TRUE(decode_event(v4, event));
  EXPECT_EQ(event.observation.addresses, seen.addresses);
  ASSERT_TRUE(IpAddress::parse("2001:db8::1", seen.addresses.emplace_back()));
  encode_observation_event("pump", seen, both);
  ASSERT_TRUE(decode_event(both, event));
  EXPECT_EQ(event.observation.addresses, seen.addresses);
  EXPECT_EQ(both.size() - v4.size(), 3 * 16U - 2 * 4U);
}

TEST_F(EngineTest, StateReadsBackAndIdsAreTheSameAtAReplay) {
  const char* criteria = R"("comparisonOperator":"less-than","value":{"count":100},"durationSeconds":900,)"
                         R"("consecutiveDatapointsToClear":2)";
  behavior("aws:all-bytes-out", criteria);
  bytes_out(0, 60);
  std::string before;
  engine_.encode_thing(effects_.changed.at(0), before);
  const auto replay = [&] {
    std::string log;
    sequence_ = 10;
    for (const int64_t at : {kTickMs, 4 * kTickMs, 5 * kTickMs}) {
      bytes_out(at, at == kTickMs ? 60 : 1);
      log += events() + (effects_.events.empty() ? "" : effects_.events[0].violation_id) + "\n";
    }
    return log;
  };
  const std::string first = replay();
  EXPECT_NE(first.find("in-alarm {\"count\":120}"), std::string::npos) << first;
  EXPECT_NE(first.find("alarm-cleared"), std::string::npos) << first;
  engine_ = Engine(EngineOptions{});
  behavior("aws:all-bytes-out", criteria);
  ASSERT_TRUE(engine_.restore_thing("pump-1", before));
  report_id_ = 1;
  EXPECT_EQ(replay(), first);
  for (size_t cut = 0; cut < before.size(); ++cut) {
    EXPECT_FALSE(engine_.restore_thing("pump-2", std::string_view(before).substr(0, cut)));
  }
}

TEST_F(EngineTest, AnOpenViolationWhoseBehaviourWentAwayWhileDown) {
  behavior("aws:all-bytes-out", R"("comparisonOperator":"less-than","value":{"count":10})");
  bytes_out(0, 50);
  const std::string id = effects_.events.at(0).violation_id;
  std::string state;
  engine_.encode_thing(effects_.changed.at(0), state);
  engine_ = Engine(EngineOptions{});
  profile(R"({"securityProfileName":"base","behaviors":[]})");
  ASSERT_TRUE(engine_.restore_thing("pump-1", state));
  tick(kTickMs);
  EXPECT_EQ(events(), "alarm-invalidated");
  EXPECT_EQ(effects_.events[0].violation_id, id);
  EXPECT_EQ(effects_.events[0].behavior, nullptr);
}

TEST_F(EngineTest, ThingsAreBoundedAndTicksSliced) {
  EngineOptions options;
  options.things_max = 10;
  engine_ = Engine(options);
  behavior("aws:num-messages-sent", R"("comparisonOperator":"less-than","value":{"count":10})");
  Observation seen;
  seen.connected = true;
  for (int i = 0; i < 12; ++i) observe(i, seen, "pump-" + std::to_string(i));
  EXPECT_EQ(engine_.things(), 10U);
  EXPECT_EQ(engine_.counters().refused_things, 2U);
  effects_.clear();
  EXPECT_FALSE(engine_.tick({kStart + kTickMs}, 1, 4, effects_));
  EXPECT_EQ(effects_.retained.size(), 4U);
  EXPECT_FALSE(engine_.tick({kStart + kTickMs}, 1, 4, effects_));
  EXPECT_TRUE(engine_.tick({kStart + kTickMs}, 1, 4, effects_));
  EXPECT_EQ(effects_.retained.size(), 10U);
  EXPECT_EQ(effects_.changed.size(), 10U);
}

}  // namespace
}  // namespace fleetward::detect
