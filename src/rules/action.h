#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/json.h"
#include "core/result.h"
#include "rules/template.h"

// What a rule does with its output (AWS: Rule actions). Field names are the wire's; a Template field may hold
// ${expressions}.
namespace fleetward::rules {

struct FirehoseAction {
  Template stream_name;
  std::string separator;  // "", "\n", "\t", "\r\n" or ","
  bool batch_mode = false;
  std::string role_arn;
};

struct RepublishAction {
  struct UserProperty {
    Template key, value;
  };
  struct Headers {
    std::optional<Template> payload_format_indicator, content_type, response_topic, correlation_data,
        message_expiry;
    std::vector<UserProperty> user_properties;
  };
  Template topic;
  int qos = 0;
  std::optional<Headers> headers;
  std::string role_arn;
};

struct S3Action {
  Template bucket_name, key;
  std::string canned_acl;  // empty: the bucket's default
  std::string role_arn;
};

struct SnsAction {
  Template target_arn;
  bool json_format = false;  // messageFormat JSON: one text per protocol
  std::string role_arn;
};

using Action = std::variant<FirehoseAction, RepublishAction, S3Action, SnsAction>;

// "firehose", "republish", "s3", "sns": the wire's key and a metric label.
std::string_view action_key(const Action& action);
// "FirehoseAction", ...: the name in error payloads.
std::string_view action_type(const Action& action);
const std::string& action_role(const Action& action);
// The resource as far as it is known without a message: the text of its template.
const std::string& action_resource(const Action& action);

// A republish topic of a template's text: a leading "$$" stands for '$'.
std::string_view republish_topic(std::string_view text);
// May rules publish to it? kInvalidArgument with a phrase such as "is a topic with a wildcard".
Status check_republish_topic(std::string_view topic);

// Why a rule was refused, told apart for the edge: SqlParseException or InvalidRequestException. The message
// names the member or the place in the statement.
struct RuleRejection {
  bool sql = false;  // the statement, or a ${...} of an action
  Error error;
};

// Reads one {"firehose": {...}} of a rule: exactly one action, with every member known and good. An action of
// AWS that this release does not have is refused by name.
tl::expected<Action, RuleRejection> parse_action(const json::object& wire, const TemplateContext& context);
json::object to_json(const Action& action);

}  // namespace fleetward::rules
