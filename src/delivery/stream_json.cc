#include "delivery/stream.h"

// The stored form of a stream.
namespace fleetward::delivery {
namespace {

json::object destination_to_json(const Destination& d) {
  json::object o{{"role", d.role_arn},
                 {"bucket", d.bucket},
                 {"prefix", d.prefix},
                 {"error_prefix", d.error_prefix},
                 {"buffer_mib", d.buffer_mib},
                 {"buffer_seconds", d.buffer_seconds},
                 {"compression", d.compression == Compression::kGzip ? "gzip" : "none"},
                 {"file_extension", d.file_extension},
                 {"time_zone", d.time_zone},
                 {"extended", d.extended}};
  if (d.processing.present) {
    o["processing"] =
        json::object{{"enabled", d.processing.enabled}, {"append_newline", d.processing.append_newline}};
  }
  if (d.cloudwatch.present) {
    o["cloudwatch"] = json::object{{"enabled", d.cloudwatch.enabled},
                                   {"log_group", d.cloudwatch.log_group},
                                   {"log_stream", d.cloudwatch.log_stream}};
  }
  return o;
}

Destination destination_from_json(const json::object& o) {
  Destination d;
  d.role_arn = json::string_or(o, "role");
  d.bucket = json::string_or(o, "bucket");
  d.prefix = json::string_or(o, "prefix");
  d.error_prefix = json::string_or(o, "error_prefix");
  d.buffer_mib = static_cast<uint32_t>(json::int_or(o, "buffer_mib", 5));
  d.buffer_seconds = static_cast<uint32_t>(json::int_or(o, "buffer_seconds", 300));
  d.compression = json::string_or(o, "compression") == "gzip" ? Compression::kGzip : Compression::kNone;
  d.file_extension = json::string_or(o, "file_extension");
  d.time_zone = json::string_or(o, "time_zone");
  if (const json::object* p = json::find_object(o, "processing")) {
    d.processing.present = true;
    d.processing.enabled = json::bool_or(*p, "enabled", false);
    d.processing.append_newline = json::bool_or(*p, "append_newline", false);
  }
  d.extended = json::bool_or(o, "extended", true);
  if (const json::object* c = json::find_object(o, "cloudwatch")) {
    d.cloudwatch.present = true;
    d.cloudwatch.enabled = json::bool_or(*c, "enabled", false);
    d.cloudwatch.log_group = json::string_or(*c, "log_group");
    d.cloudwatch.log_stream = json::string_or(*c, "log_stream");
  }
  return d;
}

json::object to_json(const Stream& s) {
  json::object tags;
  for (const auto& [key, value] : s.tags) tags[key] = value;
  return {{"id", s.id},
          {"name", s.name},
          {"arn", s.arn},
          {"status", to_string(s.status)},
          {"version", s.version},
          {"created_ms", s.created.ms},
          {"updated_ms", s.updated.ms},
          {"destination", destination_to_json(s.destination)},
          {"tags", std::move(tags)}};
}

Result<StreamStatus> status_from(std::string_view text) {
  for (const auto status : {StreamStatus::kCreating, StreamStatus::kActive, StreamStatus::kDeleting}) {
    if (text == to_string(status)) return status;
  }
  return fail(ErrorCode::kCorrupt, "delivery stream with unknown status '" + std::string(text) + "'");
}

Result<Stream> from_json(const json::object& o) {
  Stream s;
  s.id = json::string_or(o, "id");
  s.name = json::string_or(o, "name");
  s.arn = json::string_or(o, "arn");
  s.version = static_cast<uint64_t>(json::int_or(o, "version", 1));
  s.created.ms = json::int_or(o, "created_ms", 0);
  s.updated.ms = json::int_or(o, "updated_ms", 0);
  auto status = status_from(json::string_or(o, "status"));
  if (!status) return fail(status.error());
  s.status = *status;
  const json::object* destination = json::find_object(o, "destination");
  if (s.id.empty() || s.name.empty() || destination == nullptr) {
    return fail(ErrorCode::kCorrupt, "delivery stream without id, name or destination");
  }
  s.destination = destination_from_json(*destination);
  if (const json::object* tags = json::find_object(o, "tags")) {
    for (const auto& tag : *tags) s.tags[tag.key()] = json::string_or(*tags, tag.key());
  }
  return s;
}

}  // namespace

Tables Tables::add_to(state::Store& store) {
  return {store.add_table<Stream>({"delivery_streams", to_json, from_json})};
}

}  // namespace fleetward::delivery
