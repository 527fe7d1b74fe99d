#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"

struct ssl_st;
struct ssl_ctx_st;

namespace fleetward::broker {

// The certificate of a TLS client that proved to hold its key.
struct PeerCertificate {
  std::string id;  // SHA-256 of the DER form, 64 hex digits
  bool in_validity = true;
};

// The server's side of TLS for MQTT listeners: TLS 1.2 and 1.3, a client certificate is demanded, of which
// only the proof of possession is checked here; `admit` decides by its id (the registry knows the
// certificates, no authority vouches for them). ALPN: "x-amzn-mqtt-ca" is taken, an offer without it is
// answered by none. Thread safe after creation.
class TlsContext {
 public:
  // Called during handshakes, on the shard's thread that runs them. False refuses the client with a TLS
  // alert.
  using Admit = std::function<bool(const PeerCertificate&)>;

  static Result<std::shared_ptr<TlsContext>> create(const std::string& certificate_chain_pem,
                                                    const std::string& private_key_pem, Admit admit);
  ~TlsContext();

  ssl_ctx_st* native() const { return context_; }
  const Admit& admit() const { return admit_; }

 private:
  TlsContext() = default;
  ssl_ctx_st* context_ = nullptr;
  Admit admit_;
};

constexpr std::string_view kAlpnMqtt = "x-amzn-mqtt-ca";

// One connection's TLS without I/O: bytes from the socket go in, bytes for the socket come out. Belongs to
// one thread at a time and may move between threads.
class TlsEngine {
 public:
  explicit TlsEngine(std::shared_ptr<TlsContext> context);
  ~TlsEngine();

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

  // After the handshake.
  const std::string& certificate_id() const { return certificate_id_; }
  std::string server_name() const;
  // Why the state is kFailed: "peer did not return a certificate", ...
  const std::string& failure() const { return failure_; }

 private:
  bool advance(std::string& plain);
  void set_failed();

  std::shared_ptr<TlsContext> context_;
  ssl_st* ssl_ = nullptr;
  State state_ = State::kHandshake;
  std::string certificate_id_;
  std::string failure_;
};

}  // namespace fleetward::broker
