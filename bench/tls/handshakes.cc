#include <arpa/inet.h>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <unistd.h>

// TLS 1.3 handshakes with a client certificate, one after the other on each thread, against any server:
// connect, shake hands, wait for the server's first session ticket (with it the server shows that it has
// taken the client's certificate), close.
namespace {

struct Options {
  uint16_t port = 8883;
  std::string ca, certificate, key, name = "localhost";
  size_t threads = 4;
  double seconds = 5;
  bool resume = false;
};

struct Session {
  SSL_SESSION* ticket = nullptr;
  bool fresh = false;
};

[[noreturn]] void fail(const std::string& what) {
  char text[256] = "";
  if (const unsigned long code = ERR_get_error(); code != 0) ERR_error_string_n(code, text, sizeof(text));
  throw std::runtime_error(what + " " + text);
}

int keep_ticket(SSL* ssl, SSL_SESSION* ticket) {
  auto* session = static_cast<Session*>(SSL_get_app_data(ssl));
  SSL_SESSION_free(session->ticket);
  session->ticket = ticket;
  session->fresh = true;
  return 1;
}

SSL_CTX* make_context(const Options& options) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  if (SSL_CTX_load_verify_locations(context, options.ca.c_str(), nullptr) != 1) fail(options.ca);
  if (SSL_CTX_use_certificate_chain_file(context, options.certificate.c_str()) != 1)
    fail(options.certificate);
  if (SSL_CTX_use_PrivateKey_file(context, options.key.c_str(), SSL_FILETYPE_PEM) != 1) fail(options.key);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, keep_ticket);
  return context;
}

// True if the server took the ticket.
bool shake(SSL_CTX* context, const Options& options, Session& session) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) fail("connect");
  SSL* ssl = SSL_new(context);
  SSL_set_fd(ssl, fd);
  SSL_set_app_data(ssl, &session);
  SSL_set_tlsext_host_name(ssl, options.name.c_str());
  SSL_set1_host(ssl, options.name.c_str());
  if (options.resume && session.ticket != nullptr) SSL_set_session(ssl, session.ticket);
  session.fresh = false;
  if (SSL_connect(ssl) != 1) fail("handshake");
  char byte = 0;
  SSL_clear_mode(ssl, SSL_MODE_AUTO_RETRY);  // SSL_read comes back after a ticket
  while (!session.fresh) {
    const int n = SSL_read(ssl, &byte, 1);
    if (n <= 0 && !session.fresh && SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ) fail("no session ticket");
  }
  const bool resumed = SSL_session_reused(ssl) == 1;
  SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);  // the session stays good
  SSL_free(ssl);
  const linger at_once{1, 0};  // no TIME_WAIT: thousands a second use up the ports
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  close(fd);
  return resumed;
}

double process_cpu_s(int pid) {
  FILE* file = std::fopen(("/proc/" + std::to_string(pid) + "/stat").c_str(), "r");
  if (file == nullptr) return 0;
  unsigned long user = 0;
  unsigned long system = 0;
  const int got =
      std::fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
  std::fclose(file);
  return got == 2 ? static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK)) : 0;
}

int run(const Options& options, int server_pid) {
  SSL_CTX* context = make_context(options);
  std::atomic<uint64_t> done{0};
  std::atomic<uint64_t> resumed{0};
  std::atomic<bool> failed{false};
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const double cpu_before = process_cpu_s(server_pid);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < options.threads; ++i) {
    threads.emplace_back([&] {
      Session session;
      try {
        while (elapsed() < options.seconds && !failed) {
          resumed += shake(context, options, session) ? 1 : 0;
          ++done;
        }
      } catch (const std::exception& e) {
        std::fprintf(stderr, "fleetward-handshakes: %s\n", e.what());
        failed = true;
      }
      SSL_SESSION_free(session.ticket);
    });
  }
  for (auto& thread : threads) thread.join();
  const double seconds = elapsed();
  const double cpu = process_cpu_s(server_pid) - cpu_before;
  SSL_CTX_free(context);
  if (failed) return 1;
  std::printf(
      "{\"handshakes\": %lu, \"resumed\": %lu, \"per_s\": %.0f, \"server_cpu_s\": %.2f, "
      "\"per_server_cpu_s\": %.0f}\n",
      done.load(), resumed.load(), static_cast<double>(done) / seconds, cpu,
      cpu > 0 ? static_cast<double>(done) / cpu : 0);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  int server_pid = 0;
  CLI::App app{"TLS 1.3 handshakes with a client certificate, as many as the server can."};
  app.add_option("--port", options.port, "Port on 127.0.0.1")->capture_default_str();
  app.add_option("--name", options.name, "Server name to ask for and to verify")->capture_default_str();
  app.add_option("--ca", options.ca, "CA certificates that the server must chain to (PEM)")->required();
  app.add_option("--cert", options.certificate, "Client certificate (PEM)")->required();
  app.add_option("--key", options.key, "Client key (PEM)")->required();
  app.add_option("--threads", options.threads, "Handshakes at a time")->capture_default_str();
  app.add_option("--duration", options.seconds, "Seconds")->capture_default_str();
  app.add_flag("--resume", options.resume, "Resume the thread's session of before");
  app.add_option("--server-pid", server_pid, "Process whose CPU time is measured");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options, server_pid);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "fleetward-handshakes: %s\n", e.what());
    return 1;
  }
}
