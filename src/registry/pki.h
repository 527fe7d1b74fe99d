#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/random.h"
#include "core/result.h"
#include "core/time.h"
#include "registry/types.h"

// X.509: the certificate authority of the data directory, device keys and certificates, and reading what
// clients send. OpenSSL stays in pki.cc. All functions are thread safe; making an RSA key takes a good part
// of a second, so call from a worker thread.
namespace fleetward::registry {

inline constexpr size_t kPemBytesMax = 64 * 1024;

// Exactly one certificate in PEM (text before and after is ignored). kLimitExceeded over kPemBytesMax,
// kMalformed if it is not one.
Result<CertificateFacts> parse_certificate(std::string_view pem);
// The same from the DER form (a TLS peer's certificate).
Result<CertificateFacts> parse_certificate_der(std::string_view der);
// The first certificate of the text, printed anew: what is stored and shown.
Result<std::string> normalize_certificate(std::string_view pem);
// Checks that `authority_pem`'s key signed `pem`. kInvalidArgument if not.
Status check_signed_by(std::string_view pem, std::string_view authority_pem);

enum class KeyType {
  kP256,     // PKCS#8 "PRIVATE KEY"
  kRsa2048,  // PKCS#1 "RSA PRIVATE KEY", as the service gives
};

struct IssuedDevice {
  std::string certificate_pem;
  std::string private_key_pem, public_key_pem;  // empty if the key was the caller's
};

// Subject names of a server certificate: DNS names or IP addresses.
using ServerNames = std::vector<std::string>;

// What browsers accept.
inline constexpr Duration kServerLifetime{397LL * 24 * 3600 * 1000};

struct ServerFiles {
  std::string certificate_chain_path;  // server certificate, then the CA
  std::string private_key_path;
};

class CertificateAuthority {
 public:
  // A fresh P-256 CA, self-signed, valid as long as the device certificates it signs.
  static Result<CertificateAuthority> create(Random& random, Timestamp now);
  static Result<CertificateAuthority> load(std::string_view certificate_pem,
                                           std::string_view private_key_pem);
  CertificateAuthority(CertificateAuthority&&) noexcept;
  CertificateAuthority& operator=(CertificateAuthority&&) noexcept;
  ~CertificateAuthority();

  const std::string& certificate_pem() const;
  const std::string& private_key_pem() const;
  // Subject CN "AWS IoT Certificate", valid until 2049-12-31T23:59:59Z, as the service's are.
  Result<IssuedDevice> issue_device(KeyType key, Random& random, Timestamp now) const;
  // The subject and key of the request; RSA of 2048 bits or more, EC P-256, P-384 or P-521, and a good
  // signature, else kInvalidArgument. Each call gives another serial number, so another certificate.
  Result<IssuedDevice> issue_from_request(std::string_view csr_pem, Random& random, Timestamp now) const;
  // P-256. At least one name.
  Result<IssuedDevice> issue_server(const ServerNames& names, Random& random, Timestamp now,
                                    Duration lifetime) const;

 private:
  struct Impl;
  explicit CertificateAuthority(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The files of <data directory>/pki: ca.pem, ca.key, server.pem, server.key. Keys are 0600.
struct Pki {
  CertificateAuthority authority;
  std::string authority_certificate_path;
  ServerFiles server;
  Timestamp server_not_after;
};

// Makes what is missing, and does what renew_server() does. kCorrupt: a file is there but is not what it
// should be.
Result<Pki> open_pki(const std::string& directory, const ServerNames& names, Random& random, Timestamp now,
                     Duration lifetime = kServerLifetime);

// Issues the server certificate again when `names` differ from those it holds, when it has less than 30 days
// or a third of `lifetime` left, or when another CA signed it: true if it did. Whoever has read the files
// has to read them again then.
Result<bool> renew_server(Pki& pki, const ServerNames& names, Random& random, Timestamp now,
                          Duration lifetime);

}  // namespace fleetward::registry
