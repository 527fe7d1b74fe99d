#include "registry/pki.h"

#include <arpa/inet.h>
#include <array>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "core/encoding.h"
#include "registry/x509.h"

namespace fleetward::registry {

using x509::CertificatePtr;
using x509::KeyPtr;
using x509::take_error;

namespace {

constexpr Timestamp kEndOfDeviceCertificates{2524607999000};  // 2049-12-31T23:59:59Z, as the service's
constexpr Duration kClockSkew{24 * 3600 * 1000};              // devices' clocks may be behind
constexpr int kRsaBitsMin = 2048;

// What distinguishes the certificates we make.
struct Template {
  std::string subject_common_name;
  std::string organization;
  Timestamp not_before, not_after;
  bool authority = false;
  std::string key_usage, extended_key_usage, alternative_names;  // OpenSSL's configuration syntax
};

Status add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  if (value.empty()) return {};
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (extension == nullptr) return fail(ErrorCode::kInternal, "certificate extension: " + take_error());
  const int added = X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  if (added != 1) return fail(ErrorCode::kInternal, "certificate extension: " + take_error());
  return {};
}

void set_serial(X509* certificate, Random& random) {
  std::string bytes = random.bytes(16);
  bytes[0] = static_cast<char>((static_cast<unsigned char>(bytes[0]) & 0x7f) | 0x40);  // positive, 16 bytes
  BIGNUM* number = BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()),
                             static_cast<int>(bytes.size()), nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
  BN_free(number);
}

bool add_entry(X509_NAME* name, const char* field, const std::string& value) {
  return value.empty() || X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                                     reinterpret_cast<const unsigned char*>(value.data()),
                                                     static_cast<int>(value.size()), -1, 0) == 1;
}

// `issuer` null: self-signed. `subject` replaces the template's names if given (a request's).
Result<CertificatePtr> sign(const Template& form, EVP_PKEY* subject_key, const X509_NAME* subject,
                            X509* issuer, EVP_PKEY* issuer_key, Random& random) {
  CertificatePtr certificate(X509_new());
  if (!certificate) return fail(ErrorCode::kInternal, take_error());
  X509* const c = certificate.get();
  X509_set_version(c, X509_VERSION_3);
  set_serial(c, random);
  ASN1_TIME_set(X509_getm_notBefore(c), static_cast<time_t>(form.not_before.ms / 1000));
  ASN1_TIME_set(X509_getm_notAfter(c), static_cast<time_t>(form.not_after.ms / 1000));
  bool ok = true;
  if (subject != nullptr) {
    ok = X509_set_subject_name(c, subject) == 1;
  } else {
    X509_NAME* name = X509_get_subject_name(c);
    ok = add_entry(name, "O", form.organization) && add_entry(name, "CN", form.subject_common_name);
  }
  ok = ok && X509_set_issuer_name(c, X509_get_subject_name(issuer == nullptr ? c : issuer)) == 1 &&
       X509_set_pubkey(c, subject_key) == 1;
  if (!ok) return fail(ErrorCode::kInternal, "certificate: " + take_error());

  X509* const signer = issuer == nullptr ? c : issuer;
  const std::array<std::pair<int, std::string>, 6> extensions = {{
      {NID_basic_constraints, form.authority ? "critical,CA:TRUE" : "critical,CA:FALSE"},
      {NID_key_usage, form.key_usage},
      {NID_ext_key_usage, form.extended_key_usage},
      {NID_subject_key_identifier, "hash"},
      {NID_authority_key_identifier, "keyid:always"},
      {NID_subject_alt_name, form.alternative_names},
  }};
  for (const auto& [nid, value] : extensions) {
    if (auto added = add_extension(c, signer, nid, value); !added) return fail(added.error());
  }
  if (X509_sign(c, issuer_key, EVP_sha256()) == 0) return fail(ErrorCode::kInternal, take_error());
  return certificate;
}

Result<KeyPtr> make_key(KeyType type) {
  KeyPtr key(type == KeyType::kP256 ? EVP_EC_gen("P-256") : EVP_RSA_gen(kRsaBitsMin));
  if (!key) return fail(ErrorCode::kInternal, "key generation: " + take_error());
  return key;
}

Result<std::string> private_pem(EVP_PKEY* key) {
  x509::BioPtr out = x509::writer();
  // RSA keys in the form the service hands out, which some device libraries insist on.
  const int ok =
      EVP_PKEY_is_a(key, "RSA") == 1
          ? PEM_write_bio_PrivateKey_traditional(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr)
          : PEM_write_bio_PKCS8PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  if (ok != 1) return fail(ErrorCode::kInternal, take_error());
  return x509::text(out.get());
}

Result<std::string> public_pem(EVP_PKEY* key) {
  x509::BioPtr out = x509::writer();
  if (PEM_write_bio_PUBKEY(out.get(), key) != 1) return fail(ErrorCode::kInternal, take_error());
  return x509::text(out.get());
}

Result<IssuedDevice> with_key(X509* certificate, EVP_PKEY* key) {
  auto certificate_pem = x509::to_pem(certificate);
  if (!certificate_pem) return fail(certificate_pem.error());
  IssuedDevice out{std::move(*certificate_pem), {}, {}};
  if (key == nullptr) return out;
  auto private_text = private_pem(key);
  auto public_text = public_pem(key);
  if (!private_text) return fail(private_text.error());
  if (!public_text) return fail(public_text.error());
  out.private_key_pem = std::move(*private_text);
  out.public_key_pem = std::move(*public_text);
  return out;
}

Template device_template(bool rsa, Timestamp now) {
  return {"AWS IoT Certificate",
          "",
          now - Duration{120'000},
          kEndOfDeviceCertificates,
          false,
          rsa ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature",
          "clientAuth",
          ""};
}

// The rules of CreateCertificateFromCsr for keys.
Status check_request_key(EVP_PKEY* key) {
  if (key == nullptr) return fail(ErrorCode::kInvalidArgument, "the request holds no usable public key");
  if (EVP_PKEY_is_a(key, "RSA") == 1) {
    if (EVP_PKEY_get_bits(key) >= kRsaBitsMin && EVP_PKEY_get_bits(key) <= 8192) return {};
    return fail(ErrorCode::kInvalidArgument, "an RSA key has between 2048 and 8192 bits");
  }
  std::array<char, 64> group{};
  size_t size = 0;
  if (EVP_PKEY_is_a(key, "EC") == 1 && EVP_PKEY_get_group_name(key, group.data(), group.size(), &size) == 1) {
    const std::string_view name(group.data(), size);
    if (name == "prime256v1" || name == "secp384r1" || name == "secp521r1") return {};
  }
  return fail(
      ErrorCode::kInvalidArgument,
      "the key of a certificate request is RSA with 2048 bits or more, or EC on P-256, P-384 or P-521");
}

Result<std::string> alternative_names(const ServerNames& names) {
  std::string out;
  for (const std::string& name : names) {
    std::array<unsigned char, 16> bytes;
    const bool address = inet_pton(AF_INET, name.c_str(), bytes.data()) == 1 ||
                         inet_pton(AF_INET6, name.c_str(), bytes.data()) == 1;
    // The names go into OpenSSL's configuration syntax: only what a host name may hold.
    if (name.empty() ||
        name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.*:_") !=
            std::string::npos ||
        (!address && name.find(':') != std::string::npos)) {
      return fail(ErrorCode::kInvalidArgument, "not a host name or an IP address: '" + name + "'");
    }
    out += (out.empty() ? "" : ",") + std::string(address ? "IP:" : "DNS:") + name;
  }
  if (out.empty()) return fail(ErrorCode::kInvalidArgument, "a server certificate needs a name");
  return out;
}

}  // namespace

struct CertificateAuthority::Impl {
  CertificatePtr certificate;
  KeyPtr key;
  std::string certificate_text;
  std::string key_text;
};

CertificateAuthority::CertificateAuthority(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CertificateAuthority::CertificateAuthority(CertificateAuthority&&) noexcept = default;
CertificateAuthority& CertificateAuthority::operator=(CertificateAuthority&&) noexcept = default;
CertificateAuthority::~CertificateAuthority() = default;

const std::string& CertificateAuthority::certificate_pem() const {
  return impl_->certificate_text;
}
const std::string& CertificateAuthority::private_key_pem() const {
  return impl_->key_text;
}

Result<CertificateAuthority> CertificateAuthority::create(Random& random, Timestamp now) {
  auto key = make_key(KeyType::kP256);
  if (!key) return fail(key.error());
  // The suffix tells the authorities of several installations apart in one trust store.
  const Template form{"Fleetward CA " + to_hex(random.bytes(4)),
                      "Fleetward",
                      now - kClockSkew,
                      kEndOfDeviceCertificates,
                      true,
                      "critical,keyCertSign,cRLSign,digitalSignature",
                      "",
                      ""};
  auto certificate = sign(form, key->get(), nullptr, nullptr, key->get(), random);
  if (!certificate) return fail(certificate.error());
  auto certificate_text = x509::to_pem(certificate->get());
  if (!certificate_text) return fail(certificate_text.error());
  auto key_text = ::fleetward::registry::private_pem(key->get());
  if (!key_text) return fail(key_text.error());
  return CertificateAuthority(std::make_unique<Impl>(
      Impl{std::move(*certificate), std::move(*key), std::move(*certificate_text), std::move(*key_text)}));
}

Result<CertificateAuthority> CertificateAuthority::load(std::string_view certificate_pem,
                                                        std::string_view private_key_pem) {
  auto certificate = x509::read_certificate(certificate_pem);
  if (!certificate) return fail(certificate.error());
  auto key = x509::read_private_key(private_key_pem);
  if (!key) return fail(key.error());
  if (X509_check_private_key(certificate->get(), key->get()) != 1) {
    take_error();
    return fail(ErrorCode::kInvalidArgument, "the private key does not belong to the CA certificate");
  }
  if (X509_check_ca(certificate->get()) != 1) {
    return fail(ErrorCode::kInvalidArgument, "the certificate is not that of a certificate authority");
  }
  return CertificateAuthority(std::make_unique<Impl>(Impl{
      std::move(*certificate), std::move(*key), std::string(certificate_pem), std::string(private_key_pem)}));
}

Result<IssuedDevice> CertificateAuthority::issue_device(KeyType type, Random& random, Timestamp now) const {
  auto key = make_key(type);
  if (!key) return fail(key.error());
  auto certificate = sign(device_template(type == KeyType::kRsa2048, now), key->get(), nullptr,
                          impl_->certificate.get(), impl_->key.get(), random);
  if (!certificate) return fail(certificate.error());
  return with_key(certificate->get(), key->get());
}

Result<IssuedDevice> CertificateAuthority::issue_from_request(std::string_view csr_pem, Random& random,
                                                              Timestamp now) const {
  if (csr_pem.size() > kPemBytesMax) {
    return fail(ErrorCode::kLimitExceeded, "a certificate request has at most 65536 characters");
  }
  const auto no_password = [](char*, int, int, void*) { return 0; };
  x509::RequestPtr request(PEM_read_bio_X509_REQ(x509::reader(csr_pem).get(), nullptr, no_password, nullptr));
  if (!request) {
    return fail(ErrorCode::kMalformed, "the text is not a PEM certificate request: " + take_error());
  }
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (auto good = check_request_key(key); !good) return fail(good.error());
  if (X509_REQ_verify(request.get(), key) != 1) {
    take_error();
    return fail(ErrorCode::kInvalidArgument, "the certificate request's signature does not verify");
  }
  auto certificate =
      sign(device_template(EVP_PKEY_is_a(key, "RSA") == 1, now), key,
           X509_REQ_get_subject_name(request.get()), impl_->certificate.get(), impl_->key.get(), random);
  if (!certificate) return fail(certificate.error());
  return with_key(certificate->get(), nullptr);
}

Result<IssuedDevice> CertificateAuthority::issue_server(const ServerNames& names, Random& random,
                                                        Timestamp now, Duration lifetime) const {
  auto alternatives = alternative_names(names);
  if (!alternatives) return fail(alternatives.error());
  auto key = make_key(KeyType::kP256);
  if (!key) return fail(key.error());
  const Template form{names.front().size() <= 64 ? names.front() : "fleetward",
                      "Fleetward",
                      now - kClockSkew,
                      now + lifetime,
                      false,
                      "critical,digitalSignature",
                      "serverAuth",
                      *alternatives};
  auto certificate = sign(form, key->get(), nullptr, impl_->certificate.get(), impl_->key.get(), random);
  if (!certificate) return fail(certificate.error());
  return with_key(certificate->get(), key->get());
}

}  // namespace fleetward::registry
