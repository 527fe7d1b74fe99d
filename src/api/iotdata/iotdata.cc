#include "api/iotdata/iotdata.h"

namespace fleetward::api::iotdata {

http::Service service(const Dependencies& d) {
  http::Service out;
  out.signing_name = "iotdata";
  out.protocol = http::Protocol::kRestJson;
  for (auto part : {publish_operations, retained_operations, connection_operations}) {
    for (http::Operation& operation : part(d)) out.operations.push_back(std::move(operation));
  }
  struct Missing {
    const char *name, *method, *uri;
  };
  for (const Missing& missing : {
           Missing{"GetThingShadow", "GET", "/things/{thingName}/shadow"},
           Missing{"UpdateThingShadow", "POST", "/things/{thingName}/shadow"},
           Missing{"DeleteThingShadow", "DELETE", "/things/{thingName}/shadow"},
           Missing{"ListNamedShadowsForThing", "GET",
                   "/api/things/shadow/ListNamedShadowsForThing/{thingName}"},
           Missing{"SendDirectMessage", "POST", "/connections/{clientId}/messages"},
       }) {
    http::Operation operation;
    operation.name = missing.name;
    operation.method = missing.method;
    operation.uri = missing.uri;
    operation.implemented = false;
    out.operations.push_back(std::move(operation));
  }
  return out;
}

}  // namespace fleetward::api::iotdata
