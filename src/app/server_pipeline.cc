#include "app/server_start.h"
#include "pipeline/observation_sink.h"

namespace fleetward::app {
void add_tables(Server::Parts& p) {
  p.identity_tables = identity::Tables::add_to(p.store);
  p.registry_tables = registry::Tables::add_to(p.store);
  p.rule_tables = rules::Tables::add_to(p.store);
  p.delivery_tables = delivery::Tables::add_to(p.store);
  p.detect_tables = pipeline::DetectTables::add_to(p.store);
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
  p.rule_services = std::make_unique<pipeline::RuleServices>(pipeline::RuleServices{
      p.store, p.rule_tables, p.delivery_tables, *p.authorizer, p.scope, p.random, p.logger, p.metrics});
  pipeline::ReportIntakeOptions intake;
  intake.partitions = p.config.detect.partitions;
  intake.minimum_delay = p.config.detect.report_delay_min;
  p.report_intake = pipeline::make_report_intake(intake, p.metrics);
  p.ingest = std::make_unique<pipeline::Ingest>(*p.rule_services, *p.report_intake);
  p.observations =
      std::make_unique<pipeline::LogObservationSink>(p.config.detect.partitions, *p.log, p.logger, p.metrics);
  broker::Options options = p.config.broker;
  options.observation_interval = p.config.detect.tick;
  p.broker = std::make_unique<broker::Broker>(
      options, broker::Broker::Dependencies{*p.log, p.store, *p.device_authorizer, *p.ingest, *p.observations,
                                            p.clock, p.random, p.logger, p.metrics});
  return p.broker->start();
}

void stop_pipeline(Server::Parts& p) {
  if (p.delivery) p.delivery->stop();
}

}  // namespace fleetward::app
