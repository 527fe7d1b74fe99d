#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace fleetward::broker {

// One WebSocket of RFC 6455 after its opening handshake, the server's side, as far as MQTT needs it
// ([MQTT-6.0.0-1], [MQTT-6.0.0-2]): binary messages are a stream of bytes, whatever their frames and
// fragments; text is refused; pings are answered, several that wait by one pong. No extensions. Holds no
// payload back, so a frame may be of any length. Pure; one thread at a time.
class WebSocket {
 public:
  enum class State : uint8_t {
    kOpen,
    kClosed,  // the client said goodbye
    kFailed,  // the client broke the protocol: failure()
  };

  // Takes what came from the client and appends the payload of binary messages to `data`. Nothing is taken
  // any more once the state is not kOpen.
  State feed(std::string_view bytes, std::string& data);
  State state() const { return state_; }
  const char* failure() const { return failure_; }
  // Something must be sent although there is no message.
  bool must_answer() const { return pong_due_ && !goodbye_sent_; }
  // Makes frames of `bytes`, in place: the pong that is due, then one binary message of all there is.
  void wrap(std::string& bytes);
  // The last frame: what the client said, or why the state is kFailed, or 1000. Once; nothing is wrapped
  // after it.
  void append_close(std::string& bytes);

 private:
  static constexpr size_t kHeaderBytesMax = 14;
  static constexpr size_t kControlBytesMax = 125;

  bool take_header(std::string_view& bytes);
  bool start_frame();
  void take_payload(std::string_view& bytes, std::string& data);
  void end_control();
  void read_close();
  State fail(uint16_t code, const char* why);

  std::array<char, kHeaderBytesMax> header_{};
  std::array<char, kControlBytesMax> control_{};  // payload of the control frame being read
  std::array<char, kControlBytesMax> pong_{};
  const char* failure_ = "";
  uint64_t left_ = 0;  // payload bytes of the frame that have not come
  uint64_t mask_ = 0;  // four bytes twice, as in memory; the next payload byte is masked by the first
  uint16_t close_code_ = 1000;
  uint8_t header_size_ = 0, control_size_ = 0, pong_size_ = 0;
  uint8_t opcode_ = 0;
  State state_ = State::kOpen;
  bool in_frame_ = false;    // the header is whole
  bool in_message_ = false;  // a binary message awaits its next fragment
  bool pong_due_ = false;
  bool goodbye_sent_ = false;
};

}  // namespace fleetward::broker
