#include "delivery/plan.h"

#include <algorithm>
#include <stdexcept>

#include <zlib.h>

#include "core/json.h"
#include "delivery/object_name.h"

namespace fleetward::delivery {
namespace {

constexpr int kGzipLevel = 6;
constexpr int kGzipWindow = 15 + 16;  // a gzip header
constexpr size_t kDeflateBlock = size_t{256} << 10;

}  // namespace

bool Buffer::add(const log::Record& record, const Destination& destination) {
  if (full(destination)) return false;
  if (empty()) {
    begin_ = record.offset;
    oldest_ = newest_ = record.appended;
  }
  // Shards append with their own readings of the clock, so arrival times may step back a little.
  oldest_ = std::min(oldest_, record.appended);
  newest_ = std::max(newest_, record.appended);
  bytes_ += record.value.size() + destination.delimiter().size();
  end_ = record.offset + 1;
  return true;
}

bool Buffer::full(const Destination& destination) const {
  return bytes_ >= uint64_t{destination.buffer_mib} << 20;
}

std::string Pending::to_text() const {
  return json::serialize(json::object{{"bucket", bucket},
                                      {"key", key},
                                      {"role", role_arn},
                                      {"version", stream_version},
                                      {"begin", begin},
                                      {"end", end},
                                      {"bytes", bytes},
                                      {"oldest_ms", oldest.ms},
                                      {"newest_ms", newest.ms},
                                      {"compression", compression == Compression::kGzip ? "gzip" : "none"},
                                      {"delimiter", delimiter}});
}

Result<Pending> Pending::from_text(std::string_view text) {
  auto parsed = json::parse(text);
  if (!parsed || !parsed->is_object()) return fail(ErrorCode::kCorrupt, "a pending object does not parse");
  const json::object& o = parsed->get_object();
  Pending p;
  p.bucket = json::string_or(o, "bucket");
  p.key = json::string_or(o, "key");
  p.role_arn = json::string_or(o, "role");
  p.stream_version = static_cast<uint64_t>(json::int_or(o, "version", 0));
  p.begin = static_cast<log::Offset>(json::int_or(o, "begin", 0));
  p.end = static_cast<log::Offset>(json::int_or(o, "end", 0));
  p.bytes = static_cast<uint64_t>(json::int_or(o, "bytes", 0));
  p.oldest.ms = json::int_or(o, "oldest_ms", 0);
  p.newest.ms = json::int_or(o, "newest_ms", 0);
  p.compression = json::string_or(o, "compression") == "gzip" ? Compression::kGzip : Compression::kNone;
  p.delimiter = json::string_or(o, "delimiter");
  if (p.key.empty() || p.end <= p.begin) return fail(ErrorCode::kCorrupt, "a pending object has no records");
  return p;
}

Pending plan_object(const Stream& stream, const Buffer& buffer, Random& random) {
  Pending p;
  p.begin = buffer.begin();
  p.end = buffer.end();
  p.bytes = buffer.bytes();
  p.oldest = buffer.oldest();
  p.newest = buffer.newest();
  return replan_object(stream, p, random);
}

Pending replan_object(const Stream& stream, const Pending& refused, Random& random) {
  Pending p = refused;
  p.bucket = stream.destination.bucket;
  p.key = object_key(stream, refused.oldest, random);
  p.role_arn = stream.destination.role_arn;
  p.stream_version = stream.version;
  p.compression = stream.destination.compression;
  p.delimiter = stream.destination.delimiter();
  return p;
}

struct ObjectBuilder::Deflate {
  z_stream stream{};
};

ObjectBuilder::ObjectBuilder(const Pending& pending) : delimiter_(pending.delimiter) {
  if (pending.compression == Compression::kNone) {
    out_.reserve(pending.bytes);
    return;
  }
  deflate_ = std::make_unique<Deflate>();
  // zlib writes no time and no name into the header, so equal records give equal bytes.
  if (deflateInit2(&deflate_->stream, kGzipLevel, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::bad_alloc();
  }
}

ObjectBuilder::~ObjectBuilder() {
  if (deflate_) deflateEnd(&deflate_->stream);
}

void ObjectBuilder::add(std::string_view record) {
  if (!deflate_) {
    out_.append(record).append(delimiter_);
    return;
  }
  deflate(record, false);
  deflate(delimiter_, false);
}

void ObjectBuilder::deflate(std::string_view bytes, bool last) {
  z_stream& z = deflate_->stream;
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));  // zlib only reads it
  z.avail_in = static_cast<uInt>(bytes.size());
  int code = Z_OK;
  do {
    if (z.avail_out == 0) {
      const size_t used = out_.size();
      out_.resize(used + kDeflateBlock);
      z.next_out = reinterpret_cast<Bytef*>(out_.data() + used);
      z.avail_out = static_cast<uInt>(kDeflateBlock);
    }
    code = ::deflate(&z, last ? Z_FINISH : Z_NO_FLUSH);
  } while (last ? code != Z_STREAM_END : z.avail_in != 0);
}

std::string ObjectBuilder::finish() {
  if (deflate_) {
    deflate({}, true);
    out_.resize(out_.size() - deflate_->stream.avail_out);
    deflate_->stream.avail_out = 0;
  }
  return std::move(out_);
}

Duration retry_pause(uint32_t attempt, Duration min, Duration max, Random& random) {
  const uint32_t doublings = std::min<uint32_t>(attempt == 0 ? 0 : attempt - 1, 30);
  const int64_t pause = std::min(max.count(), min.count() << doublings);
  const std::string bytes = random.bytes(2);
  const int64_t draw = static_cast<uint8_t>(bytes[0]) << 8 | static_cast<uint8_t>(bytes[1]);
  return Duration(pause / 2 + pause * draw / (2 * 65536));
}

}  // namespace fleetward::delivery
