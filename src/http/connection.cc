#include <boost/asio/write.hpp>
#include <boost/beast/http/basic_parser.hpp>

#include "core/proxy_protocol.h"
#include "http/server_impl.h"
#include "http/spool.h"
#include "http/wire.h"

namespace fleetward::http {
namespace {

constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kWriteBytes = 256 * 1024;  // encrypted at once
constexpr Duration kLingerTime{2'000};      // for a client to read the answer to an unread body
constexpr uint64_t kLingerBytes = uint64_t{4} << 20;
constexpr size_t kHeaderFieldsMax = 200;

}  // namespace

// Turns bytes into a RequestHead and hands the body on.
class RequestParser final : public beast::http::basic_parser<true> {
 public:
  RequestHead head;
  std::string body;  // what has arrived of it and was not passed on
  uint64_t body_bytes = 0, body_bytes_max = 0;
  Status refused;     // why `head` is not acceptable
  bool over = false;  // more body than body_bytes_max

 private:
  using string_view = beast::string_view;
  void on_request_impl(beast::http::verb, string_view method, string_view target, int /*version*/,
                       error_code&) override {
    head.method.assign(method.data(), method.size());
    refused = http::parse_target({target.data(), target.size()}, head);
  }
  void on_response_impl(int, string_view, int, error_code&) override {}
  void on_field_impl(beast::http::field, string_view name, string_view value, error_code& ec) override {
    if (is_header_done()) return;  // a trailer of the transfer coding: nobody asked for it
    if (head.headers.all().size() == kHeaderFieldsMax) {
      ec = beast::http::error::header_limit;
      return;
    }
    head.headers.add({name.data(), name.size()}, {value.data(), value.size()});
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<uint64_t>&, error_code&) override {}
  size_t take(string_view bytes, error_code& ec) {
    if (body_bytes + bytes.size() > body_bytes_max) {
      over = true;
      ec = beast::http::error::body_limit;
      return 0;
    }
    body_bytes += bytes.size();
    body.append(bytes.data(), bytes.size());
    return bytes.size();
  }
  size_t on_body_impl(string_view bytes, error_code& ec) override { return take(bytes, ec); }
  void on_chunk_header_impl(uint64_t, string_view, error_code&) override {}
  size_t on_chunk_body_impl(uint64_t, string_view bytes, error_code& ec) override { return take(bytes, ec); }
  void on_finish_impl(error_code&) override {}
};

asio::awaitable<bool> Server::Impl::Connection::read_more(Duration timeout) {
  buffer_.resize(kReadBytes);
  // One deadline, however many records come without a byte for us.
  stream_.expires_after(timeout);
  for (;;) {
    error_code ec;
    const size_t n = co_await stream_.async_read_some(asio::buffer(buffer_),
                                                      asio::redirect_error(asio::use_awaitable, ec));
    if (ec) co_return false;
    if (!tls_) {
      input_.append(buffer_, 0, n);
      co_return true;
    }
    const size_t before = input_.size();
    const bool open = tls_->feed(std::string_view(buffer_).substr(0, n), input_);
    const bool sent = co_await flush_tls();
    if (input_.size() > before) co_return true;
    if (!open || !sent) co_return false;
  }
}

asio::awaitable<bool> Server::Impl::Connection::read_proxy_header() {
  stream_.expires_after(server_.options.head_timeout);
  buffer_.resize(kReadBytes);
  for (;;) {
    ProxyHeader header = parse_proxy_header(input_);
    if (header.state == ProxyHeader::State::kComplete) {
      input_.erase(0, header.bytes);
      if (header.source) peer_ = std::move(*header.source);
      co_return true;
    }
    error_code ec;
    size_t n = 0;
    if (header.state == ProxyHeader::State::kIncomplete) {
      n = co_await stream_.async_read_some(asio::buffer(buffer_),
                                           asio::redirect_error(asio::use_awaitable, ec));
    }
    if (ec || n == 0) {
      server_.count(Broken::kProxy);
      server_.logger.info("http_request_refused",
                          {{"peer", peer_.ip}, {"reason", "not a header of the PROXY protocol"}});
      co_return false;
    }
    input_.append(buffer_, 0, n);
  }
}

asio::awaitable<bool> Server::Impl::Connection::flush_tls() {
  wire_.clear();
  tls_->take_output(wire_);
  if (wire_.empty()) co_return true;
  error_code ec;
  co_await asio::async_write(stream_, asio::buffer(wire_), asio::redirect_error(asio::use_awaitable, ec));
  co_return !ec;
}

asio::awaitable<bool> Server::Impl::Connection::write(std::string_view bytes) {
  stream_.expires_after(server_.options.read_timeout);
  if (!tls_) {
    error_code ec;
    co_await asio::async_write(stream_, asio::buffer(bytes.data(), bytes.size()),
                               asio::redirect_error(asio::use_awaitable, ec));
    co_return !ec;
  }
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, kWriteBytes);
    bytes.remove_prefix(piece.size());
    if (!tls_->write(piece)) co_return false;
    if (!co_await flush_tls()) co_return false;
  }
  co_return true;
}

asio::awaitable<bool> Server::Impl::Connection::handshake() {
  stream_.expires_after(server_.options.head_timeout);
  const std::string hello = std::move(input_);
  input_.clear();
  if (!hello.empty()) tls_->feed(hello, input_);
  error_code ec;
  while (co_await flush_tls() && tls_->state() == TlsEngine::State::kHandshake && !ec) {
    buffer_.resize(kReadBytes);
    const size_t n = co_await stream_.async_read_some(asio::buffer(buffer_),
                                                      asio::redirect_error(asio::use_awaitable, ec));
    if (!ec) tls_->feed(std::string_view(buffer_).substr(0, n), input_);
  }
  if (tls_->state() == TlsEngine::State::kOpen) co_return true;
  server_.failed_handshakes.Increment();
  const std::string reason = tls_->state() == TlsEngine::State::kFailed ? tls_->failure() : "it did not end";
  server_.logger.info("http_tls_handshake_failed", {{"peer", peer_.ip}, {"reason", reason}});
  co_return false;
}

// False: closed, timed out, or answered with what is wrong.
asio::awaitable<bool> Server::Impl::Connection::read_head(RequestParser& parser) {
  parser.header_limit(static_cast<uint32_t>(server_.options.header_bytes_max));
  parser.body_limit(boost::none);  // bounded by RequestParser::body_bytes_max
  if (input_.empty()) {
    idle_ = true;
    const bool got = !server_.stopping && co_await read_more(server_.options.idle_timeout);
    idle_ = false;
    if (!got) co_return false;
  }
  // One deadline for the whole head: a client that drips bytes does not renew it.
  const auto deadline = std::chrono::steady_clock::now() + server_.options.head_timeout;
  for (;;) {
    error_code ec;
    const size_t used = parser.put(asio::buffer(input_), ec);
    input_.erase(0, used);
    if (!ec && parser.is_header_done()) co_return true;
    if (ec && ec != beast::http::error::need_more) {
      if (ec == beast::http::error::header_limit) {
        co_await bad_request(431, Broken::kHeadTooLarge, ec.message());
      } else if (ec == beast::http::error::bad_version) {
        co_await bad_request(505, Broken::kVersion, "only HTTP/1.1 is spoken here");
      } else {
        co_await bad_request(400, Broken::kHead, ec.message());
      }
      co_return false;
    }
    if (!ec && !input_.empty()) continue;
    const auto left = std::chrono::duration_cast<Duration>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) co_return false;
    if (!co_await read_more(left)) co_return false;
  }
}

asio::awaitable<std::unique_ptr<Response>> Server::Impl::Connection::on_handler(
    const RequestHead& head, std::function<std::unique_ptr<Response>()> part) {
  Handler& answerer = *server_.handler;
  if (server_.waiting.fetch_add(1) >= server_.options.worker_queue_max) {
    server_.waiting.fetch_sub(1);
    server_.overloaded.Increment();
    co_return std::make_unique<Response>(answerer.refusal(head, Refusal::kOverloaded));
  }
  std::unique_ptr<Response> response;
  co_await server_.on_worker([&] {
    server_.waiting.fetch_sub(1);
    try {
      response = part();
    } catch (const std::exception& e) {
      server_.logger.error("handler_threw", {{"reason", e.what()}});
      response = std::make_unique<Response>(answerer.refusal(head, Refusal::kFailed));
    }
  });
  co_return response;
}

// What has arrived of a body that is too large to be held, or nothing of one that is waited for.
asio::awaitable<Status> Server::Impl::Connection::pass_on(RequestParser& parser, LargeBody& large) {
  if (!large.started()) {
    large.taker = server_.handler->taker(parser.head);
    if (!large.taker) large.file.emplace(server_.options.spool_directory);
  }
  Status kept;
  if (large.file) {
    kept = large.file->append(parser.body);
  } else if (large.taker) {
    large.refused = co_await on_handler(parser.head, [&] { return large.taker->take(parser.body); });
    if (large.refused) large.taker.reset();
  }
  parser.body.clear();
  co_return kept;
}

asio::awaitable<Server::Impl::Connection::Got> Server::Impl::Connection::read_body(RequestParser& parser,
                                                                                   LargeBody& large) {
  while (!parser.is_done()) {
    error_code ec;
    size_t used = 0;
    if (!input_.empty()) used = parser.put(asio::buffer(input_), ec);
    input_.erase(0, used);
    if (parser.over) co_return Got::kTooLarge;
    if (parser.body.size() > server_.options.memory_body_max) {
      if (auto kept = co_await pass_on(parser, large); !kept) {
        server_.logger.warn("request_body_not_kept", {{"reason", kept.error().message}});
        co_return Got::kNoDisk;
      }
    }
    if (parser.is_done()) break;
    if (ec && ec != beast::http::error::need_more) co_return Got::kBroken;
    if (!ec && used > 0 && !input_.empty()) continue;
    if (input_.size() > server_.options.header_bytes_max) co_return Got::kBroken;  // an endless chunk line
    if (!co_await read_more(server_.options.read_timeout)) co_return Got::kBroken;
  }
  co_return Got::kWhole;
}

asio::awaitable<void> Server::Impl::Connection::bad_request(int status, Broken what,
                                                            std::string_view reason) {
  server_.count(what);
  server_.logger.info("http_request_refused", {{"peer", peer_.ip}, {"reason", reason}});
  Response response;
  response.status = status;
  response.headers.add("Content-Type", "text/plain");
  response.body = std::string(reason) + "\n";
  unread_body_ = true;
  co_await respond(std::move(response), false, false);
}

// From a complete head to the answer; sets unread_body_ if the connection cannot go on.
asio::awaitable<Response> Server::Impl::Connection::answer(RequestParser& parser) {
  RequestHead& head = parser.head;
  Handler& answerer = *server_.handler;
  parser.body_bytes_max = server_.options.body_bytes_max;
  if (auto refused = answerer.before_body(head, parser.body_bytes_max)) {
    unread_body_ = !parser.is_done();
    co_return std::move(*refused);
  }
  if (head.content_length > parser.body_bytes_max) {
    unread_body_ = true;
    co_return answerer.refusal(head, Refusal::kBodyTooLarge);
  }
  LargeBody large;
  if (!parser.is_done() && head.headers.has("expect") && input_.empty()) {
    // Who waits for leave to send hears a refusal before it has sent anything.
    large.taker = answerer.taker(head);
    if (large.taker) (void)co_await pass_on(parser, large);
    if (large.refused) {
      unread_body_ = true;
      co_return std::move(*large.refused);
    }
    if (!co_await write("HTTP/1.1 100 Continue\r\n\r\n")) {
      unread_body_ = true;
      co_return Response{};
    }
  }
  const Got got = co_await read_body(parser, large);
  if (got != Got::kWhole) {
    unread_body_ = true;
    if (got == Got::kTooLarge) co_return answerer.refusal(head, Refusal::kBodyTooLarge);
    if (got == Got::kNoDisk) co_return answerer.refusal(head, Refusal::kOverloaded);
    server_.count(Broken::kBody);
    server_.logger.info("http_request_refused", {{"peer", peer_.ip}, {"reason", "the body did not arrive"}});
    Response cut;
    cut.status = 400;
    cut.body = "the body did not arrive\n";
    co_return cut;
  }
  if (large.file && !co_await pass_on(parser, large)) co_return answerer.refusal(head, Refusal::kOverloaded);
  if (large.refused) co_return std::move(*large.refused);
  const auto part = [&]() -> std::unique_ptr<Response> {
    if (large.taker) {
      auto refused = parser.body.empty() ? nullptr : large.taker->take(parser.body);
      return refused ? std::move(refused) : std::make_unique<Response>(large.taker->finish());
    }
    Request request;
    static_cast<RequestHead&>(request) = head;
    request.body = large.file ? large.file->finish() : memory_body(std::move(parser.body));
    return std::make_unique<Response>(answerer.handle(std::move(request)));
  };
  std::unique_ptr<Response> response = co_await on_handler(head, part);
  co_return std::move(*response);
}

asio::awaitable<bool> Server::Impl::Connection::one_request() {
  RequestParser parser;
  if (!co_await read_head(parser)) co_return false;
  server_.requests.Increment();
  if (!parser.refused) {
    co_await bad_request(400, Broken::kTarget, parser.refused.error().message);
    co_return false;
  }
  parser.head.tls = tls_ != nullptr;
  parser.head.peer_address = peer_.ip;
  parser.head.websockets_only = websockets_only_;
  if (tls_) {
    parser.head.client_certificate_id = tls_->certificate_id();
    parser.head.server_name = tls_->server_name();
  }
  if (const auto length = parser.content_length()) parser.head.content_length = *length;
  if (parser.head.headers.has("upgrade") && parser.upgrade()) {
    co_await upgrade(parser);
    co_return false;
  }
  if (websockets_only_) {
    co_await bad_request(426, Broken::kUpgrade, "only WebSockets are spoken here");
    co_return false;
  }
  const bool head_request = parser.head.method == "HEAD";
  Response response = co_await answer(parser);
  const bool keep_alive = parser.keep_alive() && !unread_body_ && !server_.stopping;
  const bool sent = co_await respond(std::move(response), head_request, keep_alive);
  co_return sent&& keep_alive;
}

// Ends with the connection in other hands, or with a refusal.
asio::awaitable<void> Server::Impl::Connection::upgrade(RequestParser& parser) {
  if (!parser.is_done()) {
    co_await bad_request(400, Broken::kUpgrade, "an upgrade has no body");
    co_return;
  }
  Upgrade wanted = server_.stopping ? Upgrade{server_.handler->refusal(parser.head, Refusal::kOverloaded), {}}
                                    : server_.handler->upgrade(parser.head);
  if (!wanted.take) {
    server_.count(Broken::kUpgrade);
    co_await respond(std::move(wanted.response), false, false);
    co_return;
  }
  if (!co_await respond(std::move(wanted.response), false, false)) co_return;
  stream_.expires_never();
  error_code ec;
  const int descriptor = stream_.socket().release(ec);
  if (ec) {
    server_.logger.warn("http_upgrade_failed", {{"peer", peer_.ip}, {"reason", ec.message()}});
    co_return;
  }
  wanted.take({descriptor, std::move(tls_), std::move(input_), peer_});
}

asio::awaitable<bool> Server::Impl::Connection::respond(Response response, bool head_request,
                                                        bool keep_alive) {
  const bool streamed = static_cast<bool>(response.source);
  const bool announced = streamed || (response.body.empty() && head_request);
  const uint64_t length = announced ? response.source_length : response.body.size();
  std::string out = response_head(response, length, keep_alive, server_.clock.now());
  const bool with_body = !head_request && status_has_body(response.status);
  if (with_body && !streamed) out += response.body;
  if (!co_await write(out)) co_return false;
  if (with_body && streamed) co_return co_await stream_body(response);
  co_return true;
}

// The next piece is asked for only after the one before has left: a slow client slows its source down.
asio::awaitable<bool> Server::Impl::Connection::stream_body(Response& response) {
  uint64_t left = response.source_length;
  while (left > 0) {
    Result<std::string> piece;
    co_await server_.on_worker([&] {
      try {
        piece = response.source();
      } catch (const std::exception& e) {
        piece = fail(ErrorCode::kInternal, e.what());
      }
    });
    // The head is gone: all that is left to tell the client is a connection that ends too early.
    if (!piece || piece->empty() || piece->size() > left) {
      server_.logger.warn("response_cut_short",
                          {{"peer", peer_.ip}, {"reason", piece ? "wrong length" : piece.error().message}});
      cut();
      co_return false;
    }
    left -= piece->size();
    if (!co_await write(*piece)) co_return false;
  }
  co_return true;
}

// A client still sending a body that nobody reads would lose our answer to a reset: read on for a while.
asio::awaitable<void> Server::Impl::Connection::linger() {
  if (!tls_) {
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
  }
  uint64_t bytes = 0;
  const auto deadline = std::chrono::steady_clock::now() + kLingerTime;
  while (bytes < kLingerBytes && std::chrono::steady_clock::now() < deadline) {
    input_.clear();
    if (!co_await read_more(kLingerTime)) break;
    bytes += input_.size();
  }
}

asio::awaitable<void> Server::Impl::Connection::shut_down() {
  error_code ec;
  if (!stream_.socket().is_open()) co_return;
  if (tls_) {
    stream_.expires_after(kLingerTime);
    tls_->shutdown();
    co_await flush_tls();
  }
  stream_.socket().shutdown(tcp::socket::shutdown_both, ec);
  stream_.close();
}

asio::awaitable<void> Server::Impl::Connection::serve() {
  const bool begun = !behind_proxy_ || co_await read_proxy_header();
  const bool ready = begun && (!tls_ || co_await handshake());
  if (ready) {
    while (co_await one_request()) {
    }
    if (unread_body_) co_await linger();
  }
  co_await shut_down();
}

}  // namespace fleetward::http
