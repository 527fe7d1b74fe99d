#include "pipeline/report_intake.h"

#include <gtest/gtest.h>

#include "core/encoding.h"
#include "detect/event.h"

namespace fleetward::pipeline {
namespace {

constexpr Timestamp kNow{1767226500712};
constexpr std::string_view kReport = R"({"header":{"report_id":1767226500,"version":"1.0"},"metrics":{}})";

class ReportIntakeTest : public testing::Test {
 protected:
  // "topic payload" of the answer.
  std::string send(std::string_view thing, std::string_view payload, Timestamp now = kNow,
                   detect::ReportFormat format = detect::ReportFormat::kJson) {
    batch_ = log::Batch();
    std::vector<broker::MessagePtr> replies;
    intake_->on_report(thing, format, payload, now, batch_, replies);
    EXPECT_EQ(replies.size(), 1U);
    return replies.at(0)->topic + " " + replies.at(0)->payload;
  }
  Metrics metrics_;
  ReportIntakeOptions options_;
  std::unique_ptr<ReportIntake> intake_ = make_report_intake(options_, metrics_);
  log::Batch batch_;
};

TEST_F(ReportIntakeTest, AcceptedReportsAreInTheBatchBeforeTheAnswer) {
  EXPECT_EQ(
      send("pump-17", kReport),
      R"($aws/things/pump-17/defender/metrics/json/accepted {"thingName":"pump-17","reportId":1767226500,)"
      R"("status":"ACCEPTED","timestamp":1767226500712})");
  ASSERT_EQ(batch_.appends.size(), 1U);
  EXPECT_EQ(batch_.appends[0].partition.stream, "events");
  EXPECT_EQ(batch_.appends[0].partition.index, partition_of("pump-17", options_.partitions));
  detect::Event event;
  ASSERT_TRUE(detect::decode_event(batch_.appends[0].value, event));
  EXPECT_EQ(event.thing, "pump-17");
  EXPECT_EQ(event.report.id, 1767226500);
}

TEST_F(ReportIntakeTest, RejectedReportsLeaveNothingBehind) {
  EXPECT_EQ(
      send("pump-17", R"({"header":{"report_id":5,"version":"1.0"},"custom_metrics":{"m":{"number":1}}})"),
      R"($aws/things/pump-17/defender/metrics/json/rejected {"thingName":"pump-17","reportId":5,)"
      R"("status":"REJECTED","statusDetails":{"ErrorCode":"InvalidPayload","ErrorMessage":)"
      R"("Malformed metrics report: custom_metrics.m is not a list of one object with one of number, )"
      R"(number_list, string_list, ip_list"},"timestamp":1767226500712})");
  EXPECT_TRUE(batch_.empty());
  EXPECT_NE(send("pump-17", R"({"metrics":{}})").find(R"("ErrorCode":"MissingHeader")"), std::string::npos);
  EXPECT_NE(send(std::string(129, 'x'), kReport).find("REJECTED"), std::string::npos);
  EXPECT_TRUE(batch_.empty());
}

TEST_F(ReportIntakeTest, CborIsAnsweredInCbor) {
  // {"hed": {"rid": 7, "v": "1.0"}, "met": {}}
  const std::string payload = *from_hex(
      "a2"
      "63686564"
      "a2"
      "63726964"
      "07"
      "6176"
      "63312e30"
      "636d6574"
      "a0");
  const std::string answer = send("t", payload, {1}, detect::ReportFormat::kCbor);
  const std::string topic = "$aws/things/t/defender/metrics/cbor/accepted ";
  ASSERT_EQ(answer.substr(0, topic.size()), topic);
  EXPECT_EQ(to_hex(answer.substr(topic.size())),
            "a4"
            "697468696e674e616d65"
            "6174"
            "687265706f72744964"
            "07"
            "66737461747573"
            "684143434550544544"
            "6974696d657374616d70"
            "01");
  EXPECT_NE(send("t", "\xff", {1}, detect::ReportFormat::kCbor).find("cbor/rejected \xa4"),
            std::string::npos);
}

TEST_F(ReportIntakeTest, TheMinimumDelayIsPerDevice) {
  options_.minimum_delay = Duration{300'000};
  intake_ = make_report_intake(options_, metrics_);
  EXPECT_NE(send("a", kReport).find("ACCEPTED"), std::string::npos);
  EXPECT_NE(send("b", kReport).find("ACCEPTED"), std::string::npos);
  EXPECT_NE(send("a", kReport, kNow + Duration{299'999}).find(R"("ErrorCode":"Throttled")"),
            std::string::npos);
  EXPECT_NE(send("a", kReport, kNow + Duration{300'000}).find("ACCEPTED"), std::string::npos);
}

TEST_F(ReportIntakeTest, TheRateIsTheAccounts) {
  options_.rate_max = 2;
  intake_ = make_report_intake(options_, metrics_);
  const Timestamp second{kNow.ms / 1000 * 1000};
  EXPECT_NE(send("a", kReport, second).find("ACCEPTED"), std::string::npos);
  EXPECT_NE(send("b", kReport, second + Duration{999}).find("ACCEPTED"), std::string::npos);
  EXPECT_NE(send("c", kReport, second + Duration{999}).find(R"("ErrorCode":"Throttled")"), std::string::npos);
  EXPECT_NE(send("c", kReport, second + Duration{1000}).find("ACCEPTED"), std::string::npos);
}

}  // namespace
}  // namespace fleetward::pipeline
