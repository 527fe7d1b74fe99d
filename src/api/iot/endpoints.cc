#include "api/iot/iot.h"

namespace fleetward::api::iot {
namespace {

// A bare host name: clients add the ports they know (443 with ALPN, 8883, 8443).
ApiResult<json::object> describe(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const auto type = in.one_of_opt("endpointType", {"iot:Data", "iot:Data-ATS", "iot:CredentialProvider",
                                                   "iot:Jobs", "iot:DeviceAdvisor", "iot:Data-Beta"});
  if (in.ok() && type && *type != "iot:Data" && *type != "iot:Data-ATS") {
    in.fail("endpointType", "the endpoint type " + *type + " is not supported by this release");
  }
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  return json::object{{"endpointAddress", d.options.endpoint_host}};
}

}  // namespace

std::vector<http::Operation> endpoint_operations(const Dependencies& d) {
  return operations_of(d, {{"DescribeEndpoint", "GET", "/endpoint", {"endpointType"}, "*", describe}});
}

}  // namespace fleetward::api::iot
