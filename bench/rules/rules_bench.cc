// What rules cost on the publish path: one message, from the event to the record in the batch.
// Run: build/release/bench/fleetward_rules_bench
#include <cstdlib>

#include <benchmark/benchmark.h>

#include "core/json.h"
#include "pipeline/rule_runner.h"

namespace {

using namespace fleetward;

constexpr const char* kRole = "arn:aws:iam::123456789012:role/rules";
const std::string kPayload =
    R"({"version":"1.0","metric":"mobilerssi","thing":"device-0001","readings":[)"
    R"({"time":1767225600123,"number":-102.5},{"time":1767225900123,"number":-99},{"time":1767226200123,"number":-101}],)"
    R"("site":{"name":"north","line":7},"battery":87,"firmware":"2.4.1","state":"running","pad":"0123456789012345678901234567890123456789"})";

// A server's control state with `count` rules of which `matching` match ddmetric/cellular.
class World {
 public:
  World(const std::string& sql, int others) {
    if (!store_.open(":memory:")) std::abort();
    identity::Role role;
    role.name = "rules";
    role.path = "/";
    role.trust = identity::PolicyDocument::parse(
                     R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
                         "Principal":{"Service":"iot.amazonaws.com"}}]})",
                     identity::kTrustRules)
                     .value();
    role.grants.inline_policies["p"] =
        identity::PolicyDocument::parse(
            R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*","Action":"firehose:PutRecord"}]})",
            identity::kInlineRules)
            .value();
    delivery::Stream stream;
    stream.id = "7f1c0c8e-3d6c-4d55-9f0a-0d2d3a1b6c55";
    stream.name = "dd-metric-export-stream";
    stream.status = delivery::StreamStatus::kActive;
    const Status done = store_.transact([&](state::Transaction& t) -> Status {
      t.put(identities_.roles, identity::name_key("rules"), role);
      t.put(streams_.streams, stream.name, stream);
      t.put(rules_.rules, "the_rule", rule("the_rule", sql));
      for (int i = 0; i < others; ++i) {
        const std::string name = "other_" + std::to_string(i);
        t.put(rules_.rules, name, rule(name, "SELECT * FROM 'other/" + name + "/+'"));
      }
      return {};
    });
    if (!done) std::abort();
  }

  static rules::Rule rule(const std::string& name, const std::string& sql) {
    json::object firehose{{"roleArn", kRole}, {"deliveryStreamName", "dd-metric-export-stream"}};
    json::object payload{{"sql", sql}, {"awsIotSqlVersion", "2016-03-23"}};
    payload["actions"] = json::array{json::object{{"firehose", std::move(firehose)}}};
    auto built = rules::build_rule(name, payload, {});
    if (!built) std::abort();
    return std::move(*built);
  }

  pipeline::RuleServices services() {
    return {store_, rules_, streams_, authorizer_, scope_, random_, logger_, metrics_};
  }

 private:
  state::Store store_;
  identity::Tables identities_ = identity::Tables::add_to(store_);
  delivery::Tables streams_ = delivery::Tables::add_to(store_);
  rules::Tables rules_ = rules::Tables::add_to(store_);
  AccountScope scope_{AccountId::trusted("123456789012"), "eu-west-1"};
  identity::Authorizer authorizer_{store_, identities_, scope_};
  SeededRandom random_{7};
  Logger logger_ = Logger::none();
  Metrics metrics_;
};

// Per message, with a new batch every 64 messages as the broker makes them.
void run(benchmark::State& state, const std::string& sql, int others, std::string_view topic,
         bool expect_record) {
  World world(sql, others);
  pipeline::RuleRunner runner(world.services());
  rules::Event event;
  event.topic = topic;
  event.payload = kPayload;
  event.client_id = "device-0001";
  event.principal = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  event.now = Timestamp{1767225600123};
  log::Batch batch;
  std::vector<broker::MessagePtr> replies;
  for (auto step : state) {
    (void)step;
    runner.run(event, {}, batch, replies);
    if (batch.appends.size() >= 64) batch = {};
  }
  if (batch.appends.empty() == expect_record && state.iterations() % 64 != 0)
    state.SkipWithError("wrong outcome");
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kPayload.size()));
}

void forward(benchmark::State& state) {
  run(state, "SELECT * FROM 'ddmetric/#'", 0, "ddmetric/cellular", true);
}
void forward_among_many(benchmark::State& state) {
  run(state, "SELECT * FROM 'ddmetric/#'", 999, "ddmetric/cellular", true);
}
void no_rule_matches(benchmark::State& state) {
  run(state, "SELECT * FROM 'ddmetric/#'", 999, "fleet/device-0001/telemetry", false);
}
void where_on_a_field(benchmark::State& state) {
  run(state, "SELECT * FROM 'ddmetric/#' WHERE battery > 20 AND site.name = 'north'", 0, "ddmetric/cellular",
      true);
}
void where_stops(benchmark::State& state) {
  run(state, "SELECT * FROM 'ddmetric/#' WHERE battery < 20", 0, "ddmetric/cellular", false);
}
void select_fields(benchmark::State& state) {
  run(state,
      "SELECT thing, site.name AS site, battery / 100.0 AS charge, topic(2) AS kind, timestamp() AS at "
      "FROM 'ddmetric/#' WHERE battery > 20",
      0, "ddmetric/cellular", true);
}

// The most that one message may cost: runs that are cut off by the bound on work.
void cut_off(benchmark::State& state, const std::string& sql) {
  std::string payload = "{\"a\":[0";
  while (payload.size() < 127 * 1024) payload += ",1";
  payload += "]}";
  const rules::Rule rule = World::rule("r", sql);
  rules::Event event;
  event.topic = "t";
  event.payload = payload;
  for (auto step : state) {
    (void)step;
    const rules::Message message(event);
    const auto out = rules::evaluate(rule, message);
    if (out.failures.empty()) state.SkipWithError("was not cut off");
  }
}
void cut_off_arithmetic(benchmark::State& state) {
  cut_off(state, "SELECT (SELECT VALUE * + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 FROM a) AS x FROM 't'");
}
void cut_off_objects(benchmark::State& state) {
  cut_off(state, "SELECT (SELECT {'k': *, 'l': [*]} AS o FROM a) AS x FROM 't'");
}
void cut_off_text(benchmark::State& state) {
  cut_off(state,
          "SET @t = concat(a, '') SELECT (SELECT VALUE regexp_replace(@t, '1', '22') FROM a) AS x, "
          "regexp_replace(cast(a AS String), '1', '$0$0') AS y FROM 't'");
}

BENCHMARK(cut_off_arithmetic)->Unit(benchmark::kMillisecond);
BENCHMARK(cut_off_objects)->Unit(benchmark::kMillisecond);
BENCHMARK(cut_off_text)->Unit(benchmark::kMillisecond);
BENCHMARK(no_rule_matches);
BENCHMARK(forward);
BENCHMARK(forward_among_many);
BENCHMARK(where_on_a_field);
BENCHMARK(where_stops);
BENCHMARK(select_fields);

}  // namespace
