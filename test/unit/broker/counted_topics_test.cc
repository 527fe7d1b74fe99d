// What is counted apart, for dimensions.
#include "broker/counted_topics.h"

#include "test/unit/broker/harness.h"

namespace fleetward::broker {
namespace {

using mqtt::ReasonCode;

constexpr mqtt::MatchOptions kAws = mqtt::MatchOptions{false, false};

TEST(CountedTopics, masks) {
  CountedTopics counted;
  counted.dimensions = {{"own", {"fleet/${iot:ClientId}/#", "a"}, true, true},
                        {"pair", {"${iot:ClientId}/x/${iot:ClientId}"}, true, false},
                        {"rest", {"fleet/#"}, false, true}};
  const auto mask = [&](std::string_view topic, std::string_view client) {
    std::string out;
    const CounterMask bits = counters_for(counted, topic, client, kAws);
    for (size_t d = 0; d < counted.dimensions.size(); ++d) {
      if ((bits >> counter_of(d, true) & 1) != 0) out += counted.dimensions[d].name + "+ ";
      if ((bits >> counter_of(d, false) & 1) != 0) out += counted.dimensions[d].name + "- ";
    }
    return out;
  };
  EXPECT_EQ(mask("fleet/p1/t", "p1"), "own+ ");
  EXPECT_EQ(mask("fleet/p2/t", "p1"), "own- ");
  EXPECT_EQ(mask("a", "p1"), "own+ rest- ");
  EXPECT_EQ(mask("p1/x/p1", "p1"), "own- pair+ rest- ");
  EXPECT_EQ(mask("p1/x/p2", "p1"), "own- rest- ");
  EXPECT_EQ(mask("fleet/a/b/t", "a/b"), "own+ ") << "an id of two levels";
  // A client cannot name itself a wildcard, or the variable.
  EXPECT_EQ(mask("fleet/p2/t", "+"), "own- ");
  EXPECT_EQ(mask("fleet/p2/t", "#"), "own- ");
  EXPECT_EQ(mask("fleet/${iot:ClientId}/t", "${iot:ClientId}"), "own+ ");
  EXPECT_EQ(mask("fleet/p1/+", "p1"), "own+ ") << "the filter of a SUBSCRIBE";
  EXPECT_EQ(counters_without_topic(counted), 1U << counter_of(0, false) | 1U << counter_of(2, false));
}

constexpr const char* kPolicy = R"({"Version":"2012-10-17","Statement":[
  {"Effect":"Allow","Action":"*","Resource":"*"},
  {"Effect":"Deny","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/in/forbidden"},
  {"Effect":"Deny","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/in/*"}]})";

std::string text(const Observation& total) {
  std::string out;
  for (const DimensionCounters& c : total.dimensions) {
    out += c.dimension + (c.in ? "+" : "-") + " sent " + std::to_string(c.messages_sent) + " bytes " +
           std::to_string(c.message_bytes_total) + " received " + std::to_string(c.messages_received) +
           " failures " + std::to_string(c.authorization_failures) + " from " +
           (c.source_addresses.empty() ? "" : c.source_addresses[0]) + "\n";
  }
  return out;
}

TEST(CountedTopics, messages_and_failures_by_topic) {
  Harness h;
  auto counted = std::make_shared<CountedTopics>();
  counted->dimensions = {{"d", {"in/${iot:ClientId}", "in/forbidden", "in/#"}, true, true}};
  h.set_counted_topics(counted);
  h.restart();
  h.policy("some", kPolicy);
  const std::string at = h.listen_plain("some");
  {
    TestClient client(at);
    ASSERT_EQ(client.connect({.client_id = "dev"}), ReasonCode::kSuccess);
    client.subscribe({"out"});
    client.subscribe({"in/x"});
    client.publish("in/dev", "12345");
    client.publish("in/dev", "12345");
    client.publish("out", "1");
    client.receive();
    client.send_publish("in/forbidden", "123", 0, 0);
    EXPECT_TRUE(client.closed());
  }
  h.pass(Duration{2000});
  eventually([&] { return h.sink.total("dev").disconnects == 1; }, "the last delta");
  EXPECT_EQ(text(h.sink.total("dev")),
            "d+ sent 3 bytes 13 received 0 failures 2 from 127.0.0.1\n"
            "d- sent 1 bytes 1 received 1 failures 0 from 127.0.0.1\n");
  // A refused CONNECT is in no dimension.
  h.policy("none", R"({"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]})");
  TestClient refused(h.listen_plain("none"));
  EXPECT_NE(refused.connect({.client_id = "refused"}), ReasonCode::kSuccess);
  h.pass(Duration{2000});
  eventually([&] { return h.sink.total("refused").authorization_failures == 1; }, "the delta");
  EXPECT_EQ(text(h.sink.total("refused")), "d- sent 0 bytes 0 received 0 failures 1 from 127.0.0.1\n");
}

TEST(CountedTopics, a_change_applies_to_what_comes_after_it) {
  Harness h;
  const std::string at = h.listen_plain();
  TestClient client(at);
  ASSERT_EQ(client.connect({.client_id = "dev"}), ReasonCode::kSuccess);
  const auto count = [&](std::vector<CountedTopics::Dimension> dimensions) {
    auto counted = std::make_shared<CountedTopics>();
    counted->dimensions = std::move(dimensions);
    h.set_counted_topics(counted->dimensions.empty() ? nullptr : counted);
    // Any change of the control store tells the shards; what is answered in the same wake-up or a later one
    // is answered after they have read it.
    h.policy("p" + std::to_string(h.store.snapshot()->version()), kPolicy);
    client.subscribe({"answered"});
    client.publish("t", "1");
  };
  count({});
  count({{"b", {"t"}, true, false}});
  count({{"a", {"t"}, true, false}, {"b", {"x"}, false, true}});
  count({});
  client.disconnect();
  EXPECT_TRUE(client.closed());
  h.pass(Duration{2000});
  eventually([&] { return h.sink.total("dev").disconnects == 1; }, "the last delta");
  EXPECT_EQ(h.sink.total("dev").messages_sent, 4U);
  EXPECT_EQ(text(h.sink.total("dev")),
            "a+ sent 1 bytes 1 received 0 failures 0 from 127.0.0.1\n"
            "b+ sent 1 bytes 1 received 0 failures 0 from 127.0.0.1\n"
            "b- sent 1 bytes 1 received 0 failures 0 from 127.0.0.1\n");
}

}  // namespace
}  // namespace fleetward::broker
