// Runs cases.txt: a conversation with the service, from top to bottom. A line is an operation and its
// arguments; "=" is the answer it must give, "!" the error: status, name, and part of the message. "ID"
// stands for any string, "TIME" for any number. "#" starts a comment; "@" lines change the world: what they
// do is in act().
#include "api/firehose/firehose.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "core/encoding.h"
#include "identity/identities.h"
#include "log/memory_log.h"
#include "test/unit/api/service_role.h"

namespace fleetward::api::firehose {
namespace {

constexpr const char* kAccount = "123456789012";

// Strings and numbers that differ from run to run.
bool matches(const json::value& got, const json::value& expected) {
  if (expected.is_string() && expected.get_string() == "ID")
    return got.is_string() && !got.get_string().empty();
  if (expected.is_string() && expected.get_string() == "TIME") return got.is_number();
  if (got.is_object() && expected.is_object()) {
    if (got.get_object().size() != expected.get_object().size()) return false;
    for (const auto& member : expected.get_object()) {
      const json::value* same = got.get_object().if_contains(member.key());
      if (same == nullptr || !matches(*same, member.value())) return false;
    }
    return true;
  }
  if (got.is_array() && expected.is_array()) {
    if (got.get_array().size() != expected.get_array().size()) return false;
    for (size_t i = 0; i < expected.get_array().size(); ++i) {
      if (!matches(got.get_array()[i], expected.get_array()[i])) return false;
    }
    return true;
  }
  return json::serialize(got) == json::serialize(expected);
}

class Conversation : public testing::Test {
 protected:
  Conversation() {
    EXPECT_TRUE(store_.open(":memory:"));
    const identity::Role role = service_role("delivery", "firehose.amazonaws.com");
    EXPECT_TRUE(store_.transact([&](state::Transaction& t) -> Status {
      t.put(identities_.roles, identity::name_key(role.name), role);
      return {};
    }));
    caller_.kind = identity::Caller::Kind::kRoot;
    caller_.account = kAccount;
  }

  void set_status(const std::string& name, delivery::StreamStatus status) {
    ASSERT_TRUE(store_.transact([&](state::Transaction& t) -> Status {
      delivery::Stream stream = *t.get(tables_.streams).find(name);
      stream.status = status;
      t.put(tables_.streams, name, std::move(stream));
      return {};
    }));
  }
  void act(const std::string& line) {
    std::istringstream words(line);
    std::string what, argument;
    words >> what;
    std::getline(words >> std::ws, argument);
    if (what == "@activate") {
      set_status(argument, delivery::StreamStatus::kActive);
    } else if (what == "@remove") {
      ASSERT_TRUE(store_.transact([&](state::Transaction& t) -> Status {
        t.erase(tables_.streams, argument);
        return {};
      }));
    } else if (what == "@error") {
      last_error_ = argument;
    } else if (what == "@trouble") {
      log_.set_trouble(argument);
    } else if (what == "@records") {
      const auto stream = *store_.snapshot()->get(tables_.streams).find("metrics");
      std::string all;
      const auto records = log_.read(delivery::records_of(stream), 0, 1 << 20);
      for (const auto& record : *records) all += record.value + "|";
      EXPECT_EQ(all, argument);
    } else {
      FAIL() << "unknown line: " << line;
    }
  }
  http::ApiResult<json::object> run(const std::string& line) {
    const size_t space = line.find(' ');
    const auto arguments = json::parse(line.substr(space + 1), {size_t{16} << 20, 32});
    EXPECT_TRUE(arguments) << line;
    for (const auto& operation : service_.operations) {
      if (operation.name == line.substr(0, space) && operation.run) {
        return operation.run(
            http::Call{.caller = caller_, .source_address = {}, .request_id = {}, .payload = {}},
            arguments->get_object());
      }
    }
    ADD_FAILURE() << "no operation: " << line;
    return http::api_fail(500, "none", "");
  }

  log::MemoryLog log_;
  state::Store store_;
  identity::Tables identities_ = identity::Tables::add_to(store_);
  delivery::Tables tables_ = delivery::Tables::add_to(store_);
  identity::Authorizer authorizer_{store_, identities_,
                                   AccountScope{AccountId::trusted(kAccount), "eu-west-1"}};
  ManualClock clock_;
  SeededRandom random_{3};
  identity::Caller caller_;
  std::string last_error_;
  http::Service service_ = service({.store = store_,
                                    .tables = tables_,
                                    .log = log_,
                                    .authorizer = authorizer_,
                                    .clock = clock_,
                                    .random = random_,
                                    .last_error = [this](const std::string&) { return last_error_; }});
};

TEST_F(Conversation, GoesAsWritten) {
  std::ifstream in(std::string(FLEETWARD_TEST_DATA) + "/firehose/cases.txt");
  ASSERT_TRUE(in);
  std::string line, request;
  http::ApiResult<json::object> answer;
  for (int number = 1; std::getline(in, line); ++number) {
    SCOPED_TRACE("cases.txt:" + std::to_string(number));
    if (line.empty() || line[0] == '#') continue;
    if (line[0] == '@') {
      act(line);
    } else if (line[0] == '=') {
      ASSERT_TRUE(answer) << request << "\n" << answer.error().name << ": " << answer.error().message;
      const auto expected = json::parse(line.substr(1));
      ASSERT_TRUE(expected) << line;
      EXPECT_TRUE(matches(*answer, *expected)) << request << "\n" << json::serialize(*answer);
    } else if (line[0] == '!') {
      ASSERT_FALSE(answer) << request << "\n" << json::serialize(*answer);
      std::istringstream words(line.substr(1));
      int status = 0;
      std::string name, part;
      words >> status >> name;
      std::getline(words >> std::ws, part);
      EXPECT_EQ(answer.error().status, status) << request;
      EXPECT_EQ(answer.error().name, name) << request << "\n" << answer.error().message;
      EXPECT_NE(answer.error().message.find(part), std::string::npos) << request << "\n"
                                                                      << answer.error().message;
    } else {
      request = line;
      answer = run(line);
    }
  }
}

TEST_F(Conversation, BoundsOfRecordsAndBatches) {
  ASSERT_TRUE(run(R"(CreateDeliveryStream {"DeliveryStreamName":"metrics","S3DestinationConfiguration":{
    "RoleARN":"arn:aws:iam::123456789012:role/delivery","BucketARN":"arn:aws:s3:::lake"}})"));
  act("@activate metrics");
  const auto put = [&](size_t bytes) {
    return run(R"(PutRecord {"DeliveryStreamName":"metrics","Record":{"Data":")" +
               to_base64(std::string(bytes, 'x')) + "\"}}");
  };
  EXPECT_TRUE(put(0));
  EXPECT_TRUE(put(delivery::kRecordBytesMax));
  EXPECT_FALSE(put(delivery::kRecordBytesMax + 1));
  const auto batch = [&](size_t count, size_t bytes) {
    std::string text = R"(PutRecordBatch {"DeliveryStreamName":"metrics","Records":[)";
    const std::string record = R"({"Data":")" + to_base64(std::string(bytes, 'x')) + "\"}";
    for (size_t i = 0; i < count; ++i) text += (i == 0 ? "" : ",") + record;
    return run(text + "]}");
  };
  EXPECT_FALSE(batch(0, 1));
  EXPECT_TRUE(batch(500, 1));
  EXPECT_FALSE(batch(501, 1));
  EXPECT_TRUE(batch(4, 1'024'000));
  EXPECT_FALSE(batch(5, 1'024'000));  // over 4 MiB
}

}  // namespace
}  // namespace fleetward::api::firehose
