#include "broker/websocket.h"

#include <gtest/gtest.h>

#include "test/unit/broker/websocket_frames.h"

namespace fleetward::broker {
namespace {

using State = WebSocket::State;
using namespace frames;

std::string close_payload(uint16_t code, const std::string& reason = "") {
  return std::string{static_cast<char>(code >> 8), static_cast<char>(code)} + reason;
}

// The code of the close frame that is said.
int close_code(WebSocket& socket) {
  std::string out;
  socket.append_close(out);
  if (out.size() != 4 || out.substr(0, 2) != "\x88\x02") return -1;
  return static_cast<uint8_t>(out[2]) << 8 | static_cast<uint8_t>(out[3]);
}

TEST(WebSocket, BinaryFramesAreAStreamOfBytesHoweverTheyAreCut) {
  std::string sent, want;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{7}, size_t{8}, size_t{125}, size_t{126},
                            size_t{4097}, size_t{0xFFFF}, size_t{0x10000}}) {
    std::string payload(size, '\0');
    for (size_t i = 0; i < size; ++i) payload[i] = static_cast<char>(i * 31 + size);
    want += payload;
    sent += frame(kBinary, payload);
  }
  // A message in three fragments, with a ping and a pong between them.
  sent += frame(kBinary, "abc", {.fin = false}) + frame(kPing, "hello") +
          frame(kContinuation, "", {.fin = false}) + frame(kPong, "") + frame(kContinuation, "de");
  want += "abcde";
  for (const size_t step : {size_t{1}, size_t{2}, size_t{3}, size_t{1000}, sent.size()}) {
    WebSocket socket;
    std::string data;
    for (size_t at = 0; at < sent.size(); at += step) {
      ASSERT_EQ(socket.feed(std::string_view(sent).substr(at, step), data), State::kOpen) << socket.failure();
    }
    EXPECT_EQ(data, want) << "in steps of " << step;
    EXPECT_TRUE(socket.must_answer());
  }
}

TEST(WebSocket, LengthsMayBeLongerThanNeeded) {
  WebSocket socket;
  std::string data;
  EXPECT_EQ(socket.feed(frame(kBinary, "a", {.width = 2}) + frame(kBinary, "b", {.width = 8}), data),
            State::kOpen);
  EXPECT_EQ(data, "ab");
}

TEST(WebSocket, WhatBreaksTheProtocolIsNamedAndEndsIt) {
  struct Case {
    const char* name;
    std::string bytes;
    int code;
  };
  std::string endless = frame(kBinary, "x", {.width = 8});
  endless[2] = '\x80';
  for (const Case& c : {
           Case{"text", frame(kText, "x"), 1003},
           Case{"empty text", frame(kText, ""), 1003},
           Case{"unmasked", frame(kBinary, "x", {.masked = false}), 1002},
           Case{"reserved bit", frame(kBinary, "x", {.reserved = 0x40}), 1002},
           Case{"reserved bit of a ping", frame(kPing, "x", {.reserved = 0x10}), 1002},
           Case{"unknown data frame", frame(3, "x"), 1002},
           Case{"unknown control frame", frame(11, "x"), 1002},
           Case{"continuation of nothing", frame(kContinuation, "x"), 1002},
           Case{"message in a message", frame(kBinary, "x", {.fin = false}) + frame(kBinary, "y"), 1002},
           Case{"text in a message", frame(kBinary, "x", {.fin = false}) + frame(kText, "y"), 1003},
           Case{"fragmented ping", frame(kPing, "x", {.fin = false}), 1002},
           Case{"long ping", frame(kPing, std::string(126, 'x')), 1002},
           Case{"long close", frame(kClose, close_payload(1000, std::string(124, 'x'))), 1002},
           Case{"length beyond 63 bits", endless, 1002},
           Case{"close with half a code", frame(kClose, "\x03"), 1002},
           Case{"close with a code that is never sent", frame(kClose, close_payload(1005)), 1002},
           Case{"close with a code of nobody", frame(kClose, close_payload(999)), 1002},
           Case{"close with a code above all", frame(kClose, close_payload(5000)), 1002},
           Case{"close with a reason that is no text", frame(kClose, close_payload(1000, "\xC0\x80")), 1007},
       }) {
    WebSocket socket;
    std::string data;
    EXPECT_EQ(socket.feed(c.bytes, data), State::kFailed) << c.name;
    EXPECT_STRNE(socket.failure(), "") << c.name;
    const std::string before = data;
    EXPECT_EQ(socket.feed(frame(kBinary, "more"), data), State::kFailed) << c.name;
    EXPECT_EQ(data, before) << c.name;
    EXPECT_EQ(close_code(socket), c.code) << c.name;
  }
}

TEST(WebSocket, AGoodbyeIsAnsweredWithItsCode) {
  for (const auto& [payload, code] : {std::pair<std::string, int>{"", 1000},
                                      {close_payload(1000), 1000},
                                      {close_payload(1001, "going"), 1001},
                                      {close_payload(1014), 1014},
                                      {close_payload(3000,
                                                     "gr\xC3\xBC\xC3\x9F"
                                                     "e"),
                                       3000},
                                      {close_payload(4999), 4999}}) {
    WebSocket socket;
    std::string data;
    EXPECT_EQ(socket.feed(frame(kBinary, "last") + frame(kClose, payload) + frame(kBinary, "after"), data),
              State::kClosed);
    EXPECT_EQ(data, "last");
    EXPECT_EQ(close_code(socket), code);
  }
}

TEST(WebSocket, MessagesAndPongsAreFramed) {
  WebSocket socket;
  std::string data, out = "abc";
  socket.wrap(out);
  EXPECT_EQ(out, std::string("\x82\x03") + "abc");
  out = std::string(126, 'x');
  socket.wrap(out);
  EXPECT_EQ(out, std::string("\x82\x7E\x00\x7E", 4) + std::string(126, 'x'));
  out = std::string(0x10000, 'x');
  socket.wrap(out);
  EXPECT_EQ(out.substr(0, 10), std::string("\x82\x7F\x00\x00\x00\x00\x00\x01\x00\x00", 10));
  // A thousand pings that nobody reads the answers of: one pong, of the last.
  for (int i = 0; i < 1000; ++i) socket.feed(frame(kPing, std::to_string(i)), data);
  EXPECT_TRUE(socket.must_answer());
  out = "z";
  socket.wrap(out);
  EXPECT_EQ(out, std::string("\x8A\x03") + "999" + "\x82\x01z");
  EXPECT_FALSE(socket.must_answer());
  out.clear();
  socket.append_close(out);
  EXPECT_EQ(out, std::string("\x88\x02\x03\xE8", 4));
  // Nothing follows a goodbye.
  socket.append_close(out);
  EXPECT_EQ(out.size(), 4U);
  out = "late";
  socket.wrap(out);
  EXPECT_TRUE(out.empty());
}

}  // namespace
}  // namespace fleetward::broker
