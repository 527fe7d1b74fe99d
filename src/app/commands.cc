#include "app/commands.h"

#include <csignal>
#include <cstdio>

#include <CLI/CLI.hpp>

#include "app/simulate/command.h"

namespace fleetward::app {

int run(int argc, char** argv) {
  CLI::App app{
      "Fleetward: a self-hosted IoT fleet security monitor that speaks AWS IoT's protocols.\n"
      "Start it with `fleetward serve`; see a fleet's metrics travel to a data lake with `fleetward demo`."};
  app.name("fleetward");
  app.require_subcommand(1);
  app.set_version_flag("--version", FLEETWARD_VERSION);
  int status = 0;
  add_serve_command(app, status);
  add_env_command(app, status);
  add_demo_command(app, status);
  add_simulate_command(app, status);
  add_docs_command(app, status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  return status;
}

void block_stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

std::optional<std::string> wait_for_stop(Duration longest) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  const timespec wait{longest.count() / 1000, longest.count() % 1000 * 1'000'000};
  const int received = sigtimedwait(&set, nullptr, &wait);
  if (received < 0) return std::nullopt;
  return received == SIGINT ? "SIGINT" : "SIGTERM";
}

std::string wait_for_stop() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  int received = 0;
  sigwait(&set, &received);
  return received == SIGINT ? "SIGINT" : "SIGTERM";
}

}  // namespace fleetward::app
