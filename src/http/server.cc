#include "http/server.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include "http/server_impl.h"

namespace fleetward::http {
namespace {

constexpr std::chrono::milliseconds kMakeRoomInterval{500};
constexpr const char* kAlpnHttp11 = "http/1.1";
constexpr const char* kAlpnAwsHttp = "x-amzn-http-ca";

std::string address_text(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
  }
  return address.to_string();
}

// Any certificate is taken whose key the client proves to hold: devices may register self-signed ones.
Result<std::shared_ptr<TlsContext>> make_context(const TlsFiles& files) {
  return TlsContext::create({.files = files,
                             .certificate_required = false,
                             .admit = {},
                             .alpn = {kAlpnHttp11, kAlpnAwsHttp},
                             .tickets = nullptr});
}

Result<tcp::endpoint> parse_endpoint(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return fail(ErrorCode::kInvalidArgument, text + " is not address:port");
  std::string host = text.substr(0, colon);
  if (host.size() > 1 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  error_code ec;
  const auto address = asio::ip::make_address(host, ec);
  const std::string port = text.substr(colon + 1);
  const bool digits =
      !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
  if (ec || !digits || std::stoi(port) > 65535) {
    return fail(ErrorCode::kInvalidArgument, text + " is not address:port");
  }
  return tcp::endpoint(address, static_cast<uint16_t>(std::stoi(port)));
}

}  // namespace

Server::Impl::Impl(ServerOptions o, std::shared_ptr<Handler> h, Logger& l, Metrics& m)
    : options(std::move(o)),
      handler(std::move(h)),
      logger(l),
      open_connections(m.gauge("fleetward_http_connections", "Open connections of the API's HTTP server.")),
      refused_connections(
          m.counter("fleetward_http_connections_refused_total", "Accepted over connections_max.")),
      overloaded(m.counter("fleetward_http_overloaded_total", "Requests answered 503: no worker was free.")),
      failed_handshakes(m.counter("fleetward_http_tls_failures_total", "TLS handshakes that failed.")),
      requests(m.counter("fleetward_http_requests_total", "Requests whose head arrived.")),
      workers(static_cast<size_t>(options.worker_threads)) {
  const char* reasons[] = {"head", "head_too_large", "target", "version", "upgrade", "body", "proxy"};
  static_assert(std::size(reasons) == static_cast<size_t>(Broken::kCount));
  for (size_t i = 0; i < broken.size(); ++i) {
    broken[i] = &m.counter("fleetward_http_bad_requests_total",
                           "Requests that are not HTTP, or whose body did not arrive, by what is wrong.",
                           {{"reason", reasons[i]}});
  }
  for (int i = 0; i < options.io_threads; ++i) {
    threads.emplace_back([this] { io->run(); });
  }
}

Server::Impl::~Impl() {
  stop(Duration{0});
}

asio::awaitable<void> Server::Impl::on_worker(std::function<void()> task) {
  return asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
      [this](auto resume, std::function<void()> run) {
        auto executor = asio::get_associated_executor(resume, io->get_executor());
        asio::post(workers, [run = std::move(run), resume = std::move(resume), executor]() mutable {
          run();
          asio::post(executor, std::move(resume));
        });
      },
      asio::use_awaitable, std::move(task));
}

Result<std::shared_ptr<TlsContext>> Server::Impl::context_of(const TlsFiles& files) {
  const std::lock_guard lock(mutex);
  std::shared_ptr<TlsContext>& held = contexts[files.certificate_chain_pem];
  if (held) return held;
  auto made = make_context(files);
  if (made) held = *made;
  return made;
}

void Server::Impl::start(tcp::socket socket, SocketAddress peer, std::string prefix,
                         std::shared_ptr<TlsContext> tls, const ListenOptions& listening) {
  std::shared_ptr<Connection> connection;
  {
    const std::lock_guard lock(mutex);
    if (stopping || connections.size() >= options.connections_max) {
      refused_connections.Increment();
      // Who only keeps connections open does not keep others out.
      const auto now = std::chrono::steady_clock::now();
      if (!stopping && now - made_room >= kMakeRoomInterval) {
        made_room = now;
        each(&Connection::close_if_idle);
      }
      return;  // the socket closes
    }
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    connection = std::make_shared<Connection>(*this, std::move(socket), std::move(peer), std::move(prefix),
                                              std::move(tls), listening);
    connections.emplace(connection.get(), connection);
    open_connections.Set(static_cast<double>(connections.size()));
  }
  asio::co_spawn(
      connection->executor(), [connection] { return connection->serve(); },
      [this, connection](const std::exception_ptr& thrown) {
        if (thrown) {
          try {
            std::rethrow_exception(thrown);
          } catch (const std::exception& e) {
            logger.error("http_connection_failed", {{"reason", e.what()}});
          }
        }
        const std::lock_guard lock(mutex);
        connections.erase(connection.get());
        open_connections.Set(static_cast<double>(connections.size()));
        changed.notify_all();
      });
}

asio::awaitable<void> Server::Impl::accept_loop(std::shared_ptr<tcp::acceptor> acceptor,
                                                Listening listening) {
  while (!stopping) {
    error_code ec;
    tcp::socket socket = co_await acceptor->async_accept(asio::make_strand(*io),
                                                         asio::redirect_error(asio::use_awaitable, ec));
    if (ec == asio::error::operation_aborted || stopping) break;
    if (ec) {  // out of descriptors: others have to end first
      logger.warn("accept_failed", {{"reason", ec.message()}});
      asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(100));
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ec));
      continue;
    }
    const auto peer = socket.remote_endpoint(ec);
    if (ec) continue;
    const auto& proxies = listening.options.proxies;
    if (proxies && !proxies->contains(address_text(peer.address()))) {
      count(Broken::kProxy);
      continue;  // the socket closes
    }
    std::shared_ptr<TlsContext> context;
    if (listening.tls) context = context_of(*listening.tls).value_or(nullptr);  // made by listen()
    start(std::move(socket), {address_text(peer.address()), peer.port()}, {}, std::move(context),
          listening.options);
  }
}

void Server::Impl::each(void (Connection::*action)()) {
  for (const auto& [key, weak] : connections) {
    if (auto connection = weak.lock()) {
      asio::post(connection->executor(), [connection, action] { (connection.get()->*action)(); });
    }
  }
}

void Server::Impl::stop(Duration grace) {
  {
    const std::lock_guard lock(adopting);  // nobody is inside adopt() from here on
    if (stopping.exchange(true) && threads.empty()) return;
  }
  for (const auto& acceptor : acceptors) {
    asio::post(acceptor->get_executor(), [acceptor] {
      error_code ignored;
      acceptor->close(ignored);
    });
  }
  {
    std::unique_lock lock(mutex);
    each(&Connection::close_if_idle);
    const auto empty = [this] { return connections.empty(); };
    if (!changed.wait_for(lock, grace, empty)) {
      each(&Connection::cut);
      changed.wait_for(lock, std::chrono::seconds(1), empty);
    }
  }
  workers.join();
  work.reset();
  io->stop();
  for (std::thread& thread : threads) thread.join();
  threads.clear();
  acceptors.clear();  // before their context
  io.reset();         // what is left of coroutines goes while we are whole
}

Server::Server(ServerOptions options, std::shared_ptr<Handler> handler, Logger& logger, Metrics& metrics)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(handler), logger, metrics)) {}

Server::~Server() = default;

Result<std::string> Server::listen(const std::string& address, const TlsFiles* tls,
                                   const ListenOptions& options) {
  const auto endpoint = parse_endpoint(address);
  if (!endpoint) return fail(endpoint.error());
  Impl::Listening listening{.tls = std::nullopt, .options = options};
  if (tls != nullptr) {
    listening.tls = *tls;
    if (auto made = impl_->context_of(*tls); !made) return fail(made.error());
  }
  error_code ec;
  auto acceptor = std::make_shared<tcp::acceptor>(asio::make_strand(*impl_->io));
  acceptor->open(endpoint->protocol(), ec);
  if (!ec) acceptor->set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor->bind(*endpoint, ec);
  if (!ec) acceptor->listen(asio::socket_base::max_listen_connections, ec);
  if (ec == asio::error::address_in_use) return fail(ErrorCode::kConflict, address + " is in use");
  if (ec == asio::error::access_denied) {
    return fail(ErrorCode::kPermissionDenied, address + ": this process may not bind the port");
  }
  if (ec) return fail(ErrorCode::kInvalidArgument, address + ": " + ec.message());
  const auto local = acceptor->local_endpoint(ec);
  impl_->acceptors.push_back(acceptor);
  asio::co_spawn(acceptor->get_executor(), impl_->accept_loop(acceptor, std::move(listening)),
                 asio::detached);
  const std::string host = local.address().to_string();
  return (local.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(local.port());
}

Status Server::reload_certificates() {
  const std::lock_guard lock(impl_->mutex);
  auto contexts = impl_->contexts;
  for (auto& [path, held] : contexts) {
    auto made = make_context(held->options().files);
    if (!made) return fail(made.error());
    held = std::move(*made);
  }
  impl_->contexts = std::move(contexts);
  return {};
}

void Server::adopt(int socket_descriptor, const SocketAddress& peer, std::string prefix,
                   const TlsFiles* tls) {
  const std::lock_guard lock(impl_->adopting);
  if (impl_->stopping) {
    ::close(socket_descriptor);
    return;
  }
  std::shared_ptr<TlsContext> context;
  if (tls != nullptr) {
    auto made = impl_->context_of(*tls);
    if (!made) {
      impl_->logger.warn("adopted_connection_refused", {{"reason", made.error().message}});
      ::close(socket_descriptor);
      return;
    }
    context = std::move(*made);
  }
  sockaddr_storage local{};
  socklen_t length = sizeof local;
  const bool v6 = ::getsockname(socket_descriptor, reinterpret_cast<sockaddr*>(&local), &length) == 0 &&
                  local.ss_family == AF_INET6;
  tcp::socket socket(asio::make_strand(*impl_->io));
  error_code ec;
  socket.assign(v6 ? tcp::v6() : tcp::v4(), socket_descriptor, ec);
  if (ec) {
    ::close(socket_descriptor);
    return;
  }
  impl_->start(std::move(socket), peer, std::move(prefix), std::move(context), {});
}

void Server::stop(Duration grace) {
  impl_->stop(grace);
}

}  // namespace fleetward::http
