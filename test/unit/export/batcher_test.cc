#include "export/batcher.h"

#include <set>

#include <gtest/gtest.h>

#include "core/json.h"

namespace fleetward::exporting {
namespace {

using detect::ExportClass;

constexpr int64_t kTime = 1767226500000;

struct Given {
  std::string series, thing;
  ExportClass combine = ExportClass::kAsIs;
  detect::Value value;
  int64_t time_ms = kTime;
  uint32_t version = 1;
  std::string topic = "export/topic";
};

std::string encoded(const detect::Value& value) {
  std::vector<std::string_view> strings(value.strings.begin(), value.strings.end());
  detect::ValueView view;
  view.kind = value.kind;
  view.count = value.count;
  view.number = value.number;
  view.addresses = value.addresses;
  view.ports = value.ports;
  view.numbers = value.numbers;
  view.strings = strings;
  std::string out;
  detect::encode_value(view, out);
  return out;
}

detect::Value number(double n) {
  detect::Value value;
  value.kind = detect::ValueKind::kNumber;
  value.number = n;
  return value;
}

// Through the record of the log, as in the program.
void add(Batcher& batcher, const std::vector<Given>& points) {
  RecordWriter writer;
  for (const Given& given : points) {
    const std::string value = encoded(given.value);
    writer.add({given.topic,
                "arn:aws:iam::123456789012:role/export",
                "profile",
                given.series,
                given.thing,
                given.combine,
                given.version,
                {given.time_ms},
                value});
  }
  ASSERT_TRUE(read_record(writer.finish(), [&](const Point& point) { batcher.add(point); }));
}

std::string bodies(Batcher& batcher) {
  size_t oversize = 0;
  std::string out;
  for (const Payload& payload : batcher.finish("seed", oversize)) out += payload.body + "\n";
  return out;
}

TEST(Batcher, TheDocumentedPayload) {
  Batcher batcher{BatchOptions{}};
  detect::Value ports;
  ports.kind = detect::ValueKind::kPorts;
  ports.ports = {22, 443};
  add(batcher, {{"rssi_dbm", "pump-17", ExportClass::kAsIs, number(-71.5)},
                {"rssi_dbm", "pump-18", ExportClass::kAsIs, number(-102), kTime + 1, 2},
                {"aws:listening-tcp-ports", "pump-18", ExportClass::kAsIs, ports}});
  EXPECT_EQ(
      bodies(batcher),
      R"({"version":"1.0","metrics":[{"name":"aws:listening-tcp-ports","thing":"pump-18","value":{"ports":[22,443]},"version":1,"timestamp":1767226500000}]})"
      "\n"
      R"({"version":"1.0","metrics":[{"name":"rssi_dbm","thing":"pump-17","value":{"number":-71.5},"version":1,"timestamp":1767226500000},)"
      R"({"name":"rssi_dbm","thing":"pump-18","value":{"number":-102},"version":2,"timestamp":1767226500001}]})"
      "\n");
  EXPECT_TRUE(batcher.empty());
}

TEST(Batcher, CombinesByClass) {
  Batcher batcher{BatchOptions{}};
  const auto count = [](uint64_t n) { return detect::Value::of_count(n); };
  detect::Value one, two;
  one.kind = two.kind = detect::ValueKind::kCidrs;
  one.addresses.resize(1);
  two.addresses.resize(2);
  detect::IpAddress::parse("192.0.2.1", one.addresses[0]);
  detect::IpAddress::parse("192.0.2.1", two.addresses[0]);
  detect::IpAddress::parse("192.0.2.2", two.addresses[1]);
  add(batcher, {{"aws:num-messages-sent", "a", ExportClass::kSum, count(2)},
                {"aws:num-messages-sent", "b", ExportClass::kSum, count(5)},
                {"aws:num-messages-sent", "a", ExportClass::kSum, count(3), kTime + 9},
                {"aws:message-byte-size", "a", ExportClass::kSizeMin, count(7)},
                {"aws:message-byte-size", "a", ExportClass::kSizeMax, count(7)},
                {"aws:message-byte-size", "a", ExportClass::kSizeTotal, count(7)},
                {"aws:message-byte-size", "a", ExportClass::kSizeMin, count(5)},
                {"aws:message-byte-size", "a", ExportClass::kSizeMax, count(9)},
                {"aws:message-byte-size", "a", ExportClass::kSizeTotal, count(14)},
                {"aws:disconnect-duration", "a", ExportClass::kLatest, count(60)},
                {"aws:disconnect-duration", "a", ExportClass::kLatest, count(0)},
                {"aws:source-ip-address", "a", ExportClass::kUnion, one},
                {"aws:source-ip-address", "a", ExportClass::kUnion, two}});
  size_t oversize = 0;
  std::string found;
  for (const Payload& payload : batcher.finish("seed", oversize)) {
    const auto document = json::parse(payload.body);
    ASSERT_TRUE(document);
    for (const json::value& element : document->get_object().at("metrics").get_array()) {
      const json::object& o = element.get_object();
      found += std::string(json::string_or(o, "name")) + "/" + std::string(json::string_or(o, "thing")) +
               json::serialize(o.at("value")) + "@" +
               std::to_string(json::int_or(o, "timestamp", 0) - kTime) + " ";
    }
  }
  EXPECT_EQ(found, R"(aws:disconnect-duration/a{"count":0}@0 aws:message-byte-size-min/a{"count":5}@0 )"
                   R"(aws:message-byte-size-max/a{"count":9}@0 aws:message-byte-size-total/a{"count":21}@0 )"
                   R"(aws:num-messages-sent/a{"count":5}@9 aws:num-messages-sent/b{"count":5}@0 )"
                   R"(aws:source-ip-address/a{"cidrs":["192.0.2.1","192.0.2.2"]}@0 )");
}

TEST(Batcher, SplitsBelowTheBoundAndDropsWhatNeverFits) {
  BatchOptions options;
  options.payload_bytes_max = 400;
  Batcher batcher(options);
  std::vector<Given> points;
  for (int i = 0; i < 20; ++i)
    points.push_back({"m", "thing-" + std::to_string(i), ExportClass::kAsIs, number(i)});
  detect::Value huge;
  huge.kind = detect::ValueKind::kStrings;
  huge.strings = {std::string(500, 'x')};
  points.push_back({"m", "big", ExportClass::kAsIs, huge});
  add(batcher, points);
  size_t oversize = 0, elements = 0;
  const auto payloads = batcher.finish("seed", oversize);
  EXPECT_EQ(oversize, 1U);
  EXPECT_GE(payloads.size(), 5U);
  std::set<std::string> ids;
  for (const Payload& payload : payloads) {
    EXPECT_LT(payload.body.size(), 400U);
    EXPECT_TRUE(json::parse(payload.body));
    elements += payload.elements;
    ids.insert(payload.batch_id);
  }
  EXPECT_EQ(elements, 20U);
  EXPECT_EQ(ids.size(), payloads.size());
  add(batcher, points);
  EXPECT_EQ(batcher.finish("seed", oversize)[0].batch_id, payloads[0].batch_id);
  add(batcher, points);
  EXPECT_NE(batcher.finish("other", oversize)[0].batch_id, payloads[0].batch_id);
}

TEST(Batcher, OptionsForWhatTheSchemaLeavesOpen) {
  BatchOptions options;
  options.timestamp_unit = BatchOptions::TimestampUnit::kSeconds;
  options.size_names = BatchOptions::SizeNames::kTotal;
  Batcher batcher(options);
  add(batcher, {{"aws:message-byte-size", "a", ExportClass::kSizeMin, detect::Value::of_count(1)},
                {"aws:message-byte-size", "a", ExportClass::kSizeTotal, detect::Value::of_count(8)}});
  EXPECT_EQ(
      bodies(batcher),
      R"({"version":"1.0","metrics":[{"name":"aws:message-byte-size","thing":"a","value":{"count":8},"version":1,"timestamp":1767226500}]})"
      "\n");
}

TEST(Batcher, ADimensionIsAMember) {
  Batcher batcher{BatchOptions{}};
  const std::string in = "aws:num-messages-sent|IN|topics", out = "aws:num-messages-sent|NOT_IN|topics";
  add(batcher, {{in, "a", ExportClass::kSum, detect::Value::of_count(2)},
                {out, "a", ExportClass::kSum, detect::Value::of_count(5)},
                {"aws:message-byte-size|IN|topics", "a", ExportClass::kSizeMin, detect::Value::of_count(1)},
                {in, "a", ExportClass::kSum, detect::Value::of_count(1)}});
  EXPECT_EQ(
      bodies(batcher),
      R"({"version":"1.0","metrics":[{"name":"aws:message-byte-size-min","thing":"a","value":{"count":1},"version":1,"timestamp":1767226500000,"dimension":{"name":"topics","operator":"IN"}}]})"
      "\n"
      R"({"version":"1.0","metrics":[{"name":"aws:num-messages-sent","thing":"a","value":{"count":3},"version":1,"timestamp":1767226500000,"dimension":{"name":"topics","operator":"IN"}}]})"
      "\n"
      R"({"version":"1.0","metrics":[{"name":"aws:num-messages-sent","thing":"a","value":{"count":5},"version":1,"timestamp":1767226500000,"dimension":{"name":"topics","operator":"NOT_IN"}}]})"
      "\n");
}

TEST(ExportRecord, RefusesWhatItDidNotWrite) {
  RecordWriter writer;
  const std::string value = encoded(number(1));
  writer.add({"t", "r", "p", "m", "a", ExportClass::kAsIs, 1, {kTime}, value});
  const std::string record = writer.finish();
  for (size_t cut = 1; cut < record.size(); ++cut) {
    size_t points = 0;
    const Status status = read_record(record.substr(0, cut), [&](const Point&) { ++points; });
    EXPECT_TRUE(!status || points == 0) << cut;
  }
  EXPECT_FALSE(read_record("", [](const Point&) {}));
}

}  // namespace
}  // namespace fleetward::exporting
