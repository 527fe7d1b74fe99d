#include <benchmark/benchmark.h>

#include "registry/certificates.h"
#include "registry/device_authorizer.h"
#include "registry/dynamic_groups.h"
#include "registry/pki.h"
#include "registry/policies.h"
#include "registry/query_set.h"
#include "registry/things.h"

// What a connection's authorization costs, and a device's keys; and dynamic groups.
namespace fleetward::registry {
namespace {

const AccountScope kAccount{AccountId::trusted("123456789012"), "ap-south-1"};

// The policy of the metric-export sample.
constexpr const char* kPolicy = R"({"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/${iot:ClientId}"},
  {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": [
    "arn:aws:iot:*:*:topicfilter/$aws/things/${iot:ClientId}/defender/metrics/json/accepted",
    "arn:aws:iot:*:*:topicfilter/$aws/things/${iot:ClientId}/defender/metrics/json/rejected"]},
  {"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"],
   "Resource": "arn:aws:iot:*:*:topic/$aws/things/${iot:ClientId}/defender/metrics/json"}]})";
constexpr const char* kTopic = "$aws/things/dd-export-test/defender/metrics/json";

struct World {
  World() : tables(Tables::add_to(store)), authorizer(tables, kAccount) {
    if (!store.open(":memory:")) std::abort();
    connection.certificate_id = std::string(64, 'a');
    connection.client_id = "dd-export-test";
    const Status made = store.transact([&](state::Transaction& change) -> Status {
      Certificate certificate;
      certificate.facts.id = CertificateId::trusted(connection.certificate_id);
      certificate.facts.subject["CommonName"] = {"AWS IoT Certificate"};
      certificate.status = CertificateStatus::kActive;
      if (auto ok = add_certificate(change, tables, certificate); !ok) return ok;
      auto document = parse_policy_document(kPolicy);
      if (!document) return fail(document.error());
      if (auto ok = create_policy(change, tables, "p", *document, "g", {}); !ok) return ok;
      return attach_policy(change, tables, "p", certificate_target(connection.certificate_id), {});
    });
    if (!made) std::abort();
  }
  state::Store store;
  Tables tables;
  DeviceAuthorizer authorizer;
  DeviceConnection connection;
};

void decide(benchmark::State& state) {
  World world;
  const auto policy = world.authorizer.compile(*world.store.snapshot(), world.connection);
  for (auto _ : state) benchmark::DoNotOptimize(policy->allows(DeviceAction::kPublish, kTopic));
}
BENCHMARK(decide);

// What a decision costs when variables are put in each time instead of once per connection.
void decide_unbound(benchmark::State& state) {
  World world;
  identity::MapContext context;
  context.set("iot:ClientId", world.connection.client_id);
  const auto document = world.authorizer.compile(*world.store.snapshot(), world.connection)->documents();
  const std::string resource = kAccount.arn("iot", std::string("topic/") + kTopic);
  for (auto _ : state) {
    benchmark::DoNotOptimize(identity::evaluate_all(document, "iot:Publish", resource, context));
  }
}
BENCHMARK(decide_unbound);

void compile(benchmark::State& state) {
  World world;
  const auto snapshot = world.store.snapshot();
  for (auto _ : state) benchmark::DoNotOptimize(world.authorizer.compile(*snapshot, world.connection));
}
BENCHMARK(compile);

void renew_unchanged(benchmark::State& state) {
  World world;
  const auto snapshot = world.store.snapshot();
  const auto held = world.authorizer.compile(*snapshot, world.connection);
  for (auto _ : state) benchmark::DoNotOptimize(world.authorizer.renew(*snapshot, world.connection, held));
}
BENCHMARK(renew_unchanged);

void issue(benchmark::State& state, KeyType type) {
  SystemRandom random;
  auto authority = CertificateAuthority::create(random, {1767225600000});
  if (!authority) std::abort();
  for (auto _ : state) benchmark::DoNotOptimize(authority->issue_device(type, random, {1767225600000}));
}
BENCHMARK_CAPTURE(issue, p256, KeyType::kP256);
BENCHMARK_CAPTURE(issue, rsa2048, KeyType::kRsa2048);

// A fleet of things with a type and four attributes, everything indexed, and dynamic groups: most ask for a
// value, every tenth for a range, one for who is connected.
struct Fleet {
  Fleet(int things, int groups) : tables(Tables::add_to(store)) {
    if (!store.open(":memory:")) std::abort();
    run([&](state::Transaction& change) { return set_indexing(change, tables, {true, true}); });
    run([&](state::Transaction& change) -> Status {
      if (auto type = create_thing_type(change, tables, {.name = "pump"}); !type) return fail(type.error());
      return {};
    });
    for (int begin = 0; begin < things; begin += 20'000) {
      run([&](state::Transaction& change) -> Status {
        for (int i = begin; i < std::min(things, begin + 20'000); ++i) {
          auto made = create_thing(change, tables, thing(i));
          if (!made) return fail(made.error());
        }
        return {};
      });
    }
    for (int i = 0; i < groups; ++i) add_group(i);
  }
  static Thing thing(int i) {
    return {.name = "thing-" + std::to_string(10'000'000 + i),
            .id = "id",
            .type = "pump",
            .attributes = {{"site", "site-" + std::to_string(i % 100)},
                           {"temperature", std::to_string(i % 97)},
                           {"firmware", "1." + std::to_string(i % 7)},
                           {"serial", std::to_string(i)}}};
  }
  void run(const std::function<Status(state::Transaction&)>& change) {
    if (!store.transact(change)) std::abort();
  }
  void add_group(int i) {
    std::string text = "thingTypeName:pump AND attributes.site:site-" + std::to_string(i);
    if (i % 10 == 1)
      text = "attributes.temperature>" + std::to_string(90 + i % 7) + " NOT attributes.firmware:1.3";
    if (i == 0) text = "connectivity.connected:true";
    run([&](state::Transaction& change) -> Status {
      auto made = create_dynamic_group(change, tables, {.name = "group-" + std::to_string(i), .query = text},
                                       *FleetQuery::parse(text));
      if (!made) return fail(made.error());
      return {};
    });
  }
  void take_to_all_things(size_t things_max) {
    for (bool more = true; more;) {
      run([&](state::Transaction& change) -> Status {
        more = evaluate_slice(change, tables, things_max);
        return {};
      });
    }
  }
  state::Store store;
  Tables tables;
};

// One thing against the queries of all dynamic groups; nothing changes.
void evaluate_one_thing(benchmark::State& state) {
  Fleet fleet(1000, static_cast<int>(state.range(0)));
  fleet.take_to_all_things(1000);
  fleet.run([&](state::Transaction& change) -> Status {
    int i = 0;
    for (auto _ : state) evaluate_thing(change, fleet.tables, Fleet::thing(i++ % 1000).name);
    return {};
  });
}
BENCHMARK(evaluate_one_thing)->Arg(1)->Arg(10)->Arg(100);

// The same without the index of required terms.
void match_every_query(benchmark::State& state) {
  Fleet fleet(1, static_cast<int>(state.range(0)));
  const auto snapshot = fleet.store.snapshot();
  const QuerySet* set = snapshot->get(fleet.tables.queries).find("");
  const Thing thing = Fleet::thing(5);
  const Connectivity connectivity;
  const ThingDocument document{thing, {}, &connectivity};
  for (auto _ : state) {
    for (const auto& entry : set->entries()) benchmark::DoNotOptimize(entry.query->matches(document));
  }
}
BENCHMARK(match_every_query)->Arg(100);

// Devices that come, in transactions as large as the stage's; each changes one membership.
void connect_a_thing(benchmark::State& state) {
  Fleet fleet(100'000, 100);
  fleet.take_to_all_things(10'000);
  constexpr int kBatch = 2000;
  std::vector<ConnectivityChange> changes(kBatch);
  int next = 0;
  bool connected = true;
  for (auto _ : state) {
    for (auto& change : changes) {
      if (next == 100'000) connected = !connected;
      next %= 100'000;
      change = {Fleet::thing(next++).name, {connected, {1}, {}}};
    }
    fleet.run([&](state::Transaction& change) -> Status {
      apply_connectivity(change, fleet.tables, changes);
      return {};
    });
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(connect_a_thing);

// Everything at once, as at start; then one more query in slices of 2,000 things.
void million_things(benchmark::State& state) {
  Fleet fleet(1'000'000, 100);
  for (auto _ : state) {
    fleet.take_to_all_things(1'000'000);
  }
  state.counters["memberships"] =
      static_cast<double>(fleet.store.snapshot()->get(fleet.tables.dynamic_group_things).size());
}
BENCHMARK(million_things)->Iterations(1)->Unit(benchmark::kMillisecond);

void million_things_in_slices(benchmark::State& state) {
  Fleet fleet(1'000'000, 99);
  fleet.take_to_all_things(1'000'000);
  fleet.add_group(99);
  int slices = 0;
  for (auto _ : state) {
    for (bool more = true; more; ++slices) {
      fleet.run([&](state::Transaction& change) -> Status {
        more = evaluate_slice(change, fleet.tables, 2000);
        return {};
      });
    }
  }
  state.counters["slices"] = slices;
}
BENCHMARK(million_things_in_slices)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace fleetward::registry

BENCHMARK_MAIN();
