#include "app/adapters.h"

namespace fleetward::app {

Status DeliveryToLake::put(const delivery::ObjectUpload& object) {
  return sink_.put({.bucket = std::string(object.bucket),
                    .key = std::string(object.key),
                    .content_type = std::string(object.content_type),
                    .content_encoding = std::string(object.content_encoding),
                    .bytes = object.body});
}

}  // namespace fleetward::app
