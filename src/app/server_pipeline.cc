#include <algorithm>

#include <unistd.h>

#include "alerts/http_sender.h"
#include "app/server_start.h"
#include "pipeline/observation_sink.h"

namespace fleetward::app {
namespace {

// The streams of Detect keep the number of partitions they began with.
Status settle_partitions(Server::Parts& p) {
  const auto partitions = pipeline::settle_partitions(*p.log, p.config.detect.partitions);
  if (!partitions) return fail(partitions.error());
  if (*partitions != p.config.detect.partitions) {
    p.logger.warn(
        "detect.partitions stays as the data directory was made",
        {{"asked", std::to_string(p.config.detect.partitions)}, {"in_force", std::to_string(*partitions)}});
  }
  p.config.detect.partitions = *partitions;
  return {};
}

Status start_broker(Server::Parts& p) {
  p.rule_services = std::make_unique<pipeline::RuleServices>(pipeline::RuleServices{
      p.store, p.rule_tables, p.delivery_tables, *p.authorizer, p.scope, p.random, p.logger, p.metrics});
  pipeline::ReportIntakeOptions intake;
  intake.partitions = p.config.detect.partitions;
  intake.minimum_delay = p.config.detect.report_delay_min;
  intake.rate_max = p.config.detect.report_rate_max;
  p.report_intake = pipeline::make_report_intake(intake, p.metrics);
  p.ingest = std::make_unique<pipeline::Ingest>(*p.rule_services, *p.report_intake);
  p.observations =
      std::make_unique<pipeline::LogObservationSink>(p.config.detect.partitions, *p.log, p.logger, p.metrics);
  pipeline::MembershipOptions membership;
  membership.return_grace = p.config.server.return_grace;
  p.membership = std::make_unique<pipeline::MembershipStage>(membership, p.store, p.registry_tables, *p.log,
                                                             p.clock, p.steady, p.logger, p.metrics);
  p.membership->start();
  p.counted_topics = std::make_unique<pipeline::TopicsInUse>(p.detect_tables);
  broker::Options options = p.config.broker;
  // Several times a tick, so that each tick holds about as many observations of a device as any other.
  options.observation_interval = std::max<Duration>(p.config.detect.tick / 4, Duration{1000});
  p.broker = std::make_unique<broker::Broker>(
      options,
      broker::Broker::Dependencies{*p.log, p.store, *p.device_authorizer, *p.ingest, *p.observations, p.clock,
                                   p.steady, p.random, p.logger, p.metrics, p.membership.get(),
                                   [&p](const state::SnapshotPtr& s) { return p.counted_topics->of(s); }});
  return p.broker->start();
}

std::string machine_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

Status start_alerts(Server::Parts& p) {
  auto signer = alerts::Signer::open(p.data.file("sns"), "sns." + p.config.account.region + ".amazonaws.com",
                                     p.random, p.clock.now());
  if (!signer) return fail(signer.error());
  p.signer = std::move(*signer);
  alerts::StageOptions options;
  options.account = p.scope;
  options.targets = p.config.alerts.targets;
  options.hostname = machine_name();
  options.public_url = [&p]() -> std::string {
    if (p.endpoints.api_tls.empty()) return p.endpoints.api_url();
    return "https://" + p.config.server.endpoint_host +
           p.endpoints.api_tls.substr(p.endpoints.api_tls.rfind(':'));
  };
  alerts::HttpSenderOptions sender;
  sender.extra_authorities_pem = p.pki->authority_certificate_path;
  sender.private_allowed = p.config.sns.private_endpoints;
  p.alerts = std::make_unique<alerts::Stage>(
      options, *p.log, p.store, p.alert_tables, *p.authorizer, *p.signer, alerts::make_http_sender(sender),
      alerts::make_syslog_sender,
      [&p](alerts::MqttMessage given, std::function<void(Status)> done) {
        auto message = std::make_shared<broker::Message>();
        message->topic = std::move(given.topic);
        message->payload = std::move(given.payload);
        message->qos = given.qos;
        message->hops = given.hops;
        message->offspring_max = given.offspring_max;
        p.broker->publisher().publish(std::move(message), std::move(done));
      },
      p.clock, p.steady, p.random, p.logger, p.metrics);
  return {};  // started once the listeners' addresses are known, which its links name
}

void start_delivery(Server::Parts& p) {
  delivery::WorkerOptions options;
  options.account = p.config.account.id;
  options.uploads_max = p.config.delivery.uploads_max;
  options.retention = p.config.delivery.retention;
  options.retry_max = p.config.delivery.retry_max;
  options.scan_interval = p.config.delivery.scan_interval;
  p.delivery =
      std::make_unique<delivery::Worker>(options, *p.log, p.store, p.delivery_tables, *p.authorizer,
                                         *p.lake_sink, p.clock, p.steady, p.random, p.logger, p.metrics);
  p.delivery->start();
}

Status start_detect(Server::Parts& p) {
  pipeline::DetectStageOptions detect;
  detect.partitions = p.config.detect.partitions;
  detect.engine.tick = p.config.detect.tick;
  detect.engine.population_min = p.config.detect.population_min;
  detect.values_kept = p.config.detect.value_retention;
  detect.violations_kept = p.config.detect.violation_retention;
  detect.alerts_without_sns = !p.config.alerts.targets.empty();
  p.detect = std::make_unique<pipeline::DetectStage>(
      detect, *p.log, p.store, p.detect_tables, p.registry_tables, p.scope, p.clock, p.logger, p.metrics);
  if (auto ok = p.detect->load(); !ok) return ok;
  p.detect->start();
  p.detect_queries = std::make_unique<pipeline::DetectQueries>(*p.log, p.config.detect.partitions);
  pipeline::ExportStageOptions exports;
  exports.partitions = p.config.detect.partitions;
  exports.interval = p.config.detect.export_interval;
  p.exports = std::make_unique<pipeline::ExportStage>(exports, *p.log, *p.rule_services,
                                                      p.broker->publisher(), p.clock);
  p.exports->start();
  return {};
}

}  // namespace

void add_tables(Server::Parts& p) {
  p.identity_tables = identity::Tables::add_to(p.store);
  p.registry_tables = registry::Tables::add_to(p.store);
  p.rule_tables = rules::Tables::add_to(p.store);
  p.delivery_tables = delivery::Tables::add_to(p.store);
  p.detect_tables = pipeline::DetectTables::add_to(p.store);
  p.alert_tables = alerts::Tables::add_to(p.store, p.registry_tables.tags);
}

Status start_pipeline(Server::Parts& p) {
  p.authorizer = std::make_unique<identity::Authorizer>(p.store, p.identity_tables, p.scope);
  p.device_authorizer =
      std::make_unique<registry::DeviceAuthorizer>(p.registry_tables, p.scope, p.identity_tables);
  if (auto ok = settle_partitions(p); !ok) return ok;
  if (auto ok = start_broker(p); !ok) return ok;
  if (auto ok = start_alerts(p); !ok) return ok;
  start_delivery(p);
  p.action_targets = std::make_unique<ActionsToRooms>(*p.lake_sink, *p.alerts);
  p.actions =
      std::make_unique<pipeline::ActionStage>(pipeline::ActionStageOptions{}, *p.log, *p.rule_services,
                                              *p.action_targets, p.broker->publisher(), p.clock, p.steady);
  p.actions->start();
  return start_detect(p);
}

void stop_pipeline(Server::Parts& p) {
  if (p.exports) p.exports->stop();
  if (p.detect) p.detect->stop();
  if (p.actions) p.actions->stop();
  if (p.alerts) p.alerts->stop();
  if (p.delivery) p.delivery->stop();
}

}  // namespace fleetward::app
