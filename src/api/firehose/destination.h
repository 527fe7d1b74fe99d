#pragma once

#include "api/input.h"
#include "core/json.h"
#include "delivery/stream.h"

// The S3 destination of a delivery stream on the wire.
namespace fleetward::api::firehose {

inline constexpr const char* kDestinationId = "destinationId-000000000001";

enum class DestinationForm { kS3, kExtendedS3 };

// Reads a ...DestinationConfiguration (`update` false: required members must be there) or a
// ...DestinationUpdate into `out`, keeping what is absent. What is wrong, or not supported, is recorded in
// `in`, naming the member.
void read_destination(Input in, DestinationForm form, bool update, delivery::Destination& out);

// The element of Destinations in DeliveryStreamDescription.
json::object destination_description(const delivery::Destination& destination);

}  // namespace fleetward::api::firehose
