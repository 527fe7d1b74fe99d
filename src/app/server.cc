#include "app/server.h"

#include <algorithm>

#include "app/server_parts.h"
#include "app/server_start.h"
#include "core/files.h"
#include "core/text.h"
#include "lake/local_store.h"
#include "log/embedded_log.h"
#include "pipeline/connectivity_keys.h"
#include "registry/dynamic_groups.h"

namespace fleetward::app {
namespace {

const std::string kDefaultAlpnListen = Config{}.server.alpn_listen;

// The root access key: made at the first start, kept in the control store, written to D/credentials.
Status ensure_root_key(Server::Parts& p) {
  RootKey root;
  p.store.snapshot()->get(p.identity_tables.access_keys).visit_from("", [&](const auto& entry) {
    if (!entry.value->user.empty()) return true;
    root = {entry.value->id, entry.value->secret};
    return false;
  });
  if (root.access_key_id.empty()) {
    const identity::AccessKey key{identity::new_id(p.random, "AKIA").substr(0, 20),
                                  identity::new_secret(p.random), "", true, p.clock.now()};
    root = {key.id, key.secret};
    const Status stored = p.store.transact([&](state::Transaction& txn) -> Status {
      txn.put(p.identity_tables.access_keys, key.id, key);
      return {};
    });
    if (!stored) return stored;
  }
  return write_file(p.data.file("credentials"), root.to_credentials_file(p.config.account.region), 0600);
}

registry::ServerNames server_names(const Config& config) {
  registry::ServerNames names{config.server.endpoint_host, "localhost", "127.0.0.1", "::1"};
  names.insert(names.end(), config.server.certificate_names.begin(), config.server.certificate_names.end());
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Status open_stores(Server::Parts& p) {
  p.scope = {AccountId::trusted(p.config.account.id), p.config.account.region};
  add_tables(p);
  std::function<void(const std::string&)> accept_loss;
  if (p.config.accept_data_loss) {
    accept_loss = [&p](const std::string& what) { p.logger.error("state_loss_accepted", {{"lost", what}}); };
  }
  if (auto ok = p.store.open(p.data.file("state.db"), accept_loss); !ok) return ok;
  auto log = log::open_embedded_log({.directory = p.data.file("log"),
                                     .queue_bytes_max = p.config.log.queue_bytes_max,
                                     .accept_loss = p.config.accept_data_loss},
                                    p.logger, p.metrics);
  if (!log) return fail(log.error());
  p.log = std::move(*log);
  if (auto ok = pipeline::restore_connectivity(*p.log, p.store, p.registry_tables, p.logger); !ok) return ok;
  if (auto ok = registry::load_dynamic_groups(p.store, p.registry_tables); !ok) return ok;
  auto objects = lake::open_local_store(
      {.directory = p.data.file("lake"), .free_bytes_min = p.config.lake.free_bytes_min}, p.clock, p.random,
      p.logger, p.metrics);
  if (!objects) return fail(objects.error());
  p.object_store = std::move(*objects);
  auto pki = registry::open_pki(p.data.file("pki"), server_names(p.config), p.random, p.clock.now(),
                                p.config.server.certificate_lifetime);
  if (!pki) return fail(pki.error());
  p.pki.emplace(std::move(*pki));
  p.certificate_end.Set(p.pki->server_not_after.seconds());
  return ensure_root_key(p);
}

Status open_lake_sink(Server::Parts& p) {
  if (p.config.lake.kind == "s3") {
    auto remote = lake::RemoteStore::create(p.config.lake.remote, p.metrics);
    if (!remote) return fail(remote.error());
    p.lake_sink = std::move(*remote);
  } else {
    p.lake_sink = std::make_unique<lake::LocalSink>(*p.object_store);
  }
  return {};
}

// Who may speak for clients of this listener; null: it is not behind a proxy. The addresses were checked.
std::shared_ptr<const AddressList> proxies_of(const Server::Parts& p, const std::string& listener) {
  const Config::Server& c = p.config.server;
  const auto found = std::find(c.proxy_protocol.begin(), c.proxy_protocol.end(), listener);
  if (found == c.proxy_protocol.end()) return nullptr;
  return std::make_shared<const AddressList>(AddressList::parse(c.proxy_sources).value_or(AddressList()));
}

// One API listener; its real address goes to `out`.
Status listen_api(Server::Parts& p, const char* what, const std::string& address, bool tls, std::string& out,
                  bool websockets_only = false) {
  if (address.empty()) return {};
  const TlsFiles files{p.pki->server.certificate_chain_path, p.pki->server.private_key_path};
  auto real = p.http->listen(address, tls ? &files : nullptr, {websockets_only, proxies_of(p, what)});
  if (!real) return fail(real.error().code, std::string(what) + " " + address + ": " + real.error().message);
  out = *real;
  return {};
}

Status listen_mqtt(Server::Parts& p, broker::Listener::Kind kind, const char* what,
                   const std::string& address, std::string& out) {
  if (address.empty()) return {};
  broker::Listener listener;
  listener.kind = kind;
  listener.address = address;
  listener.certificate = {p.pki->server.certificate_chain_path, p.pki->server.private_key_path};
  const bool is_unix = kind == broker::Listener::Kind::kUnix;
  listener.plain_policy = is_unix ? p.config.server.unix_policy : p.config.server.mqtt_policy;
  listener.unix_mode = parse_number<unsigned>(p.config.server.unix_mode, 8).value_or(0600);
  listener.proxies = proxies_of(p, what);
  listener.https = [http = p.http.get(), files = listener.certificate](
                       int descriptor, const SocketAddress& peer, std::string prefix) {
    http->adopt(descriptor, peer, std::move(prefix), &files);
  };
  auto real = p.broker->listen(listener);
  if (!real) return fail(real.error().code, std::string(what) + " " + address + ": " + real.error().message);
  out = *real;
  return {};
}

Status open_listeners(Server::Parts& p) {
  const Config::Server& c = p.config.server;
  if (auto ok = listen_api(p, "api_listen", c.api_listen, false, p.endpoints.api); !ok) return ok;
  if (auto ok = listen_api(p, "api_tls_listen", c.api_tls_listen, true, p.endpoints.api_tls); !ok) return ok;
  if (auto ok = listen_api(p, "ws_listen", c.ws_listen, false, p.endpoints.ws, true); !ok) return ok;
  using Kind = broker::Listener::Kind;
  if (auto ok = listen_mqtt(p, Kind::kMqtts, "mqtts_listen", c.mqtts_listen, p.endpoints.mqtts); !ok)
    return ok;
  if (auto ok = listen_mqtt(p, Kind::kMqtt, "mqtt_listen", c.mqtt_listen, p.endpoints.mqtt); !ok) return ok;
  if (auto ok = listen_mqtt(p, Kind::kUnix, "unix_listen", c.unix_listen, p.endpoints.unix_socket); !ok)
    return ok;
  if (auto ok = listen_mqtt(p, Kind::kAlpn, "alpn_listen", c.alpn_listen, p.endpoints.alpn); !ok) {
    // Port 443 is the default for those who may have it; asked for by name, its absence is an error.
    if (c.alpn_listen != kDefaultAlpnListen) return ok;
    p.logger.warn("port 443 is not to be had: MQTT by ALPN is off", {{"reason", ok.error().message}});
  }
  return {};
}

}  // namespace

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() {
  stop();
}

const Endpoints& Server::endpoints() const {
  return parts_->endpoints;
}
const std::vector<http::Service>& Server::services() const {
  return parts_->dispatcher->services();
}

Result<std::unique_ptr<Server>> Server::start(Config config, DataDirectory data, Logger& logger) {
  std::unique_ptr<Server> server(
      new Server(std::make_unique<Parts>(std::move(config), std::move(data), logger)));
  Parts& p = *server->parts_;
  if (auto ok = open_stores(p); !ok) return fail(ok.error());
  if (auto ok = open_lake_sink(p); !ok) return fail(ok.error());
  if (auto ok = start_pipeline(p); !ok) return fail(ok.error());
  if (auto ok = start_api(p); !ok) return fail(ok.error());
  if (auto ok = open_listeners(p); !ok) return fail(ok.error());
  if (auto ok = p.alerts->start(); !ok) return fail(ok.error());
  p.endpoints.ca = p.pki->authority_certificate_path;
  p.endpoints.region = p.config.account.region;
  p.endpoints.account = p.config.account.id;
  if (auto ok = write_file(p.data.file("endpoints.json"), p.endpoints.to_json(), 0644); !ok)
    return fail(ok.error());
  return server;
}

void Server::keep_up() {
  Parts& p = *parts_;
  const auto renewed = registry::renew_server(*p.pki, server_names(p.config), p.random, p.clock.now(),
                                              p.config.server.certificate_lifetime);
  Status done = renewed ? Status() : fail(renewed.error());
  if (renewed && *renewed) p.certificate_unread = true;
  // Tried again next time if a listener could not read it, though it is new no more.
  if (done && p.certificate_unread) {
    done = p.http->reload_certificates();
    if (done) done = p.broker->reload_certificates();
    if (done) {
      p.certificate_unread = false;
      p.logger.info("server_certificate_renewed", {{"until", to_iso8601(p.pki->server_not_after)}});
    }
  }
  if (!done) p.logger.error("server_certificate_not_renewed", {{"reason", done.error().message}});
  p.certificate_end.Set(p.pki->server_not_after.seconds());
}

Duration Server::upkeep_interval() const {
  constexpr Duration kLongest{3'600'000};
  return std::min(kLongest, parts_->config.server.certificate_lifetime / 12);
}

// Against the stream: first nothing new comes in, then each stage finishes what it holds.
void Server::stop() {
  Parts& p = *parts_;
  if (p.stopped) return;
  p.stopped = true;
  if (p.http) p.http->stop(p.config.server.drain);
  if (p.membership) p.membership->stop();  // that all connections end now says nothing of the devices
  if (p.broker) p.broker->stop(p.config.server.drain);
  stop_pipeline(p);
}

}  // namespace fleetward::app
