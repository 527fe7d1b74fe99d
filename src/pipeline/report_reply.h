#pragma once

#include <cstdint>
#include <string_view>

#include "broker/hooks.h"
#include "core/time.h"
#include "detect/report.h"

namespace fleetward::pipeline {

// The answers to a device report, in the encoding of the report (JSON or CBOR).
// .../accepted: {"thingName","reportId","status":"ACCEPTED","timestamp"}
broker::MessagePtr accepted_reply(std::string_view thing, detect::ReportFormat format, int64_t report_id,
                                  Timestamp now);
// .../rejected: {"thingName","reportId" if it was read,"status":"REJECTED",
//                "statusDetails":{"ErrorCode","ErrorMessage"},"timestamp"}
broker::MessagePtr rejected_reply(std::string_view thing, detect::ReportFormat format,
                                  const detect::Rejection& rejection, Timestamp now);

}  // namespace fleetward::pipeline
