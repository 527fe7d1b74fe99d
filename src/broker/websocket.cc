#include "broker/websocket.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/encoding.h"

namespace fleetward::broker {
namespace {

static_assert(std::endian::native == std::endian::little, "rotating the mask assumes it");

enum Opcode : uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

constexpr uint8_t kFin = 0x80, kReserved = 0x70, kMasked = 0x80;
constexpr uint8_t kLength16 = 126, kLength64 = 127;
constexpr uint16_t kProtocolError = 1002, kUnsupportedData = 1003, kInvalidPayload = 1007;

uint64_t big_endian(const char* bytes, size_t count) {
  uint64_t out = 0;
  for (size_t i = 0; i < count; ++i) out = out << 8 | static_cast<uint8_t>(bytes[i]);
  return out;
}

// What an endpoint may send in a close frame (RFC 6455 7.4).
bool may_be_sent(uint16_t code) {
  if (code >= 3000) return code < 5000;
  return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
}

size_t put_header(char* out, uint8_t opcode, size_t size) {
  out[0] = static_cast<char>(kFin | opcode);
  size_t width = 0;
  if (size < kLength16) {
    out[1] = static_cast<char>(size);
  } else {
    width = size <= 0xFFFF ? 2 : 8;
    out[1] = static_cast<char>(width == 2 ? kLength16 : kLength64);
  }
  for (size_t i = 0; i < width; ++i) out[2 + i] = static_cast<char>(uint64_t{size} >> (8 * (width - 1 - i)));
  return 2 + width;
}

// Unmasks `size` bytes; the mask that goes on after them.
uint64_t unmask(const char* in, char* out, size_t size, uint64_t mask) {
  size_t at = 0;
  for (; at + sizeof mask <= size; at += sizeof mask) {
    uint64_t word = 0;
    std::memcpy(&word, in + at, sizeof word);
    word ^= mask;
    std::memcpy(out + at, &word, sizeof word);
  }
  for (; at < size; ++at) {
    out[at] = static_cast<char>(in[at] ^ static_cast<char>(mask));
    mask = std::rotr(mask, 8);
  }
  return mask;
}

}  // namespace

WebSocket::State WebSocket::fail(uint16_t code, const char* why) {
  close_code_ = code;
  failure_ = why;
  return state_ = State::kFailed;
}

WebSocket::State WebSocket::feed(std::string_view bytes, std::string& data) {
  while (state_ == State::kOpen) {
    if (!in_frame_) {
      if (bytes.empty() || !take_header(bytes)) break;
      if (!start_frame()) break;
    }
    take_payload(bytes, data);
    if (left_ > 0) break;
    in_frame_ = false;
    if (opcode_ >= kClose) end_control();
  }
  return state_;
}

// True once the header is whole.
bool WebSocket::take_header(std::string_view& bytes) {
  const auto need = [this]() -> size_t {
    if (header_size_ < 2) return 2;
    const uint8_t length = static_cast<uint8_t>(header_[1]) & 0x7F;
    const size_t extended = length == kLength16 ? 2 : length == kLength64 ? 8 : 0;
    const bool masked = (static_cast<uint8_t>(header_[1]) & kMasked) != 0;
    return 2 + extended + (masked ? 4 : 0);
  };
  while (header_size_ < need()) {
    const size_t n = std::min(need() - header_size_, bytes.size());
    if (n == 0) return false;
    std::memcpy(header_.data() + header_size_, bytes.data(), n);
    header_size_ = static_cast<uint8_t>(header_size_ + n);
    bytes.remove_prefix(n);
  }
  return true;
}

// False: the state is kFailed.
bool WebSocket::start_frame() {
  const auto first = static_cast<uint8_t>(header_[0]), second = static_cast<uint8_t>(header_[1]);
  const auto bad = [this](uint16_t code, const char* why) {
    fail(code, why);
    return false;
  };
  const bool fin = (first & kFin) != 0;
  opcode_ = first & 0x0F;
  if ((first & kReserved) != 0) return bad(kProtocolError, "a reserved bit is set in a WebSocket frame");
  if ((second & kMasked) == 0) return bad(kProtocolError, "a WebSocket frame is not masked");
  left_ = second & 0x7F;
  const size_t extended = left_ == kLength16 ? 2 : left_ == kLength64 ? 8 : 0;
  if (extended > 0) left_ = big_endian(header_.data() + 2, extended);
  if ((left_ >> 63) != 0) return bad(kProtocolError, "the length of a WebSocket frame is none");
  switch (opcode_) {
    case kContinuation:
      if (!in_message_) return bad(kProtocolError, "a WebSocket fragment continues nothing");
      in_message_ = !fin;
      break;
    case kBinary:
      if (in_message_) return bad(kProtocolError, "a WebSocket message begins within another");
      in_message_ = !fin;
      break;
    case kText:
      return bad(kUnsupportedData, "MQTT is not carried by text frames [MQTT-6.0.0-1]");
    case kClose:
    case kPing:
    case kPong:
      if (!fin || left_ > kControlBytesMax) {
        return bad(kProtocolError, "a WebSocket control frame is fragmented or too long");
      }
      control_size_ = 0;
      break;
    default:
      return bad(kProtocolError, "a WebSocket frame is of an unknown kind");
  }
  uint32_t key = 0;
  std::memcpy(&key, header_.data() + 2 + extended, sizeof key);
  mask_ = uint64_t{key} << 32 | key;
  header_size_ = 0;
  in_frame_ = true;
  return true;
}

void WebSocket::take_payload(std::string_view& bytes, std::string& data) {
  const auto size = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
  char* out = control_.data() + control_size_;
  if (opcode_ >= kClose) {
    control_size_ = static_cast<uint8_t>(control_size_ + size);
  } else {
    const size_t start = data.size();
    data.resize(start + size);
    out = data.data() + start;
  }
  mask_ = unmask(bytes.data(), out, size, mask_);
  bytes.remove_prefix(size);
  left_ -= size;
}

void WebSocket::end_control() {
  if (opcode_ == kPing) {
    // Only the latest needs an answer (RFC 6455 5.5.3): who does not read its pongs costs no memory.
    pong_ = control_;
    pong_size_ = control_size_;
    pong_due_ = true;
  } else if (opcode_ == kClose) {
    read_close();
  }
}

void WebSocket::read_close() {
  state_ = State::kClosed;
  if (control_size_ == 0) return;
  const auto code = static_cast<uint16_t>(big_endian(control_.data(), std::min<size_t>(control_size_, 2)));
  if (control_size_ < 2 || !may_be_sent(code)) {
    fail(kProtocolError, "the code of a WebSocket close frame is none");
  } else if (!is_utf8({control_.data() + 2, control_size_ - size_t{2}})) {
    fail(kInvalidPayload, "the reason of a WebSocket close frame is not UTF-8");
  } else {
    close_code_ = code;
  }
}

void WebSocket::wrap(std::string& bytes) {
  if (goodbye_sent_) {
    bytes.clear();
    return;
  }
  std::array<char, kHeaderBytesMax + kControlBytesMax + kHeaderBytesMax> head;
  size_t size = 0;
  if (pong_due_) {
    pong_due_ = false;
    size = put_header(head.data(), kPong, pong_size_);
    std::memcpy(head.data() + size, pong_.data(), pong_size_);
    size += pong_size_;
  }
  if (!bytes.empty()) size += put_header(head.data() + size, kBinary, bytes.size());
  bytes.insert(0, head.data(), size);
}

void WebSocket::append_close(std::string& bytes) {
  if (goodbye_sent_) return;
  goodbye_sent_ = true;
  std::array<char, 4> frame;
  put_header(frame.data(), kClose, 2);
  frame[2] = static_cast<char>(close_code_ >> 8);
  frame[3] = static_cast<char>(close_code_);
  bytes.append(frame.data(), frame.size());
}

}  // namespace fleetward::broker
