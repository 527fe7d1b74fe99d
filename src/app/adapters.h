#pragma once

#include "delivery/sink.h"
#include "lake/sink.h"

// Where one room's interface meets another's: thin, so that neither room knows the other.
namespace fleetward::app {

// Delivery streams put their objects into the lake, here or outside.
class DeliveryToLake final : public delivery::ObjectSink {
 public:
  explicit DeliveryToLake(lake::Sink& sink) : sink_(sink) {}
  Status put(const delivery::ObjectUpload& object) override;

 private:
  lake::Sink& sink_;
};

}  // namespace fleetward::app
