#include "core/tls.h"

#include <array>
#include <cstring>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <span>

#include "core/encoding.h"

namespace fleetward {
namespace {

std::string openssl_error() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) return "unknown TLS error";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "TLS error " + std::to_string(code);
}

PeerCertificate describe(X509* certificate) {
  PeerCertificate peer;
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  if (size > 0) {
    peer.id = sha256_hex({reinterpret_cast<const char*>(der), static_cast<size_t>(size)});
    OPENSSL_free(der);
  }
  peer.in_validity = X509_cmp_current_time(X509_get0_notBefore(certificate)) < 0 &&
                     X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0;
  return peer;
}

// OpenSSL asks for the key of a ticket it makes (`making`) or was shown.
int ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
               int making) {
  const auto* context = static_cast<const TlsContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  TlsTickets& tickets = *context->options().tickets;
  TlsTickets::Key key;
  bool is_current = true;
  if (making == 1) {
    const auto current = tickets.current();
    if (!current) return -1;
    key = *current;
    std::memcpy(name, key.name.data(), key.name.size());
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return -1;
  } else {
    const auto found = tickets.find(name);
    if (!found) return 0;  // a full handshake
    key = found->key;
    is_current = found->is_current;
  }
  std::array<char, 7> digest{"SHA256"};
  const std::array<OSSL_PARAM, 3> parameters = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0), OSSL_PARAM_construct_end()};
  const auto start = making == 1 ? EVP_EncryptInit_ex : EVP_DecryptInit_ex;
  if (EVP_MAC_CTX_set_params(mac, parameters.data()) != 1 ||
      start(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv) != 1) {
    return -1;
  }
  // 2: the client is given a new one, which in TLS 1.3 it needs after each use (RFC 8446 C.4).
  return is_current && SSL_version(ssl) != TLS1_3_VERSION ? 1 : 2;
}

// Replaces OpenSSL's chain building: see TlsContext.
int verify_certificate(X509_STORE_CTX* store, void* argument) {
  const auto& options = static_cast<const TlsContext*>(argument)->options();
  X509* leaf = X509_STORE_CTX_get0_cert(store);
  if (leaf == nullptr) return 0;
  const PeerCertificate peer = describe(leaf);
  const bool admitted = !options.admit || options.admit(peer);
  if (!peer.in_validity || !admitted) {
    X509_STORE_CTX_set_error(store,
                             peer.in_validity ? X509_V_ERR_CERT_UNTRUSTED : X509_V_ERR_CERT_HAS_EXPIRED);
    return 0;
  }
  X509_STORE_CTX_set_error(store, X509_V_OK);
  return 1;
}

int select_alpn(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                unsigned int in_size, void* argument) {
  for (const std::string& name : static_cast<const TlsContext*>(argument)->options().alpn) {
    // `in`: the client's names, each with a length byte.
    for (unsigned int at = 0; at + 1 <= in_size;) {
      const unsigned int size = in[at];
      if (at + 1 + size > in_size) break;
      if (std::string_view(reinterpret_cast<const char*>(in + at + 1), size) == name) {
        *out = in + at + 1;
        *out_size = static_cast<unsigned char>(size);
        return SSL_TLSEXT_ERR_OK;
      }
      at += 1 + size;
    }
  }
  return SSL_TLSEXT_ERR_NOACK;
}

}  // namespace

TlsTickets::TlsTickets(Duration lifetime, const Clock& steady) : lifetime_(lifetime), steady_(steady) {}

void TlsTickets::rotate() {
  const Timestamp now = steady_.now();
  while (!keys_.empty() && keys_.back().made + 2 * lifetime_ <= now) keys_.pop_back();
  if (!keys_.empty() && now < keys_.front().made + lifetime_) return;
  Key key{{}, {}, {}, now};
  using Bytes = std::span<unsigned char>;
  for (const Bytes part : {Bytes(key.name), Bytes(key.cipher), Bytes(key.mac)}) {
    if (RAND_bytes(part.data(), static_cast<int>(part.size())) != 1) return;
  }
  keys_.insert(keys_.begin(), key);
}

std::optional<TlsTickets::Key> TlsTickets::current() {
  const std::lock_guard lock(mutex_);
  rotate();
  if (keys_.empty()) return std::nullopt;
  return keys_.front();
}

std::optional<TlsTickets::Found> TlsTickets::find(const unsigned char* name) {
  const std::lock_guard lock(mutex_);
  rotate();
  for (const Key& key : keys_) {
    if (std::memcmp(key.name.data(), name, key.name.size()) == 0) return Found{key, &key == &keys_.front()};
  }
  return std::nullopt;
}

Result<std::shared_ptr<TlsContext>> TlsContext::create(Options options) {
  auto out = std::shared_ptr<TlsContext>(new TlsContext());
  out->options_ = std::move(options);
  const TlsFiles& files = out->options_.files;
  out->context_ = SSL_CTX_new(TLS_server_method());
  SSL_CTX* context = out->context_;
  if (context == nullptr) return fail(ErrorCode::kInternal, openssl_error());
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_app_data(context, out.get());
  if (const auto& tickets = out->options_.tickets) {
    constexpr std::string_view kSessionContext = "fleetward";
    SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(kSessionContext.data()),
                                   kSessionContext.size());
    SSL_CTX_set_timeout(context, static_cast<long>(tickets->lifetime().count() / 1000));
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, ticket_key);
  } else {
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
  }
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (SSL_CTX_use_certificate_chain_file(context, files.certificate_chain_pem.c_str()) != 1) {
    return fail(ErrorCode::kInvalidArgument, files.certificate_chain_pem + ": " + openssl_error());
  }
  if (SSL_CTX_use_PrivateKey_file(context, files.private_key_pem.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return fail(ErrorCode::kInvalidArgument, files.private_key_pem + ": " + openssl_error());
  }
  const int when_required = out->options_.certificate_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | when_required, nullptr);
  SSL_CTX_set_cert_verify_callback(context, verify_certificate, out.get());
  SSL_CTX_set_alpn_select_cb(context, select_alpn, out.get());
  return out;
}

TlsContext::~TlsContext() {
  SSL_CTX_free(context_);
}

// A memory BIO would keep the largest piece that ever went through it, 16 KiB and more, with each connection.
const BIO_METHOD* TlsEngine::Wire::method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "fleetward");
    BIO_meth_set_read(made, [](BIO* bio, char* bytes, int size) {
      std::string_view& in = static_cast<Wire*>(BIO_get_data(bio))->in;
      BIO_clear_retry_flags(bio);
      if (in.empty()) {
        BIO_set_retry_read(bio);
        return -1;
      }
      const size_t taken = in.copy(bytes, static_cast<size_t>(size));
      in.remove_prefix(taken);
      return static_cast<int>(taken);
    });
    BIO_meth_set_write(made, [](BIO* bio, const char* bytes, int size) {
      static_cast<Wire*>(BIO_get_data(bio))->out.append(bytes, static_cast<size_t>(size));
      return size;
    });
    BIO_meth_set_ctrl(made,
                      [](BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1L : 0L; });
    return made;
  }();
  return method;
}

TlsEngine::TlsEngine(std::shared_ptr<TlsContext> context) : context_(std::move(context)) {
  ssl_ = SSL_new(context_->native());
  BIO* bio = BIO_new(Wire::method());
  if (ssl_ == nullptr || bio == nullptr) {
    BIO_free(bio);
    set_failed();
    return;
  }
  BIO_set_data(bio, &wire_);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
  SSL_set_accept_state(ssl_);
}

TlsEngine::~TlsEngine() {
  SSL_free(ssl_);
}

void TlsEngine::set_failed() {
  failure_ = openssl_error();
  state_ = State::kFailed;
}

bool TlsEngine::feed(std::string_view encrypted, std::string& plain) {
  if (state_ == State::kFailed || state_ == State::kClosed) return false;
  wire_.in = encrypted;
  const bool open = advance(plain);
  wire_.in = {};  // all of it was taken, or nothing more is wanted
  return open;
}

bool TlsEngine::resumed() const {
  return SSL_session_reused(ssl_) == 1;
}

// A resumed handshake looks at no certificate, and the one it stands for may have ended since.
bool TlsEngine::admit_again() {
  const TlsContext::Options& options = context_->options();
  X509* certificate = SSL_get0_peer_certificate(ssl_);
  bool good = !options.certificate_required;
  if (certificate != nullptr) {
    const PeerCertificate peer = describe(certificate);
    good = (!options.admit || options.admit(peer)) && peer.in_validity;
  }
  if (good) return true;
  failure_ = "the certificate of the resumed session is not good any more";
  state_ = State::kFailed;
  return false;
}

bool TlsEngine::advance(std::string& plain) {
  ERR_clear_error();
  if (state_ == State::kHandshake) {
    const int n = SSL_do_handshake(ssl_);
    if (n != 1) {
      const int error = SSL_get_error(ssl_, n);
      if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return true;
      set_failed();
      return false;
    }
    if (resumed() && !admit_again()) return false;
    state_ = State::kOpen;
    if (X509* certificate = SSL_get0_peer_certificate(ssl_); certificate != nullptr) {
      certificate_id_ = describe(certificate).id;
    }
  }
  std::array<char, 16 * 1024> chunk;
  while (true) {
    const int n = SSL_read(ssl_, chunk.data(), static_cast<int>(chunk.size()));
    if (n > 0) {
      plain.append(chunk.data(), static_cast<size_t>(n));
      continue;
    }
    const int error = SSL_get_error(ssl_, n);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return true;
    if (error == SSL_ERROR_ZERO_RETURN) {
      state_ = State::kClosed;
    } else {
      set_failed();
    }
    return false;
  }
}

bool TlsEngine::write(std::string_view plain) {
  if (state_ != State::kOpen) return false;
  ERR_clear_error();
  while (!plain.empty()) {
    const int n = SSL_write(ssl_, plain.data(), static_cast<int>(std::min<size_t>(plain.size(), 1 << 20)));
    if (n <= 0) {
      set_failed();
      return false;
    }
    plain.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

void TlsEngine::take_output(std::string& out) {
  if (out.empty()) {
    out.swap(wire_.out);
  } else {
    out.append(wire_.out);
  }
  wire_.out.clear();
}

void TlsEngine::shutdown() {
  if (state_ != State::kOpen) return;
  ERR_clear_error();
  SSL_shutdown(ssl_);
  state_ = State::kClosed;
}

std::string TlsEngine::server_name() const {
  const char* name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? std::string() : std::string(name);
}

}  // namespace fleetward
