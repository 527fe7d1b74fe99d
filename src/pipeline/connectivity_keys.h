#pragma once

#include <string_view>

#include "core/logger.h"
#include "core/result.h"
#include "log/log.h"
#include "registry/tables.h"
#include "state/store.h"

// Who was connected when, beside the log, so that a start of the server knows it again:
//
//   connectivity/<thing, or client id of who is none>    "<1 if connected, else 0> <ms> <disconnect reason>"
namespace fleetward::pipeline {

// `now`: null erases.
void keep_connectivity(log::Batch& batch, std::string_view name, const registry::Connectivity* now);

// Once, after Store::open() and before registry::load_dynamic_groups(): brings what was kept into the
// registry's table. Who was connected counts as connected, `remembered`, until somebody says otherwise.
// Erases what is of things that are no more. The error is the log's or the store's; an entry that does not
// parse is logged and erased.
Status restore_connectivity(log::Log& log, state::Store& store, const registry::Tables& tables,
                            Logger& logger);

}  // namespace fleetward::pipeline
