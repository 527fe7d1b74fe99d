#include "app/server_start.h"

namespace fleetward::app {

void add_tables(Server::Parts& p) {
  p.identity_tables = identity::Tables::add_to(p.store);
  p.registry_tables = registry::Tables::add_to(p.store);
  p.rule_tables = rules::Tables::add_to(p.store);
  p.delivery_tables = delivery::Tables::add_to(p.store);
}

Status start_pipeline(Server::Parts& p) {
  p.authorizer = std::make_unique<identity::Authorizer>(p.store, p.identity_tables, p.scope);
  p.device_authorizer = std::make_unique<registry::DeviceAuthorizer>(p.registry_tables, p.scope);
  delivery::WorkerOptions delivery;
  delivery.account = p.config.account.id;
  delivery.uploads_max = p.config.delivery.uploads_max;
  delivery.retention = p.config.delivery.retention;
  delivery.retry_max = p.config.delivery.retry_max;
  p.delivery = std::make_unique<delivery::Worker>(delivery, *p.log, p.store, p.delivery_tables, *p.authorizer,
                                                  *p.lake_sink, p.clock, p.random, p.logger, p.metrics);
  p.delivery->start();
  return {};
}

void stop_pipeline(Server::Parts& p) {
  if (p.delivery) p.delivery->stop();
}

}  // namespace fleetward::app
