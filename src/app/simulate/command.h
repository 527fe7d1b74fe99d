#pragma once

namespace CLI {
class App;
}

namespace fleetward::app {

// `fleetward simulate`: N devices over mutual TLS against an endpoint. Leaves its exit status in `status`
// when it was the command given: 0 if every device connected and every report was accepted.
void add_simulate_command(CLI::App& app, int& status);

}  // namespace fleetward::app
