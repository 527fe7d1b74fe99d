#include "api/sns/sns.h"
#include "identity/policy.h"
#include "registry/tags.h"

namespace fleetward::api::sns {
namespace {

constexpr size_t kPageSize = 100;
constexpr CharSet kTopicChars("a-zA-Z0-9_-");
constexpr StringRule kTopicName{.min = 1, .max = 256, .chars = &kTopicChars};

// What a topic does without being told otherwise.
constexpr const char* kEffectiveDeliveryPolicy =
    R"({"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":20,"maxDelayTarget":20,"numRetries":3,)"
    R"("numMaxDelayRetries":0,"numNoDelayRetries":0,"numMinDelayRetries":0,"backoffFunction":"linear"},)"
    R"("disableSubscriptionOverrides":false}})";

// Empty: fine; else why not.
std::string attribute_problem(const std::string& name, const std::string& value) {
  if (name == "DisplayName") return value.size() > 100 ? "DisplayName has at most 100 characters" : "";
  if (name == "SignatureVersion") return value == "1" || value == "2" ? "" : "SignatureVersion is 1 or 2";
  if (name == "TracingConfig")
    return value == "PassThrough" ? "" : "this release has only TracingConfig PassThrough";
  if (name == "FifoTopic") return value == "false" ? "" : "FIFO topics are not supported by this release";
  for (const char* unsupported : {"Policy", "DeliveryPolicy", "KmsMasterKeyId", "ContentBasedDeduplication",
                                  "ArchivePolicy", "FifoThroughputScope", "DataProtectionPolicy"}) {
    if (name == unsupported) return "the attribute " + name + " is not supported by this release";
  }
  return "there is no attribute " + name.substr(0, 64);
}

bool kept(const std::string& name) {
  return name == "DisplayName" || name == "SignatureVersion";
}

registry::Tags read_tags(Input& in) {
  registry::Tags out;
  for (Tag& tag : in.tags("Tags")) out[std::move(tag.key)] = std::move(tag.value);
  return out;
}

http::ApiResult<void> create(const Dependencies& d, state::Transaction& change, const std::string& name,
                             const std::map<std::string, std::string>& attributes,
                             const registry::Tags& tags) {
  const auto& topics = change.get(d.tables.topics);
  const std::string arn = alerts::topic_arn(d.account, name);
  if (const alerts::Topic* existing = topics.find(name)) {
    for (const auto& [attribute, value] : attributes) {
      const auto found = existing->attributes.find(attribute);
      if (found == existing->attributes.end() || found->second != value) {
        return refuse(kSnsStyle,
                      "Invalid parameter: Attributes Reason: Topic already exists with different attributes");
      }
    }
    const registry::Tags* before = change.get(d.tables.tags).find(arn);
    if (!tags.empty() && (before == nullptr || *before != tags)) {
      return refuse(kSnsStyle, "Invalid parameter: Tags Reason: Topic already exists with different tags");
    }
    return {};
  }
  if (topics.size() >= alerts::kTopicsMax)
    return http::api_fail(403, "TopicLimitExceeded", "Too many topics.");
  if (auto ok = registry::add_tags(change, d.tables.tags, arn, tags); !ok)
    return refuse(kSnsStyle, ok.error());
  change.put(d.tables.topics, name, alerts::Topic{name, d.clock.now(), attributes});
  return {};
}

http::ApiResult<json::object> create_topic(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kSnsStyle);
  if (const auto fifo = in.string_opt("Name"); fifo && fifo->ends_with(".fifo")) {
    in.fail("Name", "FIFO topics are not supported by this release");
  }
  const std::string name = in.string("Name", kTopicName);
  const auto given = in.string_map_opt("Attributes", 20);
  const registry::Tags tags = read_tags(in);
  in.unsupported("DataProtectionPolicy");
  std::map<std::string, std::string> attributes;
  if (given) {
    for (const auto& [attribute, value] : *given) {
      if (const std::string why = attribute_problem(attribute, value); !why.empty())
        in.fail("Attributes", why);
      if (kept(attribute)) attributes[attribute] = value;
    }
  }
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto done = transact(d.store, kSnsStyle,
                       [&](state::Transaction& change) { return create(d, change, name, attributes, tags); });
  if (!done) return tl::unexpected(done.error());
  return json::object{{"TopicArn", alerts::topic_arn(d.account, name)}};
}

http::ApiResult<json::object> delete_topic(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kSnsStyle);
  const std::string arn = in.string("TopicArn");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto name = alerts::parse_topic_arn(d.account, arn);
  if (!name) return refuse(kSnsStyle, "Invalid parameter: TopicArn Reason: " + name.error().message);
  auto done = transact(d.store, kSnsStyle, [&](state::Transaction& change) -> http::ApiResult<void> {
    std::vector<std::string> keys;
    change.get(d.tables.subscriptions).visit_prefix(state::key(*name, ""), [&](const auto& entry) {
      keys.push_back(entry.key);
      return true;
    });
    for (const std::string& key : keys) change.erase(d.tables.subscriptions, key);
    // Deleting what is not there is fine, as AWS does.
    if (change.get(d.tables.topics).find(*name) != nullptr) change.erase(d.tables.topics, *name);
    registry::erase_tags(change, d.tables.tags, arn);
    return {};
  });
  if (!done) return tl::unexpected(done.error());
  return json::object();
}

http::ApiResult<json::object> list_topics(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kSnsStyle);
  const Page page = in.page("ListTopics", "NextToken", "", kPageSize, kPageSize);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  json::array topics;
  const std::string next =
      list_page(d.store.snapshot()->get(d.tables.topics), "", page, [&](const auto& entry) {
        topics.push_back(json::object{{"TopicArn", alerts::topic_arn(d.account, entry.key)}});
        return true;
      });
  json::object out{{"Topics", std::move(topics)}};
  if (!next.empty()) out["NextToken"] = next;
  return out;
}

http::ApiResult<json::object> get_topic_attributes(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kSnsStyle);
  const std::string arn = in.string("TopicArn");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const auto name = read_topic(d, *snapshot, arn);
  if (!name) return tl::unexpected(name.error());
  int64_t confirmed = 0, pending = 0, deleted = 0;
  snapshot->get(d.tables.subscriptions).visit_prefix(state::key(*name, ""), [&](const auto& entry) {
    using State = alerts::Subscription::State;
    const State state = entry.value->state;
    ++(state == State::kConfirmed ? confirmed : state == State::kPending ? pending : deleted);
    return true;
  });
  json::object attributes{{"TopicArn", arn},
                          {"Owner", d.account.account.str()},
                          {"DisplayName", ""},
                          {"SubscriptionsConfirmed", std::to_string(confirmed)},
                          {"SubscriptionsPending", std::to_string(pending)},
                          {"SubscriptionsDeleted", std::to_string(deleted)},
                          {"EffectiveDeliveryPolicy", kEffectiveDeliveryPolicy}};
  for (const auto& [attribute, value] : snapshot->get(d.tables.topics).find(*name)->attributes) {
    attributes[attribute] = value;
  }
  return json::object{{"Attributes", {{"$map", std::move(attributes)}}}};
}

http::ApiResult<json::object> set_topic_attributes(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kSnsStyle);
  const std::string arn = in.string("TopicArn");
  const std::string attribute = in.string("AttributeName");
  const std::string value = in.string_or("AttributeValue", "");
  if (const std::string why = attribute_problem(attribute, value); !why.empty())
    in.fail("AttributeName", why);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto name = read_topic(d, *d.store.snapshot(), arn);
  if (!name) return tl::unexpected(name.error());
  if (!kept(attribute)) return json::object();  // the value is the only one there is
  auto done = transact(d.store, kSnsStyle, [&](state::Transaction& change) -> http::ApiResult<void> {
    const alerts::Topic* topic = change.get(d.tables.topics).find(*name);
    if (topic == nullptr) return not_found(kSnsStyle, "Topic does not exist");
    alerts::Topic changed = *topic;
    changed.attributes[attribute] = value;
    change.put(d.tables.topics, *name, std::move(changed));
    return {};
  });
  if (!done) return tl::unexpected(done.error());
  return json::object();
}

// Tags of a topic: `change` gets the topic's ARN once it is known to exist.
http::ApiResult<json::object> with_tags(const Dependencies& d, const std::string& arn,
                                        const std::function<Status(state::Transaction&)>& change) {
  auto done = transact(d.store, kSnsStyle, [&](state::Transaction& transaction) -> http::ApiResult<void> {
    const auto name = alerts::parse_topic_arn(d.account, arn);
    if (!name || transaction.get(d.tables.topics).find(*name) == nullptr) {
      return http::api_fail(404, "ResourceNotFound", "Resource does not exist");
    }
    auto ok = change(transaction);
    if (!ok && ok.error().code == ErrorCode::kLimitExceeded) {
      return http::api_fail(400, "TagLimitExceeded", ok.error().message);
    }
    if (!ok) return refuse(kSnsStyle, ok.error());
    return {};
  });
  if (!done) return tl::unexpected(done.error());
  return json::object();
}

http::ApiResult<json::object> tag_resource(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kSnsStyle);
  const std::string arn = in.string("ResourceArn");
  const registry::Tags tags = read_tags(in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  return with_tags(d, arn, [&](state::Transaction& change) {
    return registry::add_tags(change, d.tables.tags, arn, tags);
  });
}

http::ApiResult<json::object> untag_resource(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kSnsStyle);
  const std::string arn = in.string("ResourceArn");
  const auto keys = in.strings("TagKeys", 1, registry::kTagsMax, {.min = 1, .max = 128});
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  return with_tags(d, arn, [&](state::Transaction& change) -> Status {
    registry::remove_tags(change, d.tables.tags, arn, keys);
    return {};
  });
}

http::ApiResult<json::object> list_tags(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kSnsStyle);
  const std::string arn = in.string("ResourceArn");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  if (auto name = read_topic(d, *snapshot, arn); !name) return tl::unexpected(name.error());
  json::array tags;
  for (const auto& [key, value] : registry::tags_of(*snapshot, d.tables.tags, arn)) {
    tags.push_back(json::object{{"Key", key}, {"Value", value}});
  }
  return json::object{{"Tags", std::move(tags)}};
}

}  // namespace

std::vector<http::Operation> topic_operations(const Dependencies& d) {
  using Function = http::ApiResult<json::object> (*)(const Dependencies&, const json::object&);
  const auto operation = [&](const char* name, Function run,
                             std::function<std::string(const json::object&)> resource) {
    http::Operation out;
    out.name = name;
    out.resource = std::move(resource);
    out.run = [d, run](const http::Call&, const json::object& arguments) { return run(d, arguments); };
    return out;
  };
  const auto by_name = [account = d.account](const json::object& arguments) {
    return alerts::topic_arn(account, json::string_or(arguments, "Name"));
  };
  return {operation("CreateTopic", create_topic, by_name),
          operation("DeleteTopic", delete_topic, resource_of("TopicArn")),
          operation("ListTopics", list_topics, nullptr),
          operation("GetTopicAttributes", get_topic_attributes, resource_of("TopicArn")),
          operation("SetTopicAttributes", set_topic_attributes, resource_of("TopicArn")),
          operation("TagResource", tag_resource, resource_of("ResourceArn")),
          operation("UntagResource", untag_resource, resource_of("ResourceArn")),
          operation("ListTagsForResource", list_tags, resource_of("ResourceArn"))};
}

}  // namespace fleetward::api::sns
