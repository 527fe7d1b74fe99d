#include "alerts/signer.h"

#include <cstring>
#include <filesystem>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/encoding.h"
#include "core/files.h"

namespace fleetward::alerts {
namespace {

constexpr long kValidSeconds = 10L * 365 * 24 * 3600;

struct Free {
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(EVP_MD_CTX* p) const { EVP_MD_CTX_free(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(length)};
}

Owned<X509> self_issue(EVP_PKEY* key, const std::string& host, Random& random, Timestamp now) {
  Owned<X509> certificate(X509_new());
  X509* x = certificate.get();
  X509_set_version(x, 2);
  const std::string serial = random.bytes(8);
  uint64_t number = 0;
  std::memcpy(&number, serial.data(), sizeof number);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), number >> 1);
  time_t start = static_cast<time_t>(now.ms / 1000) - 60;
  X509_time_adj_ex(X509_getm_notBefore(x), 0, 0, &start);
  X509_time_adj_ex(X509_getm_notAfter(x), 0, kValidSeconds, &start);
  X509_set_pubkey(x, key);
  X509_NAME* name = X509_get_subject_name(x);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(host.data()),
                             static_cast<int>(host.size()), -1, 0);
  X509_set_issuer_name(x, name);
  const std::string names = "DNS:" + host;
  X509_EXTENSION* alternative = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str());
  if (alternative != nullptr) {
    X509_add_ext(x, alternative, -1);
    X509_EXTENSION_free(alternative);
  }
  if (X509_sign(x, key, EVP_sha256()) == 0) return nullptr;
  return certificate;
}

}  // namespace

struct Signer::Key {
  Owned<EVP_PKEY> key;
  std::string certificate_pem, certificate_path;
};

Signer::Signer(std::unique_ptr<Key> key) : key_(std::move(key)) {}
Signer::~Signer() = default;
const std::string& Signer::certificate_pem() const {
  return key_->certificate_pem;
}
const std::string& Signer::certificate_path() const {
  return key_->certificate_path;
}

Result<std::unique_ptr<Signer>> Signer::open(const std::string& directory, const std::string& host,
                                             Random& random, Timestamp now) {
  if (auto ok = make_directory(directory, 0700); !ok) return fail(ok.error());
  const std::string key_path = directory + "/signing.key", certificate_path = directory + "/signing.pem";
  if (!std::filesystem::exists(certificate_path)) {
    const Owned<EVP_PKEY> made(EVP_RSA_gen(2048));
    if (!made) return fail(ErrorCode::kInternal, "cannot make an RSA key");
    const auto certificate = self_issue(made.get(), host, random, now);
    if (!certificate) return fail(ErrorCode::kInternal, "cannot issue the signing certificate");
    const Owned<BIO> key_text(BIO_new(BIO_s_mem())), certificate_text(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(key_text.get(), made.get(), nullptr, nullptr, 0, nullptr, nullptr);
    PEM_write_bio_X509(certificate_text.get(), certificate.get());
    // The certificate last: it tells that the key is whole.
    if (auto ok = write_file(key_path, text_of(key_text.get()), 0600); !ok) return fail(ok.error());
    if (auto ok = write_file(certificate_path, text_of(certificate_text.get()), 0644); !ok)
      return fail(ok.error());
  }
  auto out = std::make_unique<Key>();
  const auto key_pem = read_file(key_path);
  auto certificate_pem = read_file(certificate_path);
  if (!key_pem) return fail(key_pem.error());
  if (!certificate_pem) return fail(certificate_pem.error());
  out->certificate_pem = std::move(*certificate_pem);
  const Owned<BIO> key_bio(BIO_new_mem_buf(key_pem->data(), static_cast<int>(key_pem->size())));
  const Owned<BIO> certificate_bio(
      BIO_new_mem_buf(out->certificate_pem.data(), static_cast<int>(out->certificate_pem.size())));
  out->key.reset(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr));
  const Owned<X509> certificate(PEM_read_bio_X509(certificate_bio.get(), nullptr, nullptr, nullptr));
  if (!out->key || !certificate || X509_check_private_key(certificate.get(), out->key.get()) != 1) {
    return fail(ErrorCode::kCorrupt,
                "the signing key and certificate in " + directory + " do not fit together");
  }
  out->certificate_path =
      "/SimpleNotificationService-" + sha256_hex(out->certificate_pem).substr(0, 32) + ".pem";
  return std::unique_ptr<Signer>(new Signer(std::move(out)));
}

std::string Signer::sign(std::string_view text, std::string_view version) const {
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  const EVP_MD* digest = version == "2" ? EVP_sha256() : EVP_sha1();
  size_t length = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  if (EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, key_->key.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &length, bytes, text.size()) != 1) {
    return {};
  }
  std::string out(length, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &length, bytes,
                     text.size()) != 1) {
    return {};
  }
  out.resize(length);
  return to_base64(out);
}

}  // namespace fleetward::alerts
