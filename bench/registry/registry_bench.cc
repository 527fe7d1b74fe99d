#include <benchmark/benchmark.h>

#include "registry/certificates.h"
#include "registry/device_authorizer.h"
#include "registry/pki.h"
#include "registry/policies.h"

// What a connection's authorization costs, and a device's keys.
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

}  // namespace
}  // namespace fleetward::registry

BENCHMARK_MAIN();
