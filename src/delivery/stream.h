#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "core/time.h"
#include "log/log.h"
#include "state/store.h"

// Delivery streams as the API creates them. Source: Amazon Data Firehose API Reference, Direct PUT to S3.
namespace fleetward::delivery {

inline constexpr size_t kRecordBytesMax = 1'024'000;  // 1,000 KiB before base64
inline constexpr size_t kBatchRecordsMax = 500;       // of one PutRecordBatch
inline constexpr size_t kBatchBytesMax = 4u << 20;    // of all its records
inline constexpr size_t kStreamsMax = 5'000;

enum class StreamStatus { kCreating, kActive, kDeleting };
std::string_view to_string(StreamStatus status);  // "CREATING", ...

enum class Compression { kNone, kGzip };

// AppendDelimiterToRecord is the one processor there is.
struct Processing {
  bool present = false;
  bool enabled = false;
  bool append_newline = false;
};

struct CloudWatchOptions {  // accepted and shown; nothing is sent anywhere
  bool present = false;
  bool enabled = false;
  std::string log_group;
  std::string log_stream;
};

// The S3 destination. Prefixes were checked when the stream was created (object_name.h).
struct Destination {
  std::string role_arn;
  std::string bucket;             // without "arn:aws:s3:::"
  std::string prefix;             // as given
  std::string error_prefix;       // as given
  uint32_t buffer_mib = 5;        // 1..128, before compression
  uint32_t buffer_seconds = 300;  // 0..900, from the arrival of the object's first record
  Compression compression = Compression::kNone;
  std::string file_extension;  // empty: by compression
  std::string time_zone;       // IANA name; empty: UTC
  Processing processing;
  CloudWatchOptions cloudwatch;
  bool extended = true;  // created by ExtendedS3DestinationConfiguration

  // What is appended to each record.
  std::string_view delimiter() const { return processing.enabled && processing.append_newline ? "\n" : ""; }
};

struct Stream {
  std::string id;  // a UUID of its own, so that a stream created again under the name starts afresh
  std::string name;
  std::string arn;
  StreamStatus status = StreamStatus::kCreating;
  uint64_t version = 1;
  Timestamp created;
  Timestamp updated;
  Destination destination;
  std::map<std::string, std::string> tags;
};

struct Tables {
  state::Table<Stream> streams;  // by name
  static Tables add_to(state::Store& store);
};

// The stream of that name if it takes records now, else nullptr.
const Stream* find_active(const state::Snapshot& snapshot, const Tables& tables, std::string_view name);

// Where the stream's records wait: "records/<id>", one partition.
log::Partition records_of(const Stream& stream);

// Adds one record (at most kRecordBytesMax, the caller checks) to the batch; once the batch is durable the
// record will be delivered. `now` is its arrival time.
void append(log::Batch& batch, const Stream& stream, std::string record, Timestamp now);

}  // namespace fleetward::delivery
