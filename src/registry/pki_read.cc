#include <arpa/inet.h>
#include <array>
#include <ctime>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "core/encoding.h"
#include "registry/pki.h"
#include "registry/x509.h"

namespace fleetward::registry {
namespace x509 {

std::string take_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "no error";
  std::array<char, 256> buffer;
  ERR_error_string_n(code, buffer.data(), buffer.size());
  return buffer.data();
}

BioPtr reader(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

BioPtr writer() {
  return BioPtr(BIO_new(BIO_s_mem()));
}

std::string text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<size_t>(size)) : std::string();
}

Result<CertificatePtr> read_certificate(std::string_view pem) {
  if (pem.size() > kPemBytesMax) {
    return fail(ErrorCode::kLimitExceeded, "a certificate has at most 65536 characters");
  }
  // No password is ever asked for: the callback answers "none".
  const auto no_password = [](char*, int, int, void*) { return 0; };
  CertificatePtr certificate(PEM_read_bio_X509(reader(pem).get(), nullptr, no_password, nullptr));
  if (!certificate) {
    return fail(ErrorCode::kMalformed, "the text is not a PEM certificate: " + take_error());
  }
  ERR_clear_error();
  return certificate;
}

Result<KeyPtr> read_private_key(std::string_view pem) {
  if (pem.size() > kPemBytesMax) return fail(ErrorCode::kLimitExceeded, "the key file is too large");
  const auto no_password = [](char*, int, int, void*) { return 0; };
  KeyPtr key(PEM_read_bio_PrivateKey(reader(pem).get(), nullptr, no_password, nullptr));
  if (!key) return fail(ErrorCode::kMalformed, "the text is not a PEM private key: " + take_error());
  return key;
}

Result<std::string> to_pem(X509* certificate) {
  BioPtr out = writer();
  if (PEM_write_bio_X509(out.get(), certificate) != 1) return fail(ErrorCode::kInternal, take_error());
  return text(out.get());
}

namespace {

constexpr size_t kFieldValuesMax = 100;  // of one field; policies see fewer

struct FieldName {
  int nid;
  const char* name;
};
constexpr std::array kSubjectFields = {
    FieldName{NID_dnQualifier, "DistinguishedNameQualifier"},
    FieldName{NID_countryName, "Country"},
    FieldName{NID_organizationName, "Organization"},
    FieldName{NID_organizationalUnitName, "OrganizationalUnit"},
    FieldName{NID_stateOrProvinceName, "State"},
    FieldName{NID_commonName, "CommonName"},
    FieldName{NID_serialNumber, "SerialNumber"},
    FieldName{NID_title, "Title"},
    FieldName{NID_surname, "Surname"},
    FieldName{NID_givenName, "GivenName"},
    FieldName{NID_initials, "Initials"},
    FieldName{NID_pseudonym, "Pseudonym"},
    FieldName{NID_generationQualifier, "GenerationQualifier"},
};

void add_value(CertificateFields& fields, const std::string& name, std::string value) {
  if (value.find('\0') != std::string::npos || !is_utf8(value)) return;  // never what it seems to say
  auto& values = fields[name];
  if (values.size() < kFieldValuesMax) values.push_back(std::move(value));
}

void read_name(const X509_NAME* name, CertificateFields& fields) {
  for (const FieldName& field : kSubjectFields) {
    int at = -1;
    while ((at = X509_NAME_get_index_by_NID(name, field.nid, at)) >= 0) {
      const ASN1_STRING* data = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
      unsigned char* utf8 = nullptr;
      const int size = ASN1_STRING_to_UTF8(&utf8, data);
      if (size < 0) continue;
      add_value(fields, field.name, std::string(reinterpret_cast<char*>(utf8), static_cast<size_t>(size)));
      OPENSSL_free(utf8);
    }
  }
}

std::string ascii(const ASN1_STRING* value) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
          static_cast<size_t>(ASN1_STRING_length(value))};
}

std::string address(const ASN1_OCTET_STRING* value) {
  const int family = ASN1_STRING_length(value) == 4 ? AF_INET : AF_INET6;
  if (family == AF_INET6 && ASN1_STRING_length(value) != 16) return {};
  std::array<char, INET6_ADDRSTRLEN> out{};
  return inet_ntop(family, ASN1_STRING_get0_data(value), out.data(), out.size()) == nullptr ? std::string()
                                                                                            : out.data();
}

void read_alternatives(X509* certificate, int nid, CertificateFields& fields) {
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, nid, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_EMAIL) {
      add_value(fields, "AlternativeName.RFC822Name", ascii(name->d.rfc822Name));
    } else if (name->type == GEN_DNS) {
      add_value(fields, "AlternativeName.DNSName", ascii(name->d.dNSName));
    } else if (name->type == GEN_URI) {
      add_value(fields, "AlternativeName.UniformResourceIdentifier",
                ascii(name->d.uniformResourceIdentifier));
    } else if (name->type == GEN_IPADD) {
      std::string text_form = address(name->d.iPAddress);
      if (!text_form.empty()) add_value(fields, "AlternativeName.IPAddress", std::move(text_form));
    } else if (name->type == GEN_DIRNAME) {
      BioPtr out = writer();
      X509_NAME_print_ex(out.get(), name->d.directoryName, 0, XN_FLAG_RFC2253);
      add_value(fields, "AlternativeName.DirectoryName", text(out.get()));
    }
  }
  sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
}

Timestamp to_timestamp(const ASN1_TIME* time) {
  std::tm broken{};
  if (ASN1_TIME_to_tm(time, &broken) != 1) return {};
  return {static_cast<int64_t>(timegm(&broken)) * 1000};
}

std::string serial_of(const X509* certificate) {
  BIGNUM* number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr);
  if (number == nullptr) return {};
  char* decimal = BN_bn2dec(number);
  std::string out = decimal == nullptr ? std::string() : decimal;
  OPENSSL_free(decimal);
  BN_free(number);
  return out;
}

}  // namespace

Result<CertificateFacts> facts_of(X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  if (size <= 0) return fail(ErrorCode::kMalformed, "the certificate has no DER form: " + take_error());
  const std::string fingerprint = sha256_hex({reinterpret_cast<const char*>(der), static_cast<size_t>(size)});
  OPENSSL_free(der);

  CertificateFacts facts;
  facts.id = CertificateId::trusted(fingerprint);
  facts.not_before = to_timestamp(X509_get0_notBefore(certificate));
  facts.not_after = to_timestamp(X509_get0_notAfter(certificate));
  facts.serial_number = serial_of(certificate);
  read_name(X509_get_subject_name(certificate), facts.subject);
  read_name(X509_get_issuer_name(certificate), facts.issuer);
  read_alternatives(certificate, NID_subject_alt_name, facts.subject);
  read_alternatives(certificate, NID_issuer_alt_name, facts.issuer);
  facts.is_authority = X509_check_ca(certificate) == 1;
  ERR_clear_error();
  return facts;
}

}  // namespace x509

Result<CertificateFacts> parse_certificate(std::string_view pem) {
  auto certificate = x509::read_certificate(pem);
  if (!certificate) return fail(certificate.error());
  return x509::facts_of(certificate->get());
}

Result<CertificateFacts> parse_certificate_der(std::string_view der) {
  if (der.size() > kPemBytesMax) return fail(ErrorCode::kLimitExceeded, "the certificate is too large");
  const auto* begin = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* at = begin;
  x509::CertificatePtr certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (!certificate || at != begin + der.size()) {
    return fail(ErrorCode::kMalformed, "the bytes are not a DER certificate: " + x509::take_error());
  }
  return x509::facts_of(certificate.get());
}

Result<std::string> normalize_certificate(std::string_view pem) {
  auto certificate = x509::read_certificate(pem);
  if (!certificate) return fail(certificate.error());
  return x509::to_pem(certificate->get());
}

Status check_signed_by(std::string_view pem, std::string_view authority_pem) {
  auto certificate = x509::read_certificate(pem);
  if (!certificate) return fail(certificate.error());
  auto authority = x509::read_certificate(authority_pem);
  if (!authority) return fail(authority.error());
  const bool issued = X509_check_issued(authority->get(), certificate->get()) == X509_V_OK &&
                      X509_verify(certificate->get(), X509_get0_pubkey(authority->get())) == 1;
  ERR_clear_error();
  if (!issued) {
    return fail(ErrorCode::kInvalidArgument, "the CA certificate did not sign the certificate");
  }
  return {};
}

}  // namespace fleetward::registry
