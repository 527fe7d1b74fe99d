#pragma once

// Inside of the server: server.cc accepts and stops, connection.cc serves one connection. The only two
// translation units that include Asio and Beast.

#include <array>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/tcp_stream.hpp>

#include "http/server.h"
#include "http/spool.h"

namespace fleetward::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;

class RequestParser;

struct Server::Impl {
  class Connection;

  ServerOptions options;
  std::shared_ptr<Handler> handler;
  Logger& logger;
  SystemClock clock;

  prometheus::Gauge& open_connections;
  prometheus::Counter& refused_connections;
  prometheus::Counter& overloaded;
  // What is wrong with a request that never reaches the handler: the label of its counter.
  enum class Broken : uint8_t { kHead, kHeadTooLarge, kTarget, kVersion, kUpgrade, kBody, kProxy, kCount };
  std::array<prometheus::Counter*, static_cast<size_t>(Broken::kCount)> broken;
  prometheus::Counter& failed_handshakes;
  prometheus::Counter& requests;

  std::unique_ptr<asio::io_context> io = std::make_unique<asio::io_context>();
  asio::executor_work_guard<asio::io_context::executor_type> work = asio::make_work_guard(*io);
  asio::thread_pool workers;
  std::vector<std::thread> threads;
  std::vector<std::shared_ptr<tcp::acceptor>> acceptors;
  std::atomic<bool> stopping{false};
  std::atomic<size_t> waiting{0};

  std::mutex adopting;  // held inside adopt(): stop() ends what adopt() uses
  std::mutex mutex;     // guards what follows
  std::condition_variable changed;
  std::map<Connection*, std::weak_ptr<Connection>> connections;
  std::map<std::string, std::shared_ptr<TlsContext>> contexts;  // by certificate path
  std::chrono::steady_clock::time_point made_room;

  Impl(ServerOptions o, std::shared_ptr<Handler> h, Logger& l, Metrics& m);
  ~Impl();
  // What every connection of a listener has.
  struct Listening {
    std::optional<TlsFiles> tls;
    ListenOptions options;
  };
  Result<std::shared_ptr<TlsContext>> context_of(const TlsFiles& files);
  asio::awaitable<void> accept_loop(std::shared_ptr<tcp::acceptor> acceptor, Listening listening);
  void count(Broken what) { broken[static_cast<size_t>(what)]->Increment(); }
  void start(tcp::socket socket, SocketAddress peer, std::string prefix, std::shared_ptr<TlsContext> tls,
             const ListenOptions& listening);
  void stop(Duration grace);
  // Asks every connection for it, on its executor. Under the mutex.
  void each(void (Connection::*action)());

  // Runs `work` on a worker, resumes the coroutine on its own executor. Never refused: bounds are checked
  // where requests enter.
  asio::awaitable<void> on_worker(std::function<void()> task);
};

class Server::Impl::Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Impl& server, tcp::socket socket, SocketAddress peer, std::string prefix,
             std::shared_ptr<TlsContext> tls, const ListenOptions& listening)
      : server_(server),
        stream_(std::move(socket)),
        peer_(std::move(peer)),
        websockets_only_(listening.websockets_only),
        behind_proxy_(listening.proxies != nullptr),
        input_(std::move(prefix)) {
    if (tls) tls_ = std::make_unique<TlsEngine>(std::move(tls));
  }

  asio::awaitable<void> serve();
  auto executor() { return stream_.get_executor(); }
  // On the connection's executor.
  void close_if_idle() {
    if (idle_) stream_.cancel();
  }
  void cut() { stream_.close(); }

 private:
  // Takes the header of the PROXY protocol off.
  asio::awaitable<bool> read_proxy_header();
  asio::awaitable<bool> handshake();
  // Appends to input_, decrypted.
  asio::awaitable<bool> read_more(Duration timeout);
  asio::awaitable<bool> write(std::string_view bytes);
  // Sends what TLS has to say, within the deadline that is set.
  asio::awaitable<bool> flush_tls();
  asio::awaitable<bool> read_head(RequestParser& parser);
  // Where a body over memory_body_max goes: to whoever takes it as it arrives, else into a file.
  struct LargeBody {
    std::unique_ptr<BodyTaker> taker;
    std::optional<BodySpool> file;
    std::unique_ptr<Response> refused;  // by the taker: what still comes is dropped
    bool started() const { return taker || file || refused; }
  };
  enum class Got { kWhole, kTooLarge, kBroken, kNoDisk };
  asio::awaitable<Got> read_body(RequestParser& parser, LargeBody& large);
  asio::awaitable<Status> pass_on(RequestParser& parser, LargeBody& large);
  // Runs a part of the handler on a worker; 503 if too many wait for one, 500 if it throws.
  asio::awaitable<std::unique_ptr<Response>> on_handler(const RequestHead& head,
                                                        std::function<std::unique_ptr<Response>()> part);
  asio::awaitable<bool> one_request();
  asio::awaitable<Response> answer(RequestParser& parser);
  asio::awaitable<void> upgrade(RequestParser& parser);
  asio::awaitable<bool> respond(Response response, bool head_request, bool keep_alive);
  asio::awaitable<bool> stream_body(Response& response);
  asio::awaitable<void> bad_request(int status, Broken what, std::string_view reason);
  asio::awaitable<void> linger();
  asio::awaitable<void> shut_down();

  Impl& server_;
  beast::tcp_stream stream_;
  std::unique_ptr<TlsEngine> tls_;
  SocketAddress peer_;
  const bool websockets_only_, behind_proxy_;
  std::string input_;  // received, not yet parsed
  std::string buffer_;
  std::string wire_;  // encrypted, to be sent
  bool idle_ = false;
  bool unread_body_ = false;
};

}  // namespace fleetward::http
