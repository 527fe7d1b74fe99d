#include "app/simulate/device_model.h"

#include <set>

#include <gtest/gtest.h>

#include "core/encoding.h"
#include "core/json.h"

namespace fleetward::app::simulate {
namespace {

constexpr Timestamp kNow{1767225600123};

json::object parsed(const std::string& text) {
  auto value = json::parse(text);
  EXPECT_TRUE(value && value->is_object()) << text;
  return value->get_object();
}

TEST(DeviceModel, TheSameSeedGivesTheSameReports) {
  DeviceModel a(7, 3);
  DeviceModel b(7, 3);
  DeviceModel other_device(7, 4);
  DeviceModel other_seed(8, 3);
  std::set<std::string> first;
  for (int i = 0; i < 20; ++i) {
    const Timestamp now = kNow + Duration{i * 1000};
    const auto text = encode_report(a.next_report(now, Attack::kNone), ReportFormat::kJson, {});
    EXPECT_EQ(text, encode_report(b.next_report(now, Attack::kNone), ReportFormat::kJson, {}));
    EXPECT_NE(text, encode_report(other_device.next_report(now, Attack::kNone), ReportFormat::kJson, {}));
    EXPECT_NE(text, encode_report(other_seed.next_report(now, Attack::kNone), ReportFormat::kJson, {}));
    first.insert(text);
  }
  EXPECT_EQ(first.size(), 20U);
}

TEST(DeviceModel, ReportIdsAlwaysRise) {
  DeviceModel device(1, 1);
  EXPECT_EQ(device.next_report(kNow, Attack::kNone).report_id, 1767225600);
  EXPECT_EQ(device.next_report(kNow, Attack::kNone).report_id, 1767225601);
  EXPECT_EQ(device.next_report(kNow - Duration{9'000}, Attack::kNone).report_id, 1767225602);
  EXPECT_EQ(device.next_report(kNow + Duration{60'000}, Attack::kNone).report_id, 1767225660);
}

TEST(DeviceModel, AttacksShowInTheirMetric) {
  for (uint64_t index = 0; index < 50; ++index) {
    DeviceModel device(1, index);
    const Report normal = device.next_report(kNow, Attack::kNone);
    EXPECT_GT(normal.signal_dbm, -100);
    EXPECT_LT(normal.bytes_out, 100'000U);
    EXPECT_EQ(normal.connections_total, 1U);
    EXPECT_LT(device.next_report(kNow, Attack::kWeakSignal).signal_dbm, -104);
    EXPECT_GT(device.next_report(kNow, Attack::kExfiltration).bytes_out, 29'000'000U);
    EXPECT_GE(device.next_report(kNow, Attack::kPortScan).connections_total, 200U);
    EXPECT_GT(device.next_report(kNow, Attack::kOpenPorts).listening_tcp_ports.size(), 4U);
    EXPECT_LT(device.next_telemetry(kNow, Attack::kNone).size(), 200U);
    EXPECT_GT(device.next_telemetry(kNow, Attack::kLargeMessages).size(), 100'000U);
  }
}

TEST(Attacks, Names) {
  for (const AttackInfo& info : attack_infos()) {
    EXPECT_EQ(parse_attack(info.name), info.attack);
    EXPECT_EQ(to_string(info.attack), info.name);
  }
  const auto none = parse_attack("ddos");
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("message-flood"), std::string::npos);
}

TEST(ReportCodec, JsonHasTheNamesOfTheService) {
  DeviceModel device(1, 1);
  const json::object report = parsed(
      encode_report(device.next_report(kNow, Attack::kWeakSignal), ReportFormat::kJson,
                    {.signal = "mobilerssi", .core_loads = "load", .units = "units", .dns_servers = "dns"}));
  EXPECT_EQ(json::int_or(*json::find_object(report, "header"), "report_id", 0), 1767225600);
  EXPECT_EQ(json::string_or(*json::find_object(report, "header"), "version"), "1.0");
  const json::object& metrics = *json::find_object(report, "metrics");
  for (const char* name :
       {"listening_tcp_ports", "listening_udp_ports", "network_stats", "tcp_connections"}) {
    EXPECT_TRUE(json::find_object(metrics, name)) << name;
  }
  const json::object& custom = *json::find_object(report, "custom_metrics");
  const json::array& signal = *json::find_array(custom, "mobilerssi");
  ASSERT_EQ(signal.size(), 1U);
  EXPECT_LT(json::int_or(signal[0].get_object(), "number", 0), -104);
  EXPECT_TRUE(json::find_array(json::find_array(custom, "load")->at(0).get_object(), "number_list"));
  EXPECT_TRUE(json::find_array(json::find_array(custom, "units")->at(0).get_object(), "string_list"));
  EXPECT_TRUE(json::find_array(json::find_array(custom, "dns")->at(0).get_object(), "ip_list"));
}

TEST(ReportCodec, WithoutCustomMetricsThereIsNoBlock) {
  DeviceModel device(1, 1);
  const Report report = device.next_report(kNow, Attack::kNone);
  const CustomMetricNames none{.signal = ""};
  EXPECT_FALSE(json::find(parsed(encode_report(report, ReportFormat::kJson, none)), "custom_metrics"));
}

TEST(ReportCodec, CborIsAMapOfThree) {
  DeviceModel device(1, 1);
  const std::string bytes =
      encode_report(device.next_report(kNow, Attack::kWeakSignal), ReportFormat::kCbor, {});
  EXPECT_EQ(to_hex(bytes.substr(0, 18)), "a366686561646572a2697265706f72745f69");
  // report_id as a 64-bit integer, the signal as a negative one.
  EXPECT_NE(bytes.find(*from_hex("1b000000006955b900")), std::string::npos);
}

TEST(ReportCodec, Answers) {
  const auto accepted = decode_answer(R"({"thingName":"t","reportId":5,"status":"ACCEPTED","timestamp":1})",
                                      ReportFormat::kJson);
  EXPECT_TRUE(accepted.accepted);
  EXPECT_EQ(accepted.report_id, 5);
  const auto rejected = decode_answer(
      R"({"status":"REJECTED","statusDetails":{"ErrorCode":"InvalidPayload","ErrorMessage":"Malformed metrics report"}})",
      ReportFormat::kJson);
  EXPECT_FALSE(rejected.accepted);
  EXPECT_EQ(rejected.report_id, 0);
  EXPECT_EQ(rejected.error, "InvalidPayload: Malformed metrics report");
  // {"reportId": 5, "status": "ACCEPTED"}
  const auto cbor =
      decode_answer(*from_hex("a2687265706f727449640566737461747573684143434550544544"), ReportFormat::kCbor);
  EXPECT_TRUE(cbor.accepted);
  EXPECT_EQ(cbor.report_id, 5);
  EXPECT_FALSE(decode_answer("\xff\xff", ReportFormat::kCbor).accepted);
  EXPECT_FALSE(decode_answer("nonsense", ReportFormat::kJson).accepted);
}

}  // namespace
}  // namespace fleetward::app::simulate
