#include <utility>

#include "api/firehose/common.h"
#include "core/encoding.h"

namespace fleetward::api::firehose {
namespace {

using delivery::Stream;

// Unique and without meaning for a client.
std::string record_id(const Stream& stream, log::Offset offset) {
  return to_base64(stream.id + ":" + std::to_string(offset));
}

http::ApiResult<json::object> put_record(const Dependencies& d, const http::Call&,
                                         const json::object& arguments) {
  Input in(arguments, kFirehoseStyle);
  const std::string name = in.string("DeliveryStreamName", kStreamName);
  std::string data = in.object("Record").blob("Data", delivery::kRecordBytesMax);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const Stream* stream = delivery::find_active(*snapshot, d.tables, name);
  if (stream == nullptr) return refuse(kFirehoseStyle, no_such_stream(d, name));
  log::Batch batch;
  delivery::append(batch, *stream, std::move(data), d.clock.now());
  const auto committed = d.log.write(std::move(batch));
  if (!committed) return refuse(kFirehoseStyle, committed.error());
  return json::object{{"RecordId", record_id(*stream, committed->front())}, {"Encrypted", false}};
}

http::ApiResult<json::object> put_record_batch(const Dependencies& d, const http::Call&,
                                               const json::object& arguments) {
  Input in(arguments, kFirehoseStyle);
  const std::string name = in.string("DeliveryStreamName", kStreamName);
  std::vector<std::string> records;
  size_t bytes = 0;
  for (Input& record : in.objects("Records", 1, delivery::kBatchRecordsMax)) {
    records.push_back(record.blob("Data", delivery::kRecordBytesMax));
    bytes += records.back().size();
  }
  if (bytes > delivery::kBatchBytesMax) {
    in.fail("Records",
            "the records have more than " + std::to_string(delivery::kBatchBytesMax) + " bytes in total");
  }
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const Stream* stream = delivery::find_active(*snapshot, d.tables, name);
  if (stream == nullptr) return refuse(kFirehoseStyle, no_such_stream(d, name));
  log::Batch batch;
  const Timestamp now = d.clock.now();
  const size_t count = records.size();
  for (std::string& record : records) delivery::append(batch, *stream, std::move(record), now);
  // One batch of the log: all records are durable, or none is.
  const auto committed = d.log.write(std::move(batch));
  json::array responses;
  for (size_t i = 0; i < count; ++i) {
    responses.push_back(committed ? json::object{{"RecordId", record_id(*stream, (*committed)[i])}}
                                  : json::object{{"ErrorCode", "ServiceUnavailableException"},
                                                 {"ErrorMessage", committed.error().message}});
  }
  return json::object{{"FailedPutCount", committed ? 0 : count},
                      {"Encrypted", false},
                      {"RequestResponses", std::move(responses)}};
}

}  // namespace

std::vector<http::Operation> record_operations(const Dependencies& d) {
  const auto bind = [&d](auto* run) {
    return
        [d, run](const http::Call& call, const json::object& arguments) { return run(d, call, arguments); };
  };
  const auto resource = stream_resource(d);
  return {{.name = "PutRecord", .resource = resource, .run = bind(put_record)},
          {.name = "PutRecordBatch", .resource = resource, .run = bind(put_record_batch)}};
}

}  // namespace fleetward::api::firehose
