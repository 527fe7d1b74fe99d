#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include <gtest/gtest.h>

#include "mqtt/decoder.h"
#include "test/unit/mqtt/text_bytes.h"

// Runs packets/*.txt. A case is three lines, cases are separated by empty lines, '#' starts a comment:
//   <name>
//   <receiver and version> <bytes>     server4, server5, client4 or client5, then the notation of
//   text_bytes.h = <summary>                        it decodes to this and encodes to the same bytes again ~
//   <summary>                        it decodes to this; the encoder writes a shorter form ! <reason> <part
//   of the text>      it is refused
namespace fleetward::mqtt::test {
namespace {

struct Case {
  std::string file, name, setup, expected;
};

std::vector<Case> read_cases() {
  std::vector<Case> cases;
  for (const auto& entry : std::filesystem::directory_iterator(FLEETWARD_TEST_DATA "/packets")) {
    std::ifstream file(entry.path());
    std::vector<std::string> lines;
    const auto finish = [&] {
      if (lines.size() == 3)
        cases.push_back({entry.path().filename(), lines[0], lines[1], lines[2]});
      else if (!lines.empty())
        cases.push_back({entry.path().filename(), lines[0], "", "not three lines"});
      lines.clear();
    };
    for (std::string line; std::getline(file, line);) {
      if (line.empty())
        finish();
      else if (line[0] != '#')
        lines.push_back(line);
    }
    finish();
  }
  std::sort(cases.begin(), cases.end(),
            [](const Case& a, const Case& b) { return std::tie(a.file, a.name) < std::tie(b.file, b.name); });
  return cases;
}

void expect_packet(const Case& test, std::string_view bytes, Decoder decoder) {
  Packet packet;
  const auto outcome = decoder.next(bytes, packet);
  ASSERT_EQ(outcome.kind, Decoder::Kind::kPacket) << outcome.error.text;
  EXPECT_EQ(outcome.bytes, bytes.size());
  EXPECT_EQ(describe(packet, decoder.version()), test.expected.substr(2));
  if (test.expected[0] == '=') {
    EXPECT_EQ(hex(encode_again(packet, decoder.version())), hex(bytes));
  }
}

void expect_refusal(const Case& test, std::string_view bytes, Decoder decoder) {
  Packet packet;
  const auto outcome = decoder.next(bytes, packet);
  ASSERT_EQ(outcome.kind, Decoder::Kind::kError);
  const std::string rest = test.expected.substr(2);
  const size_t space = rest.find(' ');
  EXPECT_EQ(to_string(outcome.error.reason), rest.substr(0, space));
  EXPECT_NE(outcome.error.text.find(rest.substr(space + 1)), std::string_view::npos) << outcome.error.text;
}

// A packet that arrives in pieces is never taken for something else before its last byte, however it is cut.
void expect_patience(std::string_view bytes, const Decoder& fresh) {
  for (size_t n = 0; n < bytes.size(); ++n) {
    Decoder decoder = fresh;
    Packet packet;
    const auto outcome = decoder.next(bytes.substr(0, n), packet);
    EXPECT_EQ(outcome.kind, Decoder::Kind::kNeedMore) << "after " << n << " bytes";
    EXPECT_TRUE(outcome.bytes == 0 || outcome.bytes == bytes.size());
  }
}

TEST(Packets, TextCases) {
  const auto cases = read_cases();
  ASSERT_GT(cases.size(), 100U);
  for (const Case& test : cases) {
    SCOPED_TRACE(test.file + ": " + test.name);
    const size_t space = test.setup.find(' ');
    const std::string who = test.setup.substr(0, space);
    ASSERT_TRUE(who == "server4" || who == "server5" || who == "client4" || who == "client5")
        << test.expected;
    const std::string bytes = parse_bytes(test.setup.substr(space + 1));
    DecoderOptions options;
    options.receiver = who[0] == 's' ? Receiver::kServer : Receiver::kClient;
    options.packet_bytes_max = 70'000;
    options.filters_max = 4;
    options.user_properties_max = 3;
    Decoder decoder(options);
    decoder.set_version(who.back() == '5' ? Version::k5 : Version::k311);
    if (test.expected[0] == '!') {
      expect_refusal(test, bytes, decoder);
    } else {
      expect_packet(test, bytes, decoder);
      expect_patience(bytes, decoder);
    }
  }
}

}  // namespace
}  // namespace fleetward::mqtt::test
