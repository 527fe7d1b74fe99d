#pragma once

#include <optional>
#include <string>

#include "app/config.h"
#include "core/time.h"

namespace CLI {
class App;
}

namespace fleetward::app {

// The whole command line; the process's exit status.
int run(int argc, char** argv);

// Each command adds itself and leaves its exit status in `status` when it was the one given.
void add_serve_command(CLI::App& app, int& status);
void add_env_command(CLI::App& app, int& status);
void add_docs_command(CLI::App& app, int& status);
void add_demo_command(CLI::App& app, int& status);

// Blocks SIGINT and SIGTERM in this thread and those it starts from now on; wait_for_stop() receives them.
void block_stop_signals();
// Until SIGINT or SIGTERM arrives; its name.
std::string wait_for_stop();
// The same, but nullopt when none came within `longest`.
std::optional<std::string> wait_for_stop(Duration longest);

}  // namespace fleetward::app
