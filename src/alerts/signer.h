#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/random.h"
#include "core/result.h"
#include "core/time.h"

namespace fleetward::alerts {

// The RSA key that signs notifications and its self-issued certificate. Thread safe.
class Signer {
 public:
  // Loads <directory>/signing.key and signing.pem, or makes them (the key 0600; takes a good part of a
  // second). `host` is the certificate's name, "sns.<region>.amazonaws.com". kUnavailable: the directory
  // cannot be written; kNotFound: one file of
  // the two is missing; kCorrupt: they do not fit together.
  static Result<std::unique_ptr<Signer>> open(const std::string& directory, const std::string& host,
                                              Random& random, Timestamp now);
  ~Signer();

  // Base64 of the PKCS#1 v1.5 signature: version "1" with SHA-1, "2" with SHA-256.
  std::string sign(std::string_view text, std::string_view version) const;
  const std::string& certificate_pem() const;
  // "/SimpleNotificationService-<32 hex>.pem": where the API serves certificate_pem().
  const std::string& certificate_path() const;

 private:
  struct Key;
  explicit Signer(std::unique_ptr<Key> key);
  std::unique_ptr<Key> key_;
};

}  // namespace fleetward::alerts
