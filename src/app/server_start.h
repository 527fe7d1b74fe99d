#pragma once

#include "app/server_parts.h"
#include "core/result.h"

// The steps of Server::start that have a file of their own.
namespace fleetward::app {

// server_pipeline.cc: tables, the way from a publish to the stages, and their end.
void add_tables(Server::Parts& parts);
Status start_pipeline(Server::Parts& parts);
void stop_pipeline(Server::Parts& parts);

// server_api.cc: the services and the HTTP server.
Status start_api(Server::Parts& parts);

}  // namespace fleetward::app
