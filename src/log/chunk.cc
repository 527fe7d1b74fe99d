#include "log/chunk.h"

namespace fleetward::log {
namespace {

void put_varint(uint64_t n, std::string& out) {
  while (n >= 0x80) {
    out += static_cast<char>(n | 0x80);
    n >>= 7;
  }
  out += static_cast<char>(n);
}

bool get_varint(std::string_view& in, uint64_t& n) {
  n = 0;
  for (unsigned shift = 0; shift < 64 && !in.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(in.front());
    in.remove_prefix(1);
    n |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

uint64_t zigzag(int64_t n) {
  return (static_cast<uint64_t>(n) << 1) ^ static_cast<uint64_t>(n >> 63);
}

int64_t unzigzag(uint64_t n) {
  return static_cast<int64_t>(n >> 1) ^ -static_cast<int64_t>(n & 1);
}

}  // namespace

void ChunkBuilder::add(std::string_view value, Timestamp appended) {
  if (count_ == 0) first_ms_ = last_ms_ = appended.ms;
  put_varint(zigzag(appended.ms - last_ms_), body_);
  last_ms_ = appended.ms;
  put_varint(value.size(), body_);
  body_ += value;
  ++count_;
}

std::string ChunkBuilder::take() {
  std::string out;
  out.reserve(body_.size() + 18);
  put_varint(count_, out);
  for (unsigned shift = 0; shift < 64; shift += 8) {
    out += static_cast<char>(static_cast<uint64_t>(first_ms_) >> shift);
  }
  out += body_;
  body_.clear();
  count_ = 0;
  return out;
}

Status decode_chunk(std::string_view chunk, Offset last, Offset from, size_t& bytes_left, bool* more,
                    std::vector<Record>& out) {
  const auto corrupt = [&] {
    return fail(ErrorCode::kCorrupt, "a chunk of records ending at " + std::to_string(last) + " is damaged");
  };
  uint64_t count = 0;
  if (!get_varint(chunk, count) || count == 0 || count > last + 1 || chunk.size() < 8) return corrupt();
  uint64_t ms = 0;
  for (unsigned i = 0; i < 8; ++i) ms |= static_cast<uint64_t>(static_cast<uint8_t>(chunk[i])) << (8 * i);
  chunk.remove_prefix(8);
  auto time_ms = static_cast<int64_t>(ms);
  for (Offset offset = last + 1 - count; offset <= last; ++offset) {
    uint64_t delta = 0, size = 0;
    if (!get_varint(chunk, delta) || !get_varint(chunk, size) || size > chunk.size()) return corrupt();
    time_ms += unzigzag(delta);
    if (offset >= from) {
      if (size > bytes_left && !out.empty()) {
        *more = false;
        return {};
      }
      bytes_left -= std::min<size_t>(bytes_left, size);
      out.push_back({offset, {time_ms}, std::string(chunk.substr(0, size))});
    }
    chunk.remove_prefix(size);
  }
  return chunk.empty() ? Status() : Status(corrupt());
}

}  // namespace fleetward::log
