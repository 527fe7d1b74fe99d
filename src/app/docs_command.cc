#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <CLI/CLI.hpp>

#include "api/s3/service.h"
#include "app/commands.h"
#include "app/server.h"
#include "broker/observation_table.h"
#include "detect/metric.h"
#include "http/dispatcher.h"

namespace fleetward::app {
namespace {

// S3 is routed by a table of its own.
std::string s3_section() {
  std::string out = "\n## s3 (REST-XML)\n\n| operation |\n| --- |\n";
  std::string refused;
  for (const api::s3::S3Operation& operation : api::s3::s3_operations()) {
    if (operation.implemented) {
      out += "| " + std::string(operation.name) + " |\n";
    } else {
      refused += (refused.empty() ? "" : ", ") + std::string(operation.name);
    }
  }
  return out + "\nDocumented but refused by name: " + refused + ".\n";
}

// The tables of operations exist in a running server only: one is started on a directory of its own, without
// listeners.
Result<std::string> operations_page() {
  std::string pattern = (std::filesystem::temp_directory_path() / "fleetward-docs-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) return fail(ErrorCode::kUnavailable, "no temporary directory");
  const struct Cleanup {
    std::string path;
    ~Cleanup() {
      std::error_code ec;
      std::filesystem::remove_all(path, ec);
    }
  } cleanup{pattern};
  auto data = DataDirectory::open(pattern);
  if (!data) return fail(data.error());
  Config config;
  for (std::string* listener : {&config.server.api_listen, &config.server.api_tls_listen,
                                &config.server.mqtts_listen, &config.server.alpn_listen}) {
    listener->clear();
  }
  Logger logger = Logger::none();
  auto server = Server::start(std::move(config), std::move(*data), logger);
  if (!server) return fail(server.error());
  return http::operations_reference((*server)->services()) + s3_section();
}

Result<std::string> page(const std::string& name) {
  if (name == "configuration") return configuration_reference();
  if (name == "metrics")
    return detect::metrics_reference_markdown() + broker::observation_reference_markdown();
  return operations_page();
}

}  // namespace

void add_docs_command(CLI::App& app, int& status) {
  auto name = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("docs", "Print a page of docs/reference/ from the tables it is made of");
  command->add_option("page", *name, "Which page")
      ->required()
      ->check(CLI::IsMember({"configuration", "metrics", "operations"}));
  command->callback([name, &status] {
    const auto text = page(*name);
    if (!text) {
      std::fprintf(stderr, "fleetward: %s\n", text.error().message.c_str());
      status = 1;
      return;
    }
    std::fputs(text->c_str(), stdout);
  });
}

}  // namespace fleetward::app
