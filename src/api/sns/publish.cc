#include <set>

#include "alerts/notification.h"
#include "api/sns/sns.h"
#include "core/encoding.h"

namespace fleetward::api::sns {
namespace {

constexpr size_t kMessageBytesMax = 262'144;
constexpr size_t kEntriesMax = 10;
constexpr size_t kAttributesMax = 100;
constexpr CharSet kAttributeChars("a-zA-Z0-9_.-");
constexpr CharSet kEntryIdChars("a-zA-Z0-9_-");

// An entry's other members are judged entry by entry, what is unknown to all of them with the request.
constexpr Shape kAttributeShape[] = {{"DataType"}, {"StringValue"}, {"BinaryValue"}};
constexpr Shape kAttributesShape[] = {{"*", kAttributeShape}};
constexpr Shape kEntryShape[] = {{"Id"},
                                 {"Message"},
                                 {"Subject"},
                                 {"MessageStructure"},
                                 {"MessageDeduplicationId"},
                                 {"MessageGroupId"},
                                 {"MessageAttributes", kAttributesShape}};

struct Message {
  alerts::AlertRecord record;
  size_t bytes = 0;
};

std::string attribute_problem(std::string_view type, bool text, bool binary, std::string_view value) {
  const std::string_view base = type.substr(0, type.find('.'));
  if (base != "String" && base != "Number" && base != "Binary") return "DataType is String, Number or Binary";
  if (base == "Binary" ? (text || !binary) : (binary || !text)) {
    return "a value of this DataType must be given, and only it";
  }
  if (base == "Binary") return from_base64(value) ? "" : "BinaryValue is not base64";
  if (value.empty()) return "the value must not be empty";
  if (type == "String.Array") {
    const auto list = json::parse(value);
    if (!list || !list->is_array()) return "a String.Array holds a JSON list";
  }
  if (base == "Number") {
    const auto number = json::parse(value);
    if (!number || !number->is_number()) return "not a number";
  }
  return "";
}

// The message's attributes as they are kept; `bytes` grows by what they weigh.
json::object read_attributes(Input& in, size_t& bytes) {
  json::object out;
  for (auto& [name, attribute] : in.object_map("MessageAttributes", kAttributesMax)) {
    const std::string type = attribute.string("DataType", {.min = 1, .max = 256});
    const auto text = attribute.string_opt("StringValue");
    const auto binary = attribute.string_opt("BinaryValue");
    const std::string value = text.value_or(binary.value_or(""));
    if (name.empty() || name.size() > 256 || !kAttributeChars.contains_all(name)) {
      in.fail("MessageAttributes", "the name of an attribute has 1 to 256 of [a-zA-Z0-9_.-]");
    }
    if (const auto why = attribute_problem(type, text.has_value(), binary.has_value(), value); !why.empty()) {
      attribute.fail("DataType", why);
    }
    bytes += name.size() + type.size() + value.size();
    out[name] = {{"DataType", type}, {text ? "StringValue" : "BinaryValue", value}};
  }
  return out;
}

// What Publish and an entry of PublishBatch share.
Message read_message(Input& in, const std::string& topic_arn) {
  Message out;
  alerts::AlertRecord& record = out.record;
  record.topic_arn = topic_arn;
  record.message = in.string("Message");
  record.subject = in.string_or("Subject", "", {.max = 100});
  const auto structure = in.one_of_opt("MessageStructure", {"json"});
  in.unsupported("MessageDeduplicationId");
  in.unsupported("MessageGroupId");
  if (in.ok() && record.message.empty()) in.fail("Message", "Empty message");
  if (in.has("Subject") && record.subject.empty()) in.fail("Subject", "Empty subject");
  for (const char c : record.subject) {
    if (static_cast<unsigned char>(c) < 0x20) in.fail("Subject", "a subject holds no control characters");
  }
  out.bytes = record.message.size();
  const json::object attributes = read_attributes(in, out.bytes);
  if (!attributes.empty()) record.attributes = json::serialize(attributes);
  if (structure) {
    record.structured = true;
    if (auto ok = alerts::check_structured(record.message); !ok) in.fail("Message", ok.error().message);
  }
  if (out.bytes > kMessageBytesMax) in.fail("Message", "Message too long");
  return out;
}

http::ApiResult<json::object> publish(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kSnsStyle);
  in.unsupported("PhoneNumber");
  const auto topic_arn = in.string_opt("TopicArn");
  const auto target_arn = in.string_opt("TargetArn");
  if (topic_arn.has_value() == target_arn.has_value()) {
    in.fail("TopicArn", "exactly one of TopicArn and TargetArn must be given");
  }
  const std::string arn = topic_arn.value_or(target_arn.value_or(""));
  Message message = read_message(in, arn);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  if (auto topic = read_topic(d, *d.store.snapshot(), arn); !topic) return tl::unexpected(topic.error());
  std::vector<alerts::AlertRecord> records;
  records.push_back(std::move(message.record));
  const auto ids = d.stage.publish(std::move(records));
  if (!ids) return refuse(kSnsStyle, ids.error());
  return json::object{{"MessageId", ids->front()}};
}

http::ApiResult<void> check_entries(const std::vector<std::string>& ids, size_t count) {
  if (count == 0)
    return http::api_fail(400, "EmptyBatchRequest", "The batch request doesn't contain any entries.");
  if (count > kEntriesMax) {
    return http::api_fail(400, "TooManyEntriesInBatchRequest",
                          "The batch request contains more entries than permissible (10).");
  }
  std::set<std::string> distinct;
  for (const std::string& id : ids) {
    if (id.empty() || id.size() > 80 || !kEntryIdChars.contains_all(id)) {
      return http::api_fail(400, "InvalidBatchEntryId",
                            "The Id of a batch entry has 1 to 80 of [a-zA-Z0-9_-].");
    }
    if (!distinct.insert(id).second) {
      return http::api_fail(400, "BatchEntryIdsNotDistinct", "Two or more batch entries have the same Id.");
    }
  }
  return {};
}

http::ApiResult<json::object> publish_batch(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kSnsStyle);
  const std::string arn = in.string("TopicArn");
  const auto entries = in.objects("PublishBatchRequestEntries", 0, 1000);
  std::vector<std::string> ids;
  for (Input entry : entries) {
    ids.push_back(entry.string("Id"));
    entry.known(kEntryShape);
  }
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  if (auto ok = check_entries(ids, entries.size()); !ok) return tl::unexpected(ok.error());
  if (auto topic = read_topic(d, *d.store.snapshot(), arn); !topic) return tl::unexpected(topic.error());

  json::array successful, failed;
  std::vector<alerts::AlertRecord> records;
  std::vector<std::string> accepted;
  size_t bytes = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    Input one(entries[i].value(), kSnsStyle);  // each entry fails by itself
    one.string("Id");
    Message message = read_message(one, arn);
    bytes += message.bytes;
    if (auto ok = one.finish(); !ok) {
      failed.push_back(json::object{
          {"Id", ids[i]}, {"Code", ok.error().name}, {"Message", ok.error().message}, {"SenderFault", true}});
      continue;
    }
    records.push_back(std::move(message.record));
    accepted.push_back(ids[i]);
  }
  if (bytes > kMessageBytesMax) {
    return http::api_fail(400, "BatchRequestTooLong",
                          "The length of all the batch messages put together is too long.");
  }
  if (!records.empty()) {
    const auto published = d.stage.publish(std::move(records));
    if (!published) return refuse(kSnsStyle, published.error());
    for (size_t i = 0; i < accepted.size(); ++i) {
      successful.push_back(json::object{{"Id", accepted[i]}, {"MessageId", (*published)[i]}});
    }
  }
  return json::object{{"Successful", std::move(successful)}, {"Failed", std::move(failed)}};
}

}  // namespace

std::vector<http::Operation> publish_operations(const Dependencies& d) {
  http::Operation one;
  one.name = "Publish";
  one.resource = [](const json::object& arguments) {
    const std::string_view topic =
        json::string_or(arguments, "TopicArn", json::string_or(arguments, "TargetArn", "*"));
    return std::string(topic);
  };
  one.run = [d](const http::Call&, const json::object& arguments) { return publish(d, arguments); };
  http::Operation batch;
  batch.name = "PublishBatch";
  batch.action = "sns:Publish";
  batch.resource = resource_of("TopicArn");
  batch.run = [d](const http::Call&, const json::object& arguments) { return publish_batch(d, arguments); };
  return {std::move(one), std::move(batch)};
}

}  // namespace fleetward::api::sns
