#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "alerts/signer.h"
#include "alerts/stage.h"
#include "alerts/topics.h"
#include "api/iot/iot.h"
#include "api/iotdata/iotdata.h"
#include "api/s3/service.h"
#include "app/adapters.h"
#include "app/config.h"
#include "app/data_directory.h"
#include "app/endpoints.h"
#include "app/server.h"
#include "broker/broker.h"
#include "core/ids.h"
#include "core/metrics.h"
#include "core/random.h"
#include "core/steady_clock.h"
#include "core/time.h"
#include "delivery/stream.h"
#include "delivery/worker.h"
#include "http/dispatcher.h"
#include "http/server.h"
#include "identity/authorizer.h"
#include "identity/identities.h"
#include "lake/object_store.h"
#include "lake/remote_store.h"
#include "lake/sink.h"
#include "log/log.h"
#include "pipeline/action_stage.h"
#include "pipeline/counted_topics.h"
#include "pipeline/detect_queries.h"
#include "pipeline/detect_stage.h"
#include "pipeline/detect_tables.h"
#include "pipeline/export_stage.h"
#include "pipeline/ingest.h"
#include "pipeline/membership_stage.h"
#include "pipeline/report_intake.h"
#include "pipeline/rule_runner.h"
#include "registry/device_authorizer.h"
#include "registry/pki.h"
#include "registry/tables.h"
#include "rules/rule.h"
#include "state/store.h"

namespace fleetward::app {

// Every long-lived object of the process, in the order of construction: each may use those above it. Private
// to server*.cc.
struct Server::Parts {
  Parts(Config config_in, DataDirectory data_in, Logger& logger_in)
      : config(std::move(config_in)), data(std::move(data_in)), logger(logger_in) {}

  Config config;
  DataDirectory data;
  Logger& logger;
  SystemClock clock;
  SteadyClock steady;
  SystemRandom random;
  Metrics metrics;
  AccountScope scope;

  // Stored state.
  state::Store store;
  identity::Tables identity_tables;
  registry::Tables registry_tables;
  rules::Tables rule_tables;
  delivery::Tables delivery_tables;
  pipeline::DetectTables detect_tables;
  alerts::Tables alert_tables;
  std::unique_ptr<log::Log> log;
  std::unique_ptr<lake::ObjectStore> object_store;
  std::optional<registry::Pki> pki;
  bool certificate_unread = false;  // the listeners have not read the newest yet
  prometheus::Gauge& certificate_end = metrics.gauge("fleetward_server_certificate_end_seconds",
                                                     "When the server's certificate ends, Unix time.");

  // Decisions.
  std::unique_ptr<identity::Authorizer> authorizer;
  std::unique_ptr<registry::DeviceAuthorizer> device_authorizer;

  // Where objects of delivery streams and rules go.
  std::unique_ptr<lake::Sink> lake_sink;

  // From a publish to the stages.
  std::unique_ptr<pipeline::RuleServices> rule_services;
  std::unique_ptr<pipeline::ReportIntake> report_intake;
  std::unique_ptr<pipeline::Ingest> ingest;
  std::unique_ptr<broker::ObservationSink> observations;
  std::unique_ptr<pipeline::MembershipStage> membership;
  std::unique_ptr<pipeline::TopicsInUse> counted_topics;
  std::unique_ptr<broker::Broker> broker;
  std::unique_ptr<delivery::Worker> delivery;
  std::unique_ptr<alerts::Signer> signer;
  std::unique_ptr<alerts::Stage> alerts;
  std::unique_ptr<ActionsToRooms> action_targets;
  std::unique_ptr<pipeline::ActionStage> actions;
  std::unique_ptr<pipeline::DetectStage> detect;
  std::unique_ptr<pipeline::DetectQueries> detect_queries;
  std::unique_ptr<pipeline::ExportStage> exports;

  // The control plane.
  std::unique_ptr<http::StoredCredentials> credentials;
  http::AuthorizeFunction authorize;
  std::unique_ptr<api::s3::S3Service> s3;
  api::iot::Options iot_options;
  std::unique_ptr<api::iotdata::BrokerAccess> broker_access;
  std::shared_ptr<http::Dispatcher> dispatcher;
  std::unique_ptr<http::Server> http;

  Endpoints endpoints;
  bool stopped = false;
};

}  // namespace fleetward::app
