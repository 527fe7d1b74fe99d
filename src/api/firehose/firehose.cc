#include "api/firehose/firehose.h"

#include <iterator>
#include <utility>

#include "api/firehose/common.h"

namespace fleetward::api::firehose {
namespace {

// 4 MiB of records in base64, 500 times the JSON around one.
constexpr uint64_t kBodyBytesMax = uint64_t{8} << 20;

}  // namespace

std::function<std::string(const json::object&)> stream_resource(const Dependencies& d) {
  return [scope = d.authorizer.scope()](const json::object& arguments) {
    return scope.arn("firehose",
                     "deliverystream/" + std::string(json::string_or(arguments, "DeliveryStreamName")));
  };
}

Error no_such_stream(const Dependencies& d, std::string_view name) {
  return {ErrorCode::kNotFound, "Firehose " + std::string(name) + " under account " +
                                    d.authorizer.scope().account.str() + " not found."};
}

Status change_active(const Dependencies& d, const std::string& name,
                     const std::function<Status(delivery::Stream&)>& change) {
  return d.store.transact([&](state::Transaction& t) -> Status {
    const delivery::Stream* found = t.get(d.tables.streams).find(name);
    if (found == nullptr) return fail(no_such_stream(d, name));
    if (found->status != delivery::StreamStatus::kActive) {
      return fail(ErrorCode::kConflict,
                  "Firehose " + name + " is " + std::string(to_string(found->status)) + ", not ACTIVE.");
    }
    delivery::Stream stream = *found;
    if (auto changed = change(stream); !changed) return changed;
    t.put(d.tables.streams, name, std::move(stream));
    return {};
  });
}

http::Service service(const Dependencies& d) {
  http::Service out{.signing_name = "firehose",
                    .protocol = http::Protocol::kJson11,
                    .target_prefix = "Firehose_20150804",
                    .xml_namespace = {},
                    .operations = {},
                    .body_bytes_max = kBodyBytesMax};
  for (auto* operations : {stream_operations, record_operations, tag_operations}) {
    auto some = operations(d);
    std::move(some.begin(), some.end(), std::back_inserter(out.operations));
  }
  for (auto& missing :
       http::missing_operations({"StartDeliveryStreamEncryption", "StopDeliveryStreamEncryption"})) {
    out.operations.push_back(std::move(missing));
  }
  return out;
}

}  // namespace fleetward::api::firehose
