#include "detect/report.h"

#include <gtest/gtest.h>

#include "core/encoding.h"
#include "core/json.h"
#include "detect/event.h"

namespace fleetward::detect {
namespace {

// A small CBOR encoder of JSON documents, so that every case runs in both encodings.
void cbor_head(std::string& out, int major, uint64_t value) {
  const auto put = [&](int info, int bytes) {
    out.push_back(static_cast<char>(major << 5 | info));
    for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(value >> (8 * i)));
  };
  if (value < 24) {
    put(static_cast<int>(value), 0);
  } else if (value < 0x10000) {
    put(25, 2);
  } else {
    put(27, 8);
  }
}

void to_cbor(const json::value& value, std::string& out) {
  if (value.is_object()) {
    cbor_head(out, 5, value.get_object().size());
    for (const auto& [key, member] : value.get_object()) {
      to_cbor(json::value(key), out);
      to_cbor(member, out);
    }
  } else if (value.is_array()) {
    cbor_head(out, 4, value.get_array().size());
    for (const json::value& element : value.get_array()) to_cbor(element, out);
  } else if (value.is_string()) {
    cbor_head(out, 3, value.get_string().size());
    out += std::string_view(value.get_string());
  } else if (value.is_int64()) {
    const int64_t number = value.get_int64();
    cbor_head(out, number < 0 ? 1 : 0, static_cast<uint64_t>(number < 0 ? -1 - number : number));
  } else if (value.is_uint64()) {
    cbor_head(out, 0, value.get_uint64());
  } else if (value.is_double()) {
    out.push_back(static_cast<char>(0xfb));
    const auto bits = std::bit_cast<uint64_t>(value.get_double());
    for (int i = 7; i >= 0; --i) out.push_back(static_cast<char>(bits >> (8 * i)));
  } else {
    out.push_back(static_cast<char>(value.is_bool() ? (value.get_bool() ? 0xf5 : 0xf4) : 0xf6));
  }
}

std::string cbor_of(std::string_view text) {
  std::string out;
  to_cbor(*json::parse(text), out);
  return out;
}

constexpr std::string_view kFull = R"({
  "header":{"report_id":1767225600,"version":"1.0"},
  "metrics":{
    "tcp_connections":{"established_connections":{
      "connections":[{"remote_addr":"203.0.113.7:8883","local_port":51544,"local_interface":"wlan0"},
                     {"remote_addr":"[2001:db8::1]:443"},{"remote_addr":"2001:db8::2:443"}],"total":7}},
    "listening_tcp_ports":{"ports":[{"port":22,"interface":"eth0"},{"port":443}],"total":2},
    "listening_udp_ports":{"ports":[],"total":0},
    "network_stats":{"bytes_in":48211,"bytes_out":9120,"packets_in":301,"packets_out":77}},
  "custom_metrics":{
    "rssi_dbm":[{"number":-71.5}],"load":[{"number_list":[12,8.5,-3]}],
    "units":[{"string_list":["sshd","agent"]}],"dns":[{"ip_list":["192.0.2.53","2001:db8::53"]}]}})";
// Each member in its short form, mixed with long ones.
constexpr std::string_view kShort = R"({
  "hed":{"rid":1767225600,"version":"1.0"},
  "met":{"tc":{"ec":{"cs":[{"rad":"203.0.113.7:8883","lp":51544,"li":"wlan0"},
                     {"remote_addr":"[2001:db8::1]:443"},{"rad":"2001:db8::2:443"}],"t":7}},
    "tp":{"pts":[{"pt":22,"if":"eth0"},{"pt":443}],"t":2},
    "up":{"ports":[],"t":0},
    "ns":{"bi":48211,"bo":9120,"pi":301,"po":77}},
  "cmet":{
    "rssi_dbm":[{"number":-71.5}],"load":[{"number_list":[12,8.5,-3]}],
    "units":[{"string_list":["sshd","agent"]}],"dns":[{"ip_list":["192.0.2.53","2001:db8::53"]}]}})";

void expect_full(const Report& report) {
  EXPECT_EQ(report.id, 1767225600);
  EXPECT_EQ(report.version, "1.0");
  EXPECT_EQ(report.present, 0x3ff);
  EXPECT_EQ(report.value(Builtin::kAllBytesOut).count, 9120U);
  EXPECT_EQ(report.value(Builtin::kAllBytesIn).count, 48211U);
  EXPECT_EQ(report.value(Builtin::kAllPacketsOut).count, 77U);
  EXPECT_EQ(report.value(Builtin::kAllPacketsIn).count, 301U);
  EXPECT_EQ(report.value(Builtin::kNumListeningTcpPorts).count, 2U);
  EXPECT_EQ(report.value(Builtin::kNumListeningUdpPorts).count, 0U);
  EXPECT_EQ(report.value(Builtin::kNumEstablishedTcpConnections).count, 7U);
  ASSERT_EQ(report.destinations.size(), 3U);
  EXPECT_EQ(report.destinations[0].text(), "203.0.113.7");
  EXPECT_EQ(report.destinations[1].text(), "2001:db8::1");
  EXPECT_EQ(report.destinations[2].text(), "2001:db8::2");
  EXPECT_EQ(report.tcp_ports, (std::vector<uint16_t>{22, 443}));
  EXPECT_TRUE(report.udp_ports.empty());
  std::string customs;
  for (const CustomReading& reading : report.customs) {
    customs += std::string(reading.name) + json::serialize(to_json(Value::copy(report.value(reading))));
  }
  EXPECT_EQ(customs, R"(rssi_dbm{"number":-71.5}load{"numbers":[12,8.5,-3]}units{"strings":["sshd","agent"]})"
                     R"(dns{"cidrs":["192.0.2.53","2001:db8::53"]})");
}

TEST(Report, LongAndShortNamesInBothEncodings) {
  ReportParser parser;
  Report report;
  for (const std::string_view text : {kFull, kShort}) {
    const auto json = parser.parse(ReportFormat::kJson, text, report);
    ASSERT_TRUE(json) << json.error().message;
    expect_full(report);
    const auto cbor = parser.parse(ReportFormat::kCbor, cbor_of(text), report);
    ASSERT_TRUE(cbor) << cbor.error().message;
    expect_full(report);
  }
}

TEST(Report, StoredFormReadsBack) {
  ReportParser parser;
  Report report;
  ASSERT_TRUE(parser.parse(ReportFormat::kJson, kFull, report));
  std::string bytes;
  encode_report_event("pump-17", {1767225600123}, report, bytes);
  Event event;
  ASSERT_TRUE(decode_event(bytes, event));
  EXPECT_EQ(event.thing, "pump-17");
  EXPECT_EQ(event.time.ms, 1767225600123);
  expect_full(event.report);
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    EXPECT_FALSE(decode_event(std::string_view(bytes).substr(0, cut), event)) << cut;
  }
  for (size_t i = 0; i < bytes.size(); ++i) {  // any flipped byte: an error or a report, never more
    std::string broken = bytes;
    broken[i] = static_cast<char>(broken[i] ^ 0xff);
    (void)decode_event(broken, event);
  }
}

struct Refused {
  const char* text;
  const char* code;
  const char* part;  // of the reason
};

TEST(Report, RefusalsNameTheReason) {
  const Refused cases[] = {
      {R"([])", "InvalidPayload", "not an object"},
      {R"({"metrics":{}})", "MissingHeader", "header"},
      {R"({"header":{"version":"1.0"},"metrics":{}})", "InvalidPayload", "report_id is missing"},
      {R"({"header":{"report_id":1},"metrics":{}})", "InvalidPayload", "version is missing"},
      {R"({"header":{"report_id":0,"version":"1.0"},"metrics":{}})", "InvalidPayload", "out of range"},
      {R"({"header":{"report_id":-4,"version":"1.0"},"metrics":{}})", "InvalidPayload", "negative"},
      {R"({"header":{"report_id":1.5,"version":"1.0"},"metrics":{}})", "InvalidPayload", "whole"},
      {R"({"header":{"report_id":"1","version":"1.0"},"metrics":{}})", "InvalidPayload", "not a number"},
      {R"({"header":{"report_id":1,"version":1.0},"metrics":{}})", "InvalidPayload", "not a string"},
      {R"({"header":{"report_id":1,"version":"one"},"metrics":{}})", "InvalidPayload", "Major.Minor"},
      {R"({"header":{"report_id":1,"version":"1.0"}})", "InvalidPayload", "neither"},
      {R"({"header":1,"metrics":{}})", "InvalidPayload", "header is not an object"},
      {R"({"header":{"report_id":1,"version":"1.0"},"metrics":{"ns":{"bi":-1}}})", "InvalidPayload",
       "bytes_in is negative"},
      {R"({"header":{"report_id":1,"version":"1.0"},"metrics":{"ns":{"bi":9223372036854775808}}})",
       "InvalidPayload", "out of range"},
      {R"({"header":{"report_id":1,"version":"1.0"},"metrics":{"tp":{"pts":{}}}})", "InvalidPayload",
       "not a list"},
      {R"({"header":{"report_id":1,"version":"1.0"},"metrics":{"tp":{"pts":[{"pt":0}]}}})", "InvalidPayload",
       "out of range"},
      {R"({"header":{"report_id":1,"version":"1.0"},"metrics":{"tc":{"ec":{"cs":[{}]}}}})", "InvalidPayload",
       "without remote_addr"},
      {R"({"header":{"report_id":1,"version":"1.0"},"metrics":{"tc":{"ec":{"cs":[{"rad":"x"}]}}}})",
       "InvalidPayload", "address:port"},
      {R"({"header":{"report_id":1,"version":"1.0"},"custom_metrics":{"m":{"number":1}}})", "InvalidPayload",
       "custom_metrics.m is not a list of one object"},
      {R"({"header":{"report_id":1,"version":"1.0"},"custom_metrics":{"m":[]}})", "InvalidPayload",
       "list of"},
      {R"({"header":{"report_id":1,"version":"1.0"},"custom_metrics":{"m":[{"number":1,"ip_list":[]}]}})",
       "InvalidPayload", "list of one"},
      {R"({"header":{"report_id":1,"version":"1.0"},"custom_metrics":{"m":[{"number":"1"}]}})",
       "InvalidPayload", "not a number"},
      {R"({"header":{"report_id":1,"version":"1.0"},"custom_metrics":{"m":[{"color":1}]}})", "InvalidPayload",
       "unknown type"},
      {R"({"header":{"report_id":1,"version":"1.0"},"metrics":{"x":[[[[[[[[[[[[[1]]]]]]]]]]]]]}})",
       "InvalidPayload", ""},
  };
  ReportParser parser;
  Report report;
  for (const Refused& c : cases) {
    for (const ReportFormat format : {ReportFormat::kJson, ReportFormat::kCbor}) {
      const std::string payload = format == ReportFormat::kJson ? std::string(c.text) : cbor_of(c.text);
      const auto result = parser.parse(format, payload, report);
      ASSERT_FALSE(result) << c.text;
      EXPECT_EQ(to_string(result.error().code), c.code) << c.text << " " << result.error().message;
      EXPECT_NE(result.error().message.find(c.part), std::string::npos)
          << c.text << " " << result.error().message;
    }
  }
}

TEST(Report, RejectionCarriesTheReportIdWhenItWasRead) {
  ReportParser parser;
  Report report;
  const auto result =
      parser.parse(ReportFormat::kJson, R"({"header":{"report_id":77,"version":"1.0"},"metrics":5})", report);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().report_id, 77);
}

TEST(Report, BrokenDocuments) {
  ReportParser parser;
  Report report;
  for (const std::string_view text : {"", "{", "nul", "{\"header\":}", "\xff\xfe", "{\"a\":\"\xc3\"}",
                                      "{\"a\":1e999}", "{\"a\":NaN}", "{} {}"}) {
    EXPECT_FALSE(parser.parse(ReportFormat::kJson, text, report)) << text;
  }
  // Cut short; a huge list; a break where none may be; a key that is no text; a text that is not UTF-8;
  // a text of indefinite length; bytes after the document; a NaN.
  for (const std::string_view hex :
       {"", "a1", "9bffffffffffffffff", "bbffffffffffffffff", "ff", "a1ff", "bf6161ff", "a10102",
        "a161c3616161", "a161617f6161ff", "a0a0", "7bffffffffffffffff61", "1c"}) {
    EXPECT_FALSE(parser.parse(ReportFormat::kCbor, *from_hex(hex), report)) << hex;
  }
  const std::string good = cbor_of(kFull);
  for (size_t cut = 0; cut < good.size(); ++cut) {
    EXPECT_FALSE(parser.parse(ReportFormat::kCbor, std::string_view(good).substr(0, cut), report));
  }
  for (size_t cut = 0; cut < kFull.size(); ++cut) {
    EXPECT_FALSE(parser.parse(ReportFormat::kJson, kFull.substr(0, cut), report));
  }
}

TEST(Report, CborOfIndefiniteLengthWithTagsAndHalfFloats) {
  // {_ "hed": {_ "rid": 1(7), "v": "1.0"}, "cmet": {_ "m": [_ {_ "number": f16 1.5}]}}
  const std::string bytes = *from_hex(
      "bf"
      "63686564"
      "bf"
      "63726964"
      "c107"
      "6176"
      "63312e30"
      "ff"
      "64636d6574"
      "bf"
      "616d"
      "9f"
      "bf"
      "666e756d626572"
      "f93e00"
      "ff"
      "ff"
      "ff"
      "ff");
  ReportParser parser;
  Report report;
  const auto result = parser.parse(ReportFormat::kCbor, bytes, report);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(report.id, 7);
  ASSERT_EQ(report.customs.size(), 1U);
  EXPECT_EQ(report.customs[0].number, 1.5);
}

TEST(Report, GuardsAndDroppedCustomMetrics) {
  ReportLimits limits;
  limits.list_elements_max = 2;
  limits.custom_metrics_max = 3;
  ReportParser parser(limits);
  Report report;
  const auto parse = [&](const std::string& customs) {
    return parser.parse(ReportFormat::kJson,
                        R"({"header":{"report_id":1,"version":"1.0"},"custom_metrics":{)" + customs + "}}",
                        report);
  };
  EXPECT_FALSE(parse(R"("a":[{"number_list":[1,2,3]}])"));
  EXPECT_FALSE(parse(R"("a":[{"number":1}],"b":[{"number":1}],"c":[{"number":1}],"d":[{"number":1}])"));
  // A name that cannot exist and an address that is none are left out; the rest stands.
  ASSERT_TRUE(parse(R"("a b":[{"number":1}],"c":[{"ip_list":["nowhere"]}],"d":[{"number":4}])"));
  EXPECT_EQ(report.dropped, 2U);
  ASSERT_EQ(report.customs.size(), 1U);
  EXPECT_EQ(report.customs[0].name, "d");
}

TEST(CidrSet, RangesMergeAndAnswer) {
  const auto set = CidrSet::parse({"10.0.0.0/8", "10.1.0.0/16", "192.0.2.7", "2001:db8::/32", "9.0.0.0/8"});
  ASSERT_TRUE(set);
  const auto in = [&](std::string_view text) {
    IpAddress address;
    EXPECT_TRUE(IpAddress::parse(text, address)) << text;
    return set->contains(address);
  };
  EXPECT_TRUE(in("10.255.255.255"));
  EXPECT_TRUE(in("9.0.0.0"));
  EXPECT_FALSE(in("11.0.0.0"));
  EXPECT_FALSE(in("8.255.255.255"));
  EXPECT_TRUE(in("192.0.2.7"));
  EXPECT_FALSE(in("192.0.2.8"));
  EXPECT_TRUE(in("2001:db8:ffff::1"));
  EXPECT_FALSE(in("2001:db9::"));
  EXPECT_TRUE(CidrSet::parse({"0.0.0.0/0", "::/0"}));
  for (const char* bad :
       {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "x", "::/129", "10.0.0.0/-1", "01.2.3.4"}) {
    EXPECT_FALSE(CidrSet::parse({bad})) << bad;
  }
}

}  // namespace
}  // namespace fleetward::detect
