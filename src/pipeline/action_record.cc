#include "pipeline/action_record.h"

#include "broker/hooks.h"
#include "core/encoding.h"
#include "core/json.h"

namespace fleetward::pipeline {
namespace {

std::string text_of(const json::object& o, std::string_view name) {
  return std::string(json::string_or(o, name));
}

json::object event_header(const StoredEvent& event) {
  json::object out;
  out["topic"] = event.topic;
  out["clientId"] = event.client_id;
  out["principal"] = event.principal;
  out["sourceAddress"] = event.source_address;
  out["nowMs"] = event.now.ms;
  out["entropy"] = json::array{event.entropy[0], event.entropy[1]};
  if (!event.content_type.empty()) out["contentType"] = event.content_type;
  if (!event.response_topic.empty()) out["responseTopic"] = event.response_topic;
  if (!event.correlation_data.empty()) out["correlationData"] = to_base64(event.correlation_data);
  if (event.payload_is_utf8) out["utf8"] = true;
  if (!event.user_properties.empty()) {
    json::array pairs;
    for (const auto& [key, value] : event.user_properties) pairs.push_back(json::array{key, value});
    out["userProperties"] = std::move(pairs);
  }
  return out;
}

uint64_t word_of(const json::value& v) {
  return v.is_uint64() ? v.get_uint64() : v.is_int64() ? static_cast<uint64_t>(v.get_int64()) : 0;
}

StoredEvent event_of(const json::object& header) {
  StoredEvent out;
  out.topic = text_of(header, "topic");
  out.client_id = text_of(header, "clientId");
  out.principal = text_of(header, "principal");
  out.source_address = text_of(header, "sourceAddress");
  out.now.ms = json::int_or(header, "nowMs", 0);
  out.content_type = text_of(header, "contentType");
  out.response_topic = text_of(header, "responseTopic");
  out.correlation_data = from_base64(json::string_or(header, "correlationData")).value_or("");
  out.payload_is_utf8 = json::bool_or(header, "utf8", false);
  if (const json::array* words = json::find_array(header, "entropy");
      words != nullptr && words->size() == 2) {
    out.entropy[0] = word_of((*words)[0]);
    out.entropy[1] = word_of((*words)[1]);
  }
  if (const json::array* pairs = json::find_array(header, "userProperties")) {
    for (const json::value& pair : *pairs) {
      const json::array* both = pair.if_array();
      if (both == nullptr || both->size() != 2 || !(*both)[0].is_string() || !(*both)[1].is_string())
        continue;
      out.user_properties.emplace_back((*both)[0].get_string(), (*both)[1].get_string());
    }
  }
  return out;
}

}  // namespace

log::Partition actions_partition() {
  return {std::string(kActionsStream), 0};
}

StoredEvent StoredEvent::of(const rules::Event& event) {
  StoredEvent out;
  out.topic = event.topic;
  out.payload = event.payload;
  out.client_id = event.client_id;
  out.principal = event.principal;
  out.source_address = event.source_address;
  out.content_type = event.content_type;
  out.response_topic = event.response_topic;
  out.correlation_data = event.correlation_data;
  out.payload_is_utf8 = event.payload_is_utf8;
  if (event.user_properties != nullptr) out.user_properties = *event.user_properties;
  out.now = event.now;
  out.entropy[0] = event.entropy[0];
  out.entropy[1] = event.entropy[1];
  return out;
}

rules::Event StoredEvent::view() const {
  rules::Event out;
  out.topic = topic;
  out.payload = payload;
  out.client_id = client_id;
  out.principal = principal;
  out.source_address = source_address;
  out.content_type = content_type;
  out.response_topic = response_topic;
  out.correlation_data = correlation_data;
  out.payload_is_utf8 = payload_is_utf8;
  out.user_properties = user_properties.empty() ? nullptr : &user_properties;
  out.now = now;
  out.entropy[0] = entropy[0];
  out.entropy[1] = entropy[1];
  return out;
}

std::string encode_action_record(const ActionRecord& record) {
  json::object header;
  header["v"] = 1;
  header["rule"] = record.rule;
  if (record.is_error_action) header["error"] = true;
  json::array tasks;
  for (const ActionTask& task : record.tasks) {
    json::object o{{"role", task.role_arn}, {"resource", task.resource}, {"body", task.body.size()}};
    if (task.kind == ActionTask::Kind::kS3) {
      o["kind"] = "s3";
      o["key"] = task.key;
      if (!task.canned_acl.empty()) o["acl"] = task.canned_acl;
    } else {
      o["kind"] = "sns";
      if (task.json_format) o["json"] = true;
    }
    tasks.push_back(std::move(o));
  }
  header["tasks"] = std::move(tasks);
  json::array failures;
  for (const rules::ActionFailure& f : record.failures) {
    failures.push_back(json::array{f.action, f.resource, f.message});
  }
  if (!failures.empty()) header["failures"] = std::move(failures);
  header["event"] = event_header(record.event);
  header["payload"] = record.event.payload.size();
  header["hops"] = record.made.hops;
  header["offspring"] = record.made.offspring_max;

  std::string out = json::serialize(header);
  out += '\n';
  for (const ActionTask& task : record.tasks) out += task.body;
  out += record.event.payload;
  return out;
}

Result<ActionRecord> decode_action_record(std::string_view text) {
  const auto corrupt = [](std::string why) {
    return fail(ErrorCode::kCorrupt, "a record of the stream 'actions' " + std::move(why));
  };
  const size_t newline = text.find('\n');
  if (newline == std::string_view::npos) return corrupt("has no header");
  const auto parsed = json::parse(text.substr(0, newline));
  if (!parsed || !parsed->is_object()) return corrupt("has a header that is no JSON object");
  const json::object& header = parsed->get_object();
  if (json::int_or(header, "v", 0) != 1) return corrupt("is of an unknown version");
  std::string_view bytes = text.substr(newline + 1);
  const auto take = [&](const json::object& o, std::string_view member, std::string& out) {
    const int64_t size = json::int_or(o, member, -1);
    if (size < 0 || static_cast<size_t>(size) > bytes.size()) return false;
    out = std::string(bytes.substr(0, static_cast<size_t>(size)));
    bytes.remove_prefix(static_cast<size_t>(size));
    return true;
  };
  ActionRecord out;
  out.rule = text_of(header, "rule");
  out.is_error_action = json::bool_or(header, "error", false);
  const json::array* tasks = json::find_array(header, "tasks");
  if (tasks == nullptr) return corrupt("has no tasks");
  for (const json::value& v : *tasks) {
    const json::object* o = v.if_object();
    if (o == nullptr) return corrupt("has a task that is no object");
    ActionTask& task = out.tasks.emplace_back();
    task.kind = json::string_or(*o, "kind") == "sns" ? ActionTask::Kind::kSns : ActionTask::Kind::kS3;
    task.role_arn = text_of(*o, "role");
    task.resource = text_of(*o, "resource");
    task.key = text_of(*o, "key");
    task.canned_acl = text_of(*o, "acl");
    task.json_format = json::bool_or(*o, "json", false);
    if (!take(*o, "body", task.body)) return corrupt("is cut short");
  }
  if (const json::array* failures = json::find_array(header, "failures")) {
    for (const json::value& v : *failures) {
      const json::array* three = v.if_array();
      if (three == nullptr || three->size() != 3) return corrupt("has a malformed failure");
      rules::ActionFailure& f = out.failures.emplace_back();
      std::string* fields[] = {&f.action, &f.resource, &f.message};
      for (size_t i = 0; i < 3; ++i) {
        if (const json::string* s = (*three)[i].if_string()) *fields[i] = std::string(*s);
      }
    }
  }
  // A record without them was written before they were: it counts as the first of its chain.
  out.made.hops = static_cast<uint32_t>(json::int_or(header, "hops", 1));
  out.made.offspring_max =
      static_cast<size_t>(json::int_or(header, "offspring", int64_t{broker::kRepublishMessagesMax}));
  if (const json::object* event = json::find_object(header, "event")) out.event = event_of(*event);
  if (!take(header, "payload", out.event.payload) || !bytes.empty()) return corrupt("has a wrong length");
  return out;
}

}  // namespace fleetward::pipeline
