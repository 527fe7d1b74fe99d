#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/time.h"

struct bio_method_st;
struct ssl_st;
struct ssl_ctx_st;

namespace fleetward {

// Paths of PEM files of a server.
struct TlsFiles {
  std::string certificate_chain_pem;
  std::string private_key_pem;
};

// The certificate of a TLS client that proved to hold its key.
struct PeerCertificate {
  std::string id;  // SHA-256 of the DER form, 64 hex digits
  bool in_validity = true;
};

// The keys of session tickets, of all contexts that take each other's: a client that shows a ticket resumes
// its session, with the certificate it showed then, without another proof. A key makes tickets for
// `lifetime`, and those it made are good for as long again. Never stored. Thread safe.
class TlsTickets {
 public:
  // `steady` must outlive it.
  TlsTickets(Duration lifetime, const Clock& steady);

  struct Key {
    std::array<unsigned char, 16> name;
    std::array<unsigned char, 32> cipher, mac;
    Timestamp made;
  };
  // Nothing if there is no entropy for one.
  std::optional<Key> current();
  struct Found {
    Key key;
    bool is_current;
  };
  std::optional<Found> find(const unsigned char* name);
  Duration lifetime() const { return lifetime_; }

 private:
  void rotate();  // under the mutex

  const Duration lifetime_;
  const Clock& steady_;
  std::mutex mutex_;
  std::vector<Key> keys_;  // the newest first, at most two
};

// The server's side of TLS, 1.2 and 1.3, of every listener. Of a client's certificate only the proof of
// possession and the validity are checked here: no authority vouches for devices, the registry knows their
// certificates. Thread safe after creation.
class TlsContext {
 public:
  // Called during handshakes, resumed ones too, on the thread that runs them. False refuses the client with a
  // TLS alert. Also called with a certificate out of its validity, which is refused whatever the answer.
  using Admit = std::function<bool(const PeerCertificate&)>;
  struct Options {
    TlsFiles files;
    bool certificate_required = true;  // of the client; else it is asked for
    Admit admit;                       // empty: every certificate
    // Names that the server takes, the one it likes best first; an offer without any of them is answered by
    // none.
    std::vector<std::string> alpn;
    std::shared_ptr<TlsTickets> tickets;  // null: no session is resumed
  };

  // kInvalidArgument: a file cannot be used.
  static Result<std::shared_ptr<TlsContext>> create(Options options);
  ~TlsContext();

  ssl_ctx_st* native() const { return context_; }
  const Options& options() const { return options_; }

 private:
  TlsContext() = default;
  ssl_ctx_st* context_ = nullptr;
  Options options_;
};

// One connection's TLS without I/O: bytes from the socket go in, bytes for the socket come out. Belongs to
// one thread at a time and may move between threads.
class TlsEngine {
 public:
  explicit TlsEngine(std::shared_ptr<TlsContext> context);
  ~TlsEngine();
  TlsEngine(const TlsEngine&) = delete;
  TlsEngine& operator=(const TlsEngine&) = delete;

  enum class State { kHandshake, kOpen, kClosed, kFailed };
  State state() const { return state_; }

  // Takes bytes read from the socket and appends what they decrypt to, to `plain`. False: the connection is
  // to be closed, after sending what take_output() still gives (an alert).
  bool feed(std::string_view encrypted, std::string& plain);
  // Encrypts. Only in state kOpen.
  bool write(std::string_view plain);
  // Appends bytes for the socket to `out`.
  void take_output(std::string& out);
  // Says goodbye (close_notify).
  void shutdown();

  // After the handshake; empty if the client showed no certificate.
  const std::string& certificate_id() const { return certificate_id_; }
  std::string server_name() const;
  bool resumed() const;
  // Why the state is kFailed: "peer did not return a certificate", ...
  const std::string& failure() const { return failure_; }

 private:
  // What OpenSSL reads from and writes to.
  struct Wire {
    std::string_view in;  // during feed()
    std::string out;      // until take_output()
    static const bio_method_st* method();
  };
  bool advance(std::string& plain);
  bool admit_again();
  void set_failed();

  std::shared_ptr<TlsContext> context_;
  Wire wire_;
  ssl_st* ssl_ = nullptr;
  State state_ = State::kHandshake;
  std::string certificate_id_;
  std::string failure_;
};

}  // namespace fleetward
