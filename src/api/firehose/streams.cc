#include <utility>

#include "api/firehose/common.h"
#include "api/firehose/destination.h"

namespace fleetward::api::firehose {
namespace {

using delivery::Stream;
using delivery::StreamStatus;

constexpr const char* kService = "firehose.amazonaws.com";
constexpr std::initializer_list<const char*> kOtherDestinations = {
    "Redshift",  "Elasticsearch", "Amazonopensearchservice",
    "Splunk",    "HttpEndpoint",  "AmazonOpenSearchServerless",
    "Snowflake", "Iceberg"};

void refuse_other_destinations(Input& in, std::string_view ending) {
  for (const char* destination : kOtherDestinations)
    in.unsupported(std::string(destination) + std::string(ending));
}

void read_type(Input& in) {
  const auto type = in.string_opt("DeliveryStreamType");
  if (!type || *type == "DirectPut") return;
  if (*type == "KinesisStreamAsSource" || *type == "MSKAsSource" || *type == "DatabaseAsSource") {
    in.fail("DeliveryStreamType", *type + " is not implemented in this release; DirectPut is");
  } else {
    in.one_of("DeliveryStreamType",
              {"DirectPut", "KinesisStreamAsSource", "MSKAsSource", "DatabaseAsSource"});
  }
}

// Exactly one of the two S3 forms.
void read_either_form(Input& in, std::string_view ending, bool update, delivery::Destination& out) {
  auto plain = in.object_opt("S3Destination" + std::string(ending));
  auto extended = in.object_opt("ExtendedS3Destination" + std::string(ending));
  if (plain.has_value() == extended.has_value()) {
    in.fail("ExtendedS3Destination" + std::string(ending), "exactly one destination must be given");
    return;
  }
  if (!update) out.extended = extended.has_value();
  read_destination(extended ? *extended : *plain,
                   extended ? DestinationForm::kExtendedS3 : DestinationForm::kS3, update, out);
}

http::ApiResult<json::object> create(const Dependencies& d, const http::Call& call,
                                     const json::object& arguments) {
  Input in(arguments, kFirehoseStyle);
  Stream stream;
  stream.name = in.string("DeliveryStreamName", kStreamName);
  read_type(in);
  for (const char* other :
       {"KinesisStreamSourceConfiguration", "MSKSourceConfiguration", "DatabaseSourceConfiguration",
        "DirectPutSourceConfiguration", "DeliveryStreamEncryptionConfigurationInput"}) {
    in.unsupported(other);
  }
  refuse_other_destinations(in, "DestinationConfiguration");
  read_either_form(in, "Configuration", false, stream.destination);
  for (const Tag& tag : in.tags("Tags")) stream.tags[tag.key] = tag.value;
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  if (auto ok = d.authorizer.authorize_pass_role(call.caller, stream.destination.role_arn, kService); !ok) {
    return refuse(kFirehoseStyle, ok.error());
  }
  stream.id = d.random.uuid();
  stream.arn = d.authorizer.scope().arn("firehose", "deliverystream/" + stream.name);
  stream.created = d.clock.now();
  const std::string arn = stream.arn;
  auto created = d.store.transact([&](state::Transaction& t) -> Status {
    if (t.get(d.tables.streams).find(stream.name) != nullptr) {
      return fail(ErrorCode::kAlreadyExists, "Firehose " + stream.name + " under accountId " +
                                                 d.authorizer.scope().account.str() + " already exists");
    }
    if (t.get(d.tables.streams).size() >= delivery::kStreamsMax) {
      return fail(ErrorCode::kLimitExceeded, "An account may have at most " +
                                                 std::to_string(delivery::kStreamsMax) + " delivery streams");
    }
    t.put(d.tables.streams, stream.name, stream);
    return {};
  });
  if (!created) return refuse(kFirehoseStyle, created.error());
  return json::object{{"DeliveryStreamARN", arn}};
}

http::ApiResult<json::object> describe(const Dependencies& d, const http::Call&,
                                       const json::object& arguments) {
  Input in(arguments, kFirehoseStyle);
  const std::string name = in.string("DeliveryStreamName", kStreamName);
  in.integer_opt("Limit", 1, 10'000);
  const auto after = in.string_opt("ExclusiveStartDestinationId", {.min = 1, .max = 100});
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const Stream* stream = snapshot->get(d.tables.streams).find(name);
  if (stream == nullptr) return refuse(kFirehoseStyle, no_such_stream(d, name));
  json::object description{{"DeliveryStreamName", stream->name},
                           {"DeliveryStreamARN", stream->arn},
                           {"DeliveryStreamStatus", to_string(stream->status)},
                           {"DeliveryStreamEncryptionConfiguration", json::object{{"Status", "DISABLED"}}},
                           {"DeliveryStreamType", "DirectPut"},
                           {"VersionId", std::to_string(stream->version)},
                           {"CreateTimestamp", stream->created.seconds()},
                           {"HasMoreDestinations", false}};
  if (stream->updated.ms != 0) description["LastUpdateTimestamp"] = stream->updated.seconds();
  json::array destinations;
  if (!after || *after < kDestinationId) destinations.push_back(destination_description(stream->destination));
  description["Destinations"] = std::move(destinations);
  // The reason of a delivery that fails, which AWS shows in CloudWatch only.
  if (const std::string reason = d.last_error ? d.last_error(stream->id) : std::string(); !reason.empty()) {
    description["FailureDescription"] = json::object{{"Type", "UNKNOWN_ERROR"}, {"Details", reason}};
  }
  return json::object{{"DeliveryStreamDescription", std::move(description)}};
}

http::ApiResult<json::object> list(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kFirehoseStyle);
  const auto limit = static_cast<size_t>(in.integer_or("Limit", 10, 1, 10'000));
  const auto type = in.one_of_opt("DeliveryStreamType",
                                  {"DirectPut", "KinesisStreamAsSource", "MSKAsSource", "DatabaseAsSource"});
  const auto after = in.string_opt("ExclusiveStartDeliveryStreamName", kStreamName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  json::array names;
  bool more = false;
  const auto snapshot = d.store.snapshot();
  if (!type || *type == "DirectPut") {
    snapshot->get(d.tables.streams).visit_from(after ? *after + '\0' : std::string(), [&](const auto& entry) {
      more = names.size() == limit;
      if (!more) names.push_back(json::string(entry.key));
      return !more;
    });
  }
  return json::object{{"DeliveryStreamNames", std::move(names)}, {"HasMoreDeliveryStreams", more}};
}

http::ApiResult<json::object> remove(const Dependencies& d, const http::Call&,
                                     const json::object& arguments) {
  Input in(arguments, kFirehoseStyle);
  const std::string name = in.string("DeliveryStreamName", kStreamName);
  in.boolean_opt("AllowForceDelete");  // about KMS grants, of which there are none
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto removed = d.store.transact([&](state::Transaction& t) -> Status {
    const Stream* found = t.get(d.tables.streams).find(name);
    if (found == nullptr) return fail(no_such_stream(d, name));
    if (found->status == StreamStatus::kDeleting) return {};
    if (found->status == StreamStatus::kCreating) {
      return fail(ErrorCode::kConflict, "Firehose " + name + " is CREATING and cannot be deleted yet.");
    }
    Stream stream = *found;
    stream.status = StreamStatus::kDeleting;
    stream.updated = d.clock.now();
    t.put(d.tables.streams, name, std::move(stream));
    return {};
  });
  if (!removed) return refuse(kFirehoseStyle, removed.error());
  return json::object{};
}

http::ApiResult<json::object> update(const Dependencies& d, const http::Call& call,
                                     const json::object& arguments) {
  Input in(arguments, kFirehoseStyle);
  const std::string name = in.string("DeliveryStreamName", kStreamName);
  const std::string version = in.string("CurrentDeliveryStreamVersionId", {.min = 1, .max = 50});
  const std::string id = in.string("DestinationId", {.min = 1, .max = 100});
  refuse_other_destinations(in, "DestinationUpdate");
  if (!in.ok()) return tl::unexpected(in.finish().error());
  const auto snapshot = d.store.snapshot();
  const Stream* found = snapshot->get(d.tables.streams).find(name);
  if (found == nullptr) return refuse(kFirehoseStyle, no_such_stream(d, name));
  if (id != kDestinationId) in.fail("DestinationId", "the stream has no destination of this id");
  delivery::Destination destination = found->destination;
  read_either_form(in, "Update", true, destination);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  if (destination.role_arn != found->destination.role_arn) {
    if (auto ok = d.authorizer.authorize_pass_role(call.caller, destination.role_arn, kService); !ok) {
      return refuse(kFirehoseStyle, ok.error());
    }
  }
  auto updated = change_active(d, name, [&](Stream& stream) -> Status {
    // Also guards the merge above, which worked on an earlier snapshot.
    if (version != std::to_string(stream.version) || stream.version != found->version) {
      return fail(ErrorCode::kVersionConflict,
                  "The version of the stream is " + std::to_string(stream.version) + ", not " + version);
    }
    stream.destination = destination;
    stream.version += 1;
    stream.updated = d.clock.now();
    return {};
  });
  if (!updated) return refuse(kFirehoseStyle, updated.error());
  return json::object{};
}

}  // namespace

std::vector<http::Operation> stream_operations(const Dependencies& d) {
  const auto bind = [&d](auto* run) {
    return
        [d, run](const http::Call& call, const json::object& arguments) { return run(d, call, arguments); };
  };
  const auto resource = stream_resource(d);
  return {{.name = "CreateDeliveryStream", .resource = resource, .run = bind(create)},
          {.name = "DescribeDeliveryStream", .resource = resource, .run = bind(describe)},
          {.name = "ListDeliveryStreams", .run = bind(list)},
          {.name = "DeleteDeliveryStream", .resource = resource, .run = bind(remove)},
          {.name = "UpdateDestination", .resource = resource, .run = bind(update)}};
}

}  // namespace fleetward::api::firehose
