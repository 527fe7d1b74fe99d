#pragma once

#include <span>
#include <string_view>

#include "api/s3/operations.h"

namespace fleetward::api::s3 {

enum class Target { kService, kBucket, kObject };

// One operation of S3 and how it is told from the others. The first route that fits is taken.
struct Route {
  Target target;
  std::string_view method;
  std::string_view parameter;  // must be in the query; empty: any
  std::string_view value;      // of that parameter; empty: any
  std::string_view header;     // must be among the headers; empty: any
  std::string_view operation;
  std::string_view action;  // what IAM calls it
  Handler handler;          // nullptr: NotImplemented
};

std::span<const Route> routes();
// nullptr: nothing fits.
const Route* find_route(const http::RequestHead& head, Target target);
// A parameter without a value that is no option of the route ("?metadataTable"): it names another resource,
// which is not here. Empty: there is none. (Parameters with a value that nobody knows are passed over, as by
// S3.)
std::string_view unknown_subresource(const Route& route, const http::RequestHead& head);

}  // namespace fleetward::api::s3
