#include "alerts/syslog_message.h"

#include <gtest/gtest.h>

namespace fleetward::alerts {
namespace {

// RFC 5424 section 6.5, examples 1, 3 and 4.
TEST(SyslogMessage, TheExamplesOfTheRfc) {
  SyslogMessage one;
  one.facility = 4;
  one.severity = 2;
  one.time = {1065910455003};
  one.hostname = "mymachine.example.com";
  one.app_name = "su";
  one.message_id = "ID47";
  one.text = "'su root' failed for lonvick on /dev/pts/8";
  EXPECT_EQ(format_syslog(one, 1000),
            "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - "
            "'su root' failed for lonvick on /dev/pts/8");
  SyslogMessage three = one;
  three.facility = 20;
  three.severity = 5;
  three.app_name = "evntslog";
  three.elements = {
      {"exampleSDID@32473", {{"iut", "3"}, {"eventSource", "Application"}, {"eventID", "1011"}}}};
  three.text = "An application event log entry...";
  EXPECT_EQ(format_syslog(three, 1000),
            "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 "
            R"([exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"])"
            " An application event log entry...");
  three.elements.push_back({"examplePriority@32473", {{"class", "high"}}});
  three.text.clear();
  EXPECT_EQ(
      format_syslog(three, 1000),
      "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 "
      R"([exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"][examplePriority@32473 class="high"])");
}

TEST(SyslogMessage, ParametersAreEscapedAndLinesStayOne) {
  SyslogMessage m;
  m.elements = {{"x@1", {{"v", "a\"b\\c]d\ne"}}}};
  m.text = "one\r\ntwo \"\\]";
  EXPECT_EQ(format_syslog(m, 1000),
            R"(<133>1 1970-01-01T00:00:00.000Z - - - - [x@1 v="a\"b\\c\]d e"] one  two "\])");
}

TEST(SyslogMessage, OnlyATextBeyondAsciiHasAByteOrderMark) {
  SyslogMessage m;
  m.text = "Pümpe";
  EXPECT_EQ(format_syslog(m, 1000), "<133>1 1970-01-01T00:00:00.000Z - - - - - \xEF\xBB\xBFPümpe");
}

TEST(SyslogMessage, ALongTextIsCutBetweenCharacters) {
  SyslogMessage m;
  m.text = "ab\u20ACcd";
  const size_t whole = format_syslog(m, 1000).size();
  EXPECT_TRUE(format_syslog(m, whole - 2)
                  .ends_with("\xEF\xBB\xBF"
                             "ab\u20AC"));
  EXPECT_TRUE(format_syslog(m, whole - 3)
                  .ends_with("\xEF\xBB\xBF"
                             "ab"));
  EXPECT_EQ(format_syslog(m, whole - 3).size(), whole - 5);
}

TEST(SyslogMessage, Framing) {
  EXPECT_EQ(frame_syslog("<1>1 x", true), "6 <1>1 x");
  EXPECT_EQ(frame_syslog("<1>1 x", false), "<1>1 x\n");
}

TEST(SyslogMessage, NamesAndWords) {
  EXPECT_EQ(syslog_facility("kern"), 0);
  EXPECT_EQ(syslog_facility("local7"), 23);
  EXPECT_EQ(syslog_facility("local8"), std::nullopt);
  EXPECT_EQ(syslog_severity("warning"), 4);
  EXPECT_EQ(syslog_severity("debug"), 7);
  EXPECT_TRUE(is_syslog_word("a-b.c", 5));
  for (const char* bad : {"", "a b", "a\tb", "ü", "abcdef"}) EXPECT_FALSE(is_syslog_word(bad, 5)) << bad;
  EXPECT_TRUE(is_syslog_id("violation@32473"));
  for (const char* bad : {"", "a=b", "a]b", "a\"b", "a b"}) EXPECT_FALSE(is_syslog_id(bad)) << bad;
  EXPECT_FALSE(is_syslog_id(std::string(33, 'a')));
}

}  // namespace
}  // namespace fleetward::alerts
