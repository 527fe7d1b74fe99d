// The worker with its threads, a real store and real roles. Nothing here waits for time to pass: streams have
// an interval of 0 and the tests wait for what the worker does.
#include "delivery/worker.h"

#include <condition_variable>

#include "core/steady_clock.h"
#include "identity/identities.h"
#include "test/unit/delivery/fakes.h"

namespace fleetward::delivery {
namespace {

constexpr const char* kAccount = "123456789012";

class WorkerTest : public testing::Test {
 protected:
  WorkerTest() {
    EXPECT_TRUE(store_.open(":memory:"));
    store_.on_change([this](state::SnapshotPtr) { notify(); });
    sink_.stored = [this] { notify(); };
    put_role("s3:PutObject");
  }
  void notify() {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }
  void wait_until(const std::function<bool()>& condition) {
    std::unique_lock lock(mutex_);
    while (!condition()) {
      if (changed_.wait_for(lock, std::chrono::seconds(20)) == std::cv_status::timeout && !condition()) {
        FAIL() << "did not happen";
      }
    }
  }
  // Of the bucket, about everything in it.
  void put_bucket_policy(const std::string& effect, const std::string& principal) {
    sink_.set_policy(
        identity::PolicyDocument::parse(R"({"Version":"2012-10-17","Statement":[{"Effect":")" + effect +
                                            R"(","Action":"s3:PutObject","Resource":"arn:aws:s3:::lake/*",
                                            "Principal":)" +
                                            principal + "}]}",
                                        {.principal_required = true})
            .value());
  }
  void put_role(const std::string& action) {
    identity::Role role;
    role.name = "delivery";
    role.path = "/";
    role.trust = identity::PolicyDocument::parse(
                     R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
                       "Principal":{"Service":"firehose.amazonaws.com"},
                       "Condition":{"StringEquals":{"sts:ExternalId":"123456789012"}}}]})",
                     identity::kTrustRules)
                     .value();
    role.grants.inline_policies["put"] =
        identity::PolicyDocument::parse(R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow",
          "Action":")" + action + R"(","Resource":"arn:aws:s3:::lake/*"}]})",
                                        identity::kInlineRules)
            .value();
    ASSERT_TRUE(store_.transact([&](state::Transaction& t) -> Status {
      t.put(identities_.roles, identity::name_key(role.name), role);
      return {};
    }));
  }
  Stream put_stream(const std::string& name, const std::string& id,
                    StreamStatus status = StreamStatus::kCreating) {
    Stream s;
    s.id = id;
    s.name = name;
    s.arn = "arn:aws:firehose:eu-west-1:123456789012:deliverystream/" + name;
    s.status = status;
    s.destination.bucket = "lake";
    s.destination.role_arn = "arn:aws:iam::123456789012:role/delivery";
    s.destination.buffer_seconds = 0;
    EXPECT_TRUE(store_.transact([&](state::Transaction& t) -> Status {
      t.put(tables_.streams, name, s);
      return {};
    }));
    return s;
  }
  const Stream* find(const std::string& name) {
    snapshot_ = store_.snapshot();
    return snapshot_->get(tables_.streams).find(name);
  }
  void append(const Stream& stream, const std::string& value) {
    log::Batch batch;
    delivery::append(batch, stream, value, clock_.now());
    ASSERT_TRUE(log_.write(std::move(batch)));
  }

  Logger logger_ = Logger::none();
  Metrics metrics_;
  SystemClock clock_;
  SteadyClock steady_;
  SeededRandom random_{4};
  log::MemoryLog log_;
  state::Store store_;
  identity::Tables identities_ = identity::Tables::add_to(store_);
  Tables tables_ = Tables::add_to(store_);
  identity::Authorizer authorizer_{store_, identities_,
                                   AccountScope{AccountId::trusted(kAccount), "eu-west-1"}};
  FakeSink sink_;
  state::SnapshotPtr snapshot_;
  std::mutex mutex_;
  std::condition_variable changed_;
  WorkerOptions options_{
      .account = kAccount, .retry_min = Duration{1}, .retry_max = Duration{5}, .scan_interval = Duration{1}};
  Worker worker_{options_, log_,    store_,  tables_, authorizer_, sink_,
                 clock_,   steady_, random_, logger_, metrics_};
};

TEST_F(WorkerTest, ActivatesDeliversAndRemoves) {
  worker_.start();
  const Stream a = put_stream("a", "id-a");
  wait_until([&] { return find("a")->status == StreamStatus::kActive; });
  std::string sent;
  for (int i = 0; i < 50; ++i) {
    append(a, std::to_string(i) + ";");
    sent += std::to_string(i) + ";";
  }
  wait_until([&] { return sink_.content() == sent; });
  put_stream("a", "id-a", StreamStatus::kDeleting);
  wait_until([&] { return find("a") == nullptr; });
  EXPECT_TRUE(log_.partitions("records/").empty());
  EXPECT_TRUE(log_.scan("delivery/", "delivery0", 10, false)->empty());
  worker_.stop();
}

TEST_F(WorkerTest, ARefusedRoleIsShownAndRepaired) {
  put_role("s3:GetObject");
  worker_.start();
  const Stream a = put_stream("a", "id-a", StreamStatus::kActive);
  append(a, "x");
  while (worker_.last_error("id-a").empty()) std::this_thread::yield();
  EXPECT_NE(worker_.last_error("id-a").find("s3:PutObject"), std::string::npos) << worker_.last_error("id-a");
  EXPECT_EQ(sink_.attempts, 0);
  put_role("s3:PutObject");
  wait_until([&] { return sink_.content() == "x"; });
  worker_.stop();
  EXPECT_EQ(worker_.last_error("id-a"), "");
}

TEST_F(WorkerTest, ABucketPolicyStopsWhatTheRoleAllows) {
  put_bucket_policy("Deny", R"({"AWS":"arn:aws:iam::123456789012:role/delivery"})");
  const Stream a = put_stream("a", "id-a", StreamStatus::kActive);
  append(a, "x");
  worker_.start();
  while (worker_.last_error("id-a").empty()) std::this_thread::yield();
  EXPECT_EQ(
      worker_.last_error("id-a").find("User: arn:aws:iam::123456789012:role/delivery is not authorized to "
                                      "perform: s3:PutObject on resource: arn:aws:s3:::lake/"),
      0U);
  EXPECT_NE(worker_.last_error("id-a").find("with an explicit deny in a resource-based policy"),
            std::string::npos);
  EXPECT_EQ(sink_.attempts, 0);
  sink_.set_policy(nullptr);
  wait_until([&] { return sink_.content() == "x"; });
  worker_.stop();
}

TEST_F(WorkerTest, ABucketPolicyIsEnoughForTheRoleItNames) {
  put_role("s3:GetObject");
  put_bucket_policy("Allow", R"({"AWS":"arn:aws:iam::123456789012:root"})");  // leaves it to the role
  worker_.start();
  const Stream a = put_stream("a", "id-a", StreamStatus::kActive);
  append(a, "x");
  while (worker_.last_error("id-a").empty()) std::this_thread::yield();
  EXPECT_NE(worker_.last_error("id-a").find("no identity-based policy allows"), std::string::npos);
  put_bucket_policy("Allow", R"({"AWS":"arn:aws:iam::123456789012:role/delivery"})");
  wait_until([&] { return sink_.content() == "x"; });
  worker_.stop();
}

TEST_F(WorkerTest, GoesOnFromTheLogAfterAStart) {
  const Stream a = put_stream("a", "id-a", StreamStatus::kActive);
  append(a, "before;");
  worker_.start();
  wait_until([&] { return sink_.content() == "before;"; });
  worker_.stop();
}

TEST_F(WorkerTest, SweepsRecordsOfStreamsThatAreGone) {
  Stream gone;
  gone.id = "id-gone";
  append(gone, "late");
  worker_.start();
  put_stream("a", "id-a");
  wait_until([&] { return find("a")->status == StreamStatus::kActive; });
  // A second change is taken up only after the first was dealt with, sweep included.
  put_stream("b", "id-b");
  wait_until([&] { return find("b")->status == StreamStatus::kActive; });
  worker_.stop();
  EXPECT_TRUE(log_.partitions("records/id-gone").empty());
}

TEST_F(WorkerTest, ManyStreamsAtOnce) {
  worker_.start();
  std::vector<Stream> streams;
  for (int i = 0; i < 40; ++i) {
    streams.push_back(put_stream("s" + std::to_string(i), "id-" + std::to_string(i), StreamStatus::kActive));
  }
  size_t bytes = 0;
  for (int round = 0; round < 20; ++round) {
    for (const Stream& s : streams) {
      append(s, s.name + "|");
      bytes += s.name.size() + 1;
    }
  }
  wait_until([&] { return sink_.content().size() == bytes; });
  worker_.stop();
}

}  // namespace
}  // namespace fleetward::delivery
