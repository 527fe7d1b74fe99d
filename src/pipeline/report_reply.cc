#include "pipeline/report_reply.h"

#include <array>
#include <memory>

#include <cbor/encoding.h>

#include "core/json.h"

namespace fleetward::pipeline {
namespace {

// Writes a reply in either encoding, member by member.
class Writer {
 public:
  Writer(detect::ReportFormat format, size_t members) : cbor_(format == detect::ReportFormat::kCbor) {
    out_.reserve(192);
    open(members);
  }

  void text(std::string_view name, std::string_view value) {
    key(name);
    if (!cbor_) return json::quote_to(value, out_);
    cbor_text(value);
  }
  void number(std::string_view name, int64_t value) {
    key(name);
    if (!cbor_) {
      out_ += std::to_string(value);
      return;
    }
    head([&](unsigned char* at, size_t room) {
      return cbor_encode_uint(static_cast<uint64_t>(value), at, room);
    });
  }
  void open_member(std::string_view name, size_t members) {
    key(name);
    open(members);
  }
  void close() {
    if (!cbor_) out_ += '}';
  }
  std::string take() { return std::move(out_); }

 private:
  template <typename Encode>
  void head(Encode encode) {
    std::array<unsigned char, 9> bytes;
    const size_t size = encode(bytes.data(), bytes.size());
    out_.append(reinterpret_cast<const char*>(bytes.data()), size);
  }
  void cbor_text(std::string_view value) {
    head([&](unsigned char* at, size_t room) { return cbor_encode_string_start(value.size(), at, room); });
    out_ += value;
  }
  void open(size_t members) {
    if (cbor_) {
      head([&](unsigned char* at, size_t room) { return cbor_encode_map_start(members, at, room); });
    } else {
      out_ += '{';
      first_ = true;
    }
  }
  void key(std::string_view name) {
    if (cbor_) return cbor_text(name);
    if (!first_) out_ += ',';
    first_ = false;
    json::quote_to(name, out_);
    out_ += ':';
  }

  bool cbor_;
  bool first_ = true;
  std::string out_;
};

broker::MessagePtr message(std::string_view thing, detect::ReportFormat format, std::string_view answer,
                           std::string payload) {
  auto out = std::make_shared<broker::Message>();
  out->topic.reserve(64 + thing.size());
  out->topic += "$aws/things/";
  out->topic += thing;
  out->topic += "/defender/metrics/";
  out->topic += format == detect::ReportFormat::kCbor ? "cbor/" : "json/";
  out->topic += answer;
  out->payload = std::move(payload);
  out->qos = 1;
  return out;
}

}  // namespace

broker::MessagePtr accepted_reply(std::string_view thing, detect::ReportFormat format, int64_t report_id,
                                  Timestamp now) {
  Writer writer(format, 4);
  writer.text("thingName", thing);
  writer.number("reportId", report_id);
  writer.text("status", "ACCEPTED");
  writer.number("timestamp", now.ms);
  writer.close();
  return message(thing, format, "accepted", writer.take());
}

broker::MessagePtr rejected_reply(std::string_view thing, detect::ReportFormat format,
                                  const detect::Rejection& rejection, Timestamp now) {
  const bool with_id = rejection.report_id != 0;
  Writer writer(format, with_id ? 5 : 4);
  writer.text("thingName", thing);
  if (with_id) writer.number("reportId", rejection.report_id);
  writer.text("status", "REJECTED");
  writer.open_member("statusDetails", 2);
  writer.text("ErrorCode", detect::to_string(rejection.code));
  writer.text("ErrorMessage", rejection.message);
  writer.close();
  writer.number("timestamp", now.ms);
  writer.close();
  return message(thing, format, "rejected", writer.take());
}

}  // namespace fleetward::pipeline
