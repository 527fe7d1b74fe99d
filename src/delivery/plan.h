#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/random.h"
#include "core/result.h"
#include "core/time.h"
#include "delivery/stream.h"
#include "log/log.h"

// When a buffer becomes an object, and what that object is (pure).
namespace fleetward::delivery {

// What waits for the next object: records [begin, end) of the stream. Only counted, not kept.
class Buffer {
 public:
  explicit Buffer(log::Offset begin = 0) : begin_(begin), end_(begin) {}

  // Records in the order of their offsets, from end() on. False, and not added, once the buffer is full.
  bool add(const log::Record& record, const Destination& destination);

  log::Offset begin() const { return begin_; }
  log::Offset end() const { return end_; }
  bool empty() const { return begin_ == end_; }
  uint64_t bytes() const { return bytes_; }  // before compression, with delimiters
  Timestamp oldest() const { return oldest_; }
  Timestamp newest() const { return newest_; }

  // By size: the record that reaches it is the last one in.
  bool full(const Destination& destination) const;

 private:
  log::Offset begin_, end_;
  uint64_t bytes_ = 0;
  Timestamp oldest_, newest_;
};

// An object that was decided on: written to the log before its first byte is uploaded, so that every attempt,
// also after a crash, stores the same bytes under the same name.
struct Pending {
  std::string bucket;
  std::string key;
  std::string role_arn;
  uint64_t stream_version = 0;
  log::Offset begin = 0, end = 0;
  uint64_t bytes = 0;
  Timestamp oldest, newest;
  Compression compression = Compression::kNone;
  std::string delimiter;

  std::string to_text() const;
  static Result<Pending> from_text(std::string_view text);
};

Pending plan_object(const Stream& stream, const Buffer& buffer, Random& random);
// The same records under today's destination, after the one it was planned for has refused.
Pending replan_object(const Stream& stream, const Pending& refused, Random& random);

// The object's bytes, from records in the order of their offsets.
class ObjectBuilder {
 public:
  explicit ObjectBuilder(const Pending& pending);
  ~ObjectBuilder();
  ObjectBuilder(const ObjectBuilder&) = delete;
  ObjectBuilder& operator=(const ObjectBuilder&) = delete;

  void add(std::string_view record);
  std::string finish();

 private:
  void deflate(std::string_view bytes, bool last);

  std::string delimiter_;
  std::string out_;
  struct Deflate;
  std::unique_ptr<Deflate> deflate_;  // null: as it is
};

// Pause before attempt `attempt` + 1 (from 1): doubles from `min` to `max`, then drawn from its upper half.
Duration retry_pause(uint32_t attempt, Duration min, Duration max, Random& random);

}  // namespace fleetward::delivery
