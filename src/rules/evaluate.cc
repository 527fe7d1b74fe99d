#include "rules/evaluate.h"

#include "core/encoding.h"
#include "core/ids.h"
#include "core/text.h"
#include "rules/limits.h"
#include "rules/node.h"

namespace fleetward::rules {
namespace {

// What an action sends: bytes, and for batches the list of records behind them.
struct Sent {
  std::string_view bytes;
  const json::array* batch = nullptr;
};

using Call = std::variant<FirehoseCall, RepublishCall, S3Call, SnsCall>;

Result<Call> refuse(std::string why) {
  return fail(ErrorCode::kInvalidArgument, std::move(why));
}

Result<Call> resolve(const FirehoseAction& action, const Sent& sent, Scope& scope) {
  FirehoseCall call;
  call.stream_name = action.stream_name.expand(scope);
  if (call.stream_name.empty()) return refuse("the name of the delivery stream is empty");
  if (!action.batch_mode || sent.batch == nullptr) {
    std::string& record = call.records.emplace_back();
    record.reserve(sent.bytes.size() + action.separator.size());
    record.append(sent.bytes).append(action.separator);
    return call;
  }
  call.batch = true;
  if (sent.batch->size() > kBatchRecordsMax) {
    return refuse("a batch of " + std::to_string(sent.batch->size()) + " records is over the limit of " +
                  std::to_string(kBatchRecordsMax));
  }
  for (const json::value& element : *sent.batch) {
    std::string& record = call.records.emplace_back();
    json::serialize_to(element, record);
    record += action.separator;
  }
  return call;
}

// Fills the MQTT 5 properties; answers what is wrong, or nothing.
std::string resolve_headers(const RepublishAction::Headers& headers, Scope& scope, RepublishCall& call) {
  if (headers.payload_format_indicator) {
    const std::string indicator = headers.payload_format_indicator->expand(scope);
    call.payload_is_utf8 = indicator == "UTF8_DATA" || indicator == "1";
    if (!call.payload_is_utf8 && !indicator.empty() && indicator != "UNSPECIFIED_BYTES" && indicator != "0") {
      return "headers.payloadFormatIndicator is neither UNSPECIFIED_BYTES nor UTF8_DATA";
    }
  }
  if (headers.content_type) call.content_type = headers.content_type->expand(scope);
  if (headers.response_topic) call.response_topic = headers.response_topic->expand(scope);
  if (headers.correlation_data) {
    auto bytes = from_base64(headers.correlation_data->expand(scope));
    if (!bytes) return "headers.correlationData is not base64";
    call.correlation_data = std::move(*bytes);
  }
  if (headers.message_expiry) {
    const std::string text = headers.message_expiry->expand(scope);
    const auto seconds = parse_number<uint32_t>(text);
    if (!seconds) return "headers.messageExpiry is not a number of seconds";
    call.expiry_seconds = *seconds;
  }
  for (const auto& property : headers.user_properties) {
    call.user_properties.emplace_back(property.key.expand(scope), property.value.expand(scope));
  }
  return {};
}

Result<Call> resolve(const RepublishAction& action, const Sent& sent, Scope& scope) {
  RepublishCall call;
  call.topic = action.topic.expand(scope);
  if (action.topic.text().starts_with("$$")) call.topic.erase(0, 1);
  if (auto ok = check_republish_topic(call.topic); !ok)
    return refuse("'" + call.topic + "' " + ok.error().message);
  call.payload = std::string(sent.bytes);
  call.qos = action.qos;
  if (action.headers) {
    if (std::string why = resolve_headers(*action.headers, scope, call); !why.empty())
      return refuse(std::move(why));
  }
  return call;
}

Result<Call> resolve(const S3Action& action, const Sent& sent, Scope& scope) {
  S3Call call{action.bucket_name.expand(scope), action.key.expand(scope), {}, action.canned_acl};
  if (call.bucket.empty()) return refuse("the bucket name is empty");
  if (call.key.empty()) return refuse("the object key is empty");
  if (call.key.size() > 1024) return refuse("the object key is longer than 1024 bytes");
  call.body = std::string(sent.bytes);
  return call;
}

Result<Call> resolve(const SnsAction& action, const Sent& sent, Scope& scope) {
  SnsCall call{action.target_arn.expand(scope), {}, action.json_format};
  const auto arn = parse_arn(call.target_arn);
  if (!arn || arn->service != "sns")
    return refuse("'" + call.target_arn + "' is not the ARN of an SNS topic");
  if (sent.bytes.empty()) return refuse("the output is empty, and a notification must not be");
  if (!is_utf8(sent.bytes)) return refuse("the output is binary; encode(*, 'base64') makes it text");
  call.body = std::string(sent.bytes);
  return call;
}

ActionFailure failure_of(const Action& action, std::string message) {
  return {std::string(action_type(action)), action_resource(action), std::move(message)};
}

void add_call(const Action& action, const Sent& sent, Scope& scope, Evaluation& out) {
  auto call = std::visit([&](const auto& a) { return resolve(a, sent, scope); }, action);
  if (call && scope.exhausted()) call = refuse("the templates take more work than one message may");
  if (!call) {
    out.failures.push_back(failure_of(action, call.error().message));
    return;
  }
  out.calls.push_back({&action, std::move(*call)});
}

bool wants_batch(const Rule& rule) {
  for (const Action& action : rule.actions) {
    const auto* firehose = std::get_if<FirehoseAction>(&action);
    if (firehose != nullptr && firehose->batch_mode) return true;
  }
  return false;
}

}  // namespace

std::string_view call_resource(const ActionCall& call) {
  switch (call.call.index()) {
    case 0:
      return std::get<FirehoseCall>(call.call).stream_name;
    case 1:
      return std::get<RepublishCall>(call.call).topic;
    case 2:
      return std::get<S3Call>(call.call).bucket;
    default:
      return std::get<SnsCall>(call.call).target_arn;
  }
}

Evaluation evaluate(const Rule& rule, const Message& message) {
  Evaluation out;
  Scope scope(message, rule.plan->version());
  out.matched = rule.plan->matches(scope);
  // A WHERE that ran out of work decided nothing: that is a failure, not a "no".
  Result<Output> output = Output{};
  if (scope.exhausted()) {
    out.matched = true;
    output = fail(ErrorCode::kLimitExceeded, "the statement takes more work than one message may");
  } else if (!out.matched) {
    return out;
  } else {
    output = rule.plan->select(scope);
  }
  if (!output) {
    for (const Action& action : rule.actions) {
      out.failures.push_back(failure_of(action, output.error().message));
    }
    return out;
  }
  Sent sent{output->bytes(), nullptr};
  if (wants_batch(rule)) {
    const json::value* whole = output->forwarded ? message.document()
                               : output->value   ? &*output->value
                                                 : nullptr;
    if (whole != nullptr) sent.batch = whole->if_array();
  }
  out.calls.reserve(rule.actions.size());
  for (const Action& action : rule.actions) add_call(action, sent, scope, out);
  return out;
}

std::string error_payload(const Rule& rule, const Event& event, const std::vector<ActionFailure>& failures) {
  json::object out;
  out["ruleName"] = rule.name;
  out["topic"] = event.topic;
  out["cloudwatchTraceId"] = trace_id(event);
  out["clientId"] = event.client_id.empty() ? std::string_view("n/a") : event.client_id;
  out["base64OriginalPayload"] = to_base64(event.payload);
  json::array list;
  for (const ActionFailure& failure : failures) {
    list.push_back(json::object{{"failedAction", failure.action},
                                {"failedResource", failure.resource},
                                {"errorMessage", failure.message}});
  }
  out["failures"] = std::move(list);
  return json::serialize(out);
}

Evaluation evaluate_error_action(const Rule& rule, const Message& message,
                                 const std::vector<ActionFailure>& failures) {
  Evaluation out;
  out.matched = true;
  Scope scope(message, rule.plan->version());
  rule.plan->matches(scope);  // for the variables of SET
  const std::string payload = error_payload(rule, message.event(), failures);
  Scope templates(message, rule.plan->version());  // with work of its own
  templates.variables = std::move(scope.variables);
  add_call(*rule.error_action, Sent{payload, nullptr}, templates, out);
  return out;
}

}  // namespace fleetward::rules
