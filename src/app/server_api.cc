#include "api/firehose/firehose.h"
#include "api/iam/iam.h"
#include "api/iot/detect.h"
#include "api/iot/topic_rules.h"
#include "api/sns/sns.h"
#include "api/sts/sts.h"
#include "app/server_start.h"
#include "broker/topics.h"
#include "core/files.h"
#include "core/json.h"

namespace fleetward::app {
namespace {

http::Response text_response(int status, const char* type, std::string body) {
  http::Response out;
  out.status = status;
  out.headers.set("Content-Type", type);
  out.body = std::move(body);
  return out;
}

// {"status":"ok"}, or 503 with the reasons why nothing is acknowledged.
http::Response health(const Server::Parts& p) {
  json::array reasons;
  for (std::string reason : {p.log->trouble(), p.broker->trouble()}) {
    if (!reason.empty()) reasons.emplace_back(std::move(reason));
  }
  const bool good = reasons.empty();
  json::object body{{"status", good ? "ok" : "degraded"}};
  if (!good) body["reasons"] = std::move(reasons);
  return text_response(good ? 200 : 503, "application/json", json::serialize(body) + "\n");
}

void add_account_services(Server::Parts& p) {
  p.dispatcher->add_service(
      api::iam::service({p.store, p.identity_tables, *p.authorizer, p.clock, p.random}));
  p.dispatcher->add_service(
      api::firehose::service({p.store, p.delivery_tables, *p.log, *p.authorizer, p.clock, p.random,
                              [&p](const std::string& id) { return p.delivery->last_error(id); }}));
  p.dispatcher->add_service(
      api::sns::service({p.store, p.alert_tables, *p.alerts, p.scope, p.authorize, p.clock, p.random}));
  p.dispatcher->add_public(p.signer->certificate_path(), [&p](const http::RequestHead&) {
    return text_response(200, "application/x-pem-file", p.signer->certificate_pem());
  });
  p.dispatcher->add_service(
      api::sts::service({p.store, p.identity_tables, *p.authorizer, p.clock, p.random}));
}

void add_iot_services(Server::Parts& p) {
  p.iot_options.endpoint_host = p.config.server.endpoint_host;
  p.iot_options.device_key =
      p.config.api.device_key == "rsa2048" ? registry::KeyType::kRsa2048 : registry::KeyType::kP256;
  p.iot_options.taggable = api::iot::detect_taggable(p.detect_tables);
  p.iot_options.group_deleted = [tables = p.detect_tables](state::Transaction& change,
                                                           const std::string& arn) {
    api::iot::detach_target(change, tables, arn);
  };
  p.iot_options.taggable["rule"] = [tables = p.rule_tables](const state::Snapshot& snapshot,
                                                            std::string_view name) {
    return snapshot.get(tables.rules).find(name) != nullptr;
  };
  const api::iot::Dependencies iot{p.store,          p.registry_tables,    p.scope,
                                   p.pki->authority, *p.device_authorizer, p.clock,
                                   p.random,         p.iot_options};
  std::vector<http::Operation> others = api::iot::topic_rule_operations(
      {p.store, p.rule_tables, p.registry_tables.tags, *p.authorizer, p.scope, p.clock});
  pipeline::DetectLimits limits;
  limits.custom_metrics_max = p.config.detect.custom_metrics_max;
  limits.dimensions_max = p.config.detect.dimensions_max;
  limits.profiles_per_target_max = p.config.detect.profiles_per_target_max;
  limits.behaviors_max = p.config.detect.behaviors_max;
  limits.value_elements_max = p.config.detect.value_elements_max;
  limits.values_kept = p.config.detect.value_retention;
  limits.violations_kept = p.config.detect.violation_retention;
  for (http::Operation& operation :
       api::iot::detect_operations({iot, p.detect_tables, *p.authorizer, *p.detect_queries, limits})) {
    others.push_back(std::move(operation));
  }
  p.dispatcher->add_service(api::iot::service(iot, std::move(others)));
}

void add_iotdata(Server::Parts& p) {
  broker::Broker& broker = *p.broker;
  p.broker_access = std::make_unique<api::iotdata::BrokerAccess>(api::iotdata::BrokerAccess{
      broker.publisher(),
      [&broker](const std::string& begin, size_t count_max) {
        return broker.list_retained(begin, count_max);
      },
      [&broker](const std::string& topic) { return broker.get_retained(topic); },
      [&broker](const std::string& client_id) { return broker.connection(client_id); },
      [&broker](const std::string& client_id, bool clean_session, bool prevent_will) {
        return broker.disconnect(client_id, clean_session, prevent_will);
      },
      broker::publish_refusal});
  p.dispatcher->add_service(api::iotdata::service({*p.broker_access, p.scope, p.authorize}));
  p.dispatcher->set_certificate_publish(api::iotdata::certificate_publish(
      {*p.broker_access, p.store, *p.device_authorizer, p.clock, p.random}));
}

void add_websockets(Server::Parts& p) {
  p.dispatcher->set_websocket(
      [&p](http::Upgraded connection, std::shared_ptr<const identity::Caller> caller) {
        broker::WebSocketClient client;
        client.descriptor = connection.descriptor;
        client.tls = std::move(connection.tls);
        client.received = std::move(connection.received);
        client.peer = std::move(connection.peer);
        client.caller = std::move(caller);
        if (!client.tls) client.plain_policy = p.config.server.mqtt_policy;
        p.broker->adopt(std::move(client));
      });
}

void add_s3(Server::Parts& p) {
  api::s3::S3ServiceOptions options;
  options.scope = p.scope;
  options.host_suffixes = {"localhost", "s3.localhost"};
  const std::string& host = p.config.server.endpoint_host;
  if (host != "localhost") options.host_suffixes.insert(options.host_suffixes.end(), {host, "s3." + host});
  p.s3 = std::make_unique<api::s3::S3Service>(
      options, *p.object_store,
      [&p](const identity::Caller& caller, std::string_view action, std::string_view resource,
           const identity::RequestContext& context) {
        return p.authorizer->decide(caller, action, resource, context);
      },
      p.random);
  p.dispatcher->set_s3(*p.s3);
}

}  // namespace

Status start_api(Server::Parts& p) {
  p.credentials = std::make_unique<http::StoredCredentials>(p.store, p.identity_tables, p.scope);
  p.authorize = [&p](const identity::Caller& caller, std::string_view action, std::string_view resource,
                     const identity::RequestContext& context) {
    return p.authorizer->authorize(caller, action, resource, context);
  };
  http::DispatcherOptions options;
  options.account = p.scope;
  options.skew_max = p.config.api.clock_skew_max;
  options.metrics_over_tls = p.config.api.metrics_over_tls;
  options.ignore_unknown_members = p.config.api.ignore_unknown_members;
  p.dispatcher = std::make_shared<http::Dispatcher>(options, *p.credentials, p.authorize, p.clock, p.random,
                                                    p.logger, p.metrics);
  add_account_services(p);
  add_iot_services(p);
  add_iotdata(p);
  add_websockets(p);
  add_s3(p);
  p.dispatcher->add_public("/health", [&p](const http::RequestHead&) { return health(p); });

  http::ServerOptions server;
  server.worker_threads = static_cast<int>(p.config.api.worker_threads);
  server.connections_max = p.config.api.connections_max;
  server.spool_directory = p.data.file("spool");
  if (auto ok = make_directory(server.spool_directory, 0700); !ok) return ok;
  p.http = std::make_unique<http::Server>(server, p.dispatcher, p.logger, p.metrics);
  return {};
}

}  // namespace fleetward::app
