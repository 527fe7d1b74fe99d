#pragma once

#include <memory>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/time.h"
#include "registry/types.h"

// OpenSSL behind owning pointers, for the pki_*.cc files only.
namespace fleetward::registry::x509 {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Freer<X509_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, Freer<X509_REQ_free>>;
using NamePtr = std::unique_ptr<X509_NAME, Freer<X509_NAME_free>>;

// The oldest error of OpenSSL's queue as text ("no error" if none), leaving the queue empty.
std::string take_error();

BioPtr reader(std::string_view text);
// A BIO that collects what is written; text() reads it back.
BioPtr writer();
std::string text(BIO* bio);

Result<CertificatePtr> read_certificate(std::string_view pem);
Result<KeyPtr> read_private_key(std::string_view pem);
Result<CertificateFacts> facts_of(X509* certificate);
Result<std::string> to_pem(X509* certificate);

}  // namespace fleetward::registry::x509
