// Runs the tables of test/unit/rules/cases/*.txt. A file is blocks separated by empty lines; a block is lines
// "key: value" (a value goes on in following lines that start with two blanks):
//
//   sql:       the statement; `expr: e` is short for SELECT VALUE e FROM 'a/b'
//   version:   of the statement, 2016-03-23 if absent; stays for the rest of the file when it stands alone
//   topic:     default a/b
//   payload:   default {}; `payload64:` for bytes
//   template:  a text with ${...}; `output:` is what it expands to
//   output:    the bytes actions get
//   undefined  the value is Undefined (SELECT VALUE)
//   nomatch    WHERE stops the message
//   error:     a part of the message with which the statement is refused
//   fails:     a part of the message with which the run fails
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include <gtest/gtest.h>

#include "core/encoding.h"
#include "rules/node.h"
#include "rules/plan.h"
#include "rules/template.h"

namespace fleetward::rules {
namespace {

struct Case {
  std::string file;
  int line = 0;
  std::map<std::string, std::string> values;

  bool has(const std::string& key) const { return values.count(key) != 0; }
  std::string get(const std::string& key, const std::string& fallback) const {
    const auto found = values.find(key);
    return found == values.end() ? fallback : found->second;
  }
};

std::vector<Case> read_cases(const std::filesystem::path& path) {
  std::vector<Case> out;
  std::ifstream in(path);
  std::string line, key, version = "2016-03-23";
  Case current;
  int number = 0;
  const auto flush = [&] {
    if (current.values.size() == 1 && current.has("version")) {
      version = current.values["version"];
    } else if (!current.values.empty()) {
      current.values.emplace("version", version);
      current.file = path.filename();
      out.push_back(current);
    }
    current = {};
  };
  while (std::getline(in, line)) {
    ++number;
    if (line.empty()) {
      flush();
      continue;
    }
    if (line[0] == '#') continue;
    if (line.starts_with("  ")) {
      current.values[key] += "\n" + line.substr(2);
      continue;
    }
    if (current.values.empty()) current.line = number;
    const size_t colon = line.find(": ");
    key = line.substr(0, colon);
    if (key.ends_with(':')) key.pop_back();
    current.values[key] = colon == std::string::npos ? "" : line.substr(colon + 2);
  }
  flush();
  return out;
}

std::vector<Case> all_cases() {
  std::vector<Case> out;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(FLEETWARD_TEST_DATA "/cases")) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    for (Case& c : read_cases(file)) out.push_back(std::move(c));
  }
  return out;
}

class SqlCase : public testing::TestWithParam<Case> {};

const std::vector<std::pair<std::string, std::string>> kProperties = {
    {"site", "north"}, {"kind", "meter"}, {"site", "south"}};

Event event_of(const Case& c, const std::string& topic, const std::string& payload) {
  Event event;
  event.topic = topic;
  event.payload = payload;
  event.client_id = c.has("no client") ? "" : "device-7";
  event.principal = c.has("no client") ? "" : "0123abcd";
  event.source_address = "192.0.2.7";
  event.account = "123456789012";
  event.now = Timestamp{1767225600123};
  event.content_type = "application/json";
  event.response_topic = "answers/7";
  event.correlation_data = "abc";
  event.payload_is_utf8 = true;
  event.user_properties = &kProperties;
  event.entropy[0] = 0x1122334455667788;
  event.entropy[1] = 0x99AABBCCDDEEFF00;
  return event;
}

void check_template(const Case& c, Scope& scope, const TemplateContext& context) {
  const auto compiled = Template::compile(c.get("template", ""), context);
  if (c.has("error")) {
    ASSERT_FALSE(compiled) << "compiles";
    EXPECT_NE(compiled.error().message.find(c.get("error", "")), std::string::npos)
        << compiled.error().message;
    return;
  }
  ASSERT_TRUE(compiled) << compiled.error().message;
  EXPECT_EQ(compiled->expand(scope), c.get("output", ""));
}

TEST_P(SqlCase, GivesWhatItsTableSays) {
  const Case& c = GetParam();
  const auto version = parse_sql_version(c.get("version", ""));
  ASSERT_TRUE(version);
  std::string sql = c.get("sql", "SELECT * FROM 'a/b'");
  if (c.has("expr")) sql = "SELECT VALUE " + c.get("expr", "") + " FROM 'a/b'";
  const auto plan = Plan::compile(sql, *version);
  if (c.has("error") && !c.has("template")) {
    ASSERT_FALSE(plan) << "compiles";
    EXPECT_NE(plan.error().message.find(c.get("error", "")), std::string::npos) << plan.error().message;
    return;
  }
  ASSERT_TRUE(plan) << plan.error().message;
  const std::string topic = c.get("topic", "a/b");
  std::string payload = c.get("payload", "{}");
  if (c.has("payload64")) payload = from_base64(c.get("payload64", "")).value();
  const Event event = event_of(c, topic, payload);
  const Message message(event);
  Scope scope(message, *version);
  const bool matched = (*plan)->matches(scope);
  ASSERT_EQ(matched, !c.has("nomatch"));
  if (c.has("template")) {
    check_template(c, scope, (*plan)->template_context());
    return;
  }
  if (!matched) return;
  const auto output = (*plan)->select(scope);
  if (c.has("fails")) {
    ASSERT_FALSE(output) << output->bytes().substr(0, 200);
    EXPECT_NE(output.error().message.find(c.get("fails", "")), std::string::npos) << output.error().message;
    return;
  }
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_EQ(output->bytes(), c.get("output", ""));
  if (c.has("undefined")) {
    EXPECT_FALSE(output->value);
  }
}

std::string name_of(const testing::TestParamInfo<Case>& given) {
  std::string name = given.param.file + "_" + std::to_string(given.param.line);
  std::replace_if(
      name.begin(), name.end(), [](char ch) { return std::isalnum(static_cast<unsigned char>(ch)) == 0; },
      '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Cases, SqlCase, testing::ValuesIn(all_cases()), name_of);

}  // namespace
}  // namespace fleetward::rules
