#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <set>

#include "core/files.h"
#include "registry/pki.h"
#include "registry/x509.h"

namespace fleetward::registry {
namespace {

constexpr Duration kRenewBefore{30LL * 24 * 3600 * 1000};

// kNotFound if the file is not there; kCorrupt if it is empty.
Result<std::string> read_pem(const std::string& path) {
  auto text = read_file(path);
  if (text && text->empty()) return fail(ErrorCode::kCorrupt, path + ": empty");
  return text;
}

std::string canonical_name(const std::string& name) {
  std::array<unsigned char, 16> bytes;
  std::array<char, INET6_ADDRSTRLEN> out{};
  for (const int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, name.c_str(), bytes.data()) == 1) {
      return inet_ntop(family, bytes.data(), out.data(), out.size());
    }
  }
  return name;
}

std::set<std::string> names_of(const CertificateFacts& facts) {
  std::set<std::string> names;
  for (const char* field : {"AlternativeName.DNSName", "AlternativeName.IPAddress"}) {
    if (const auto it = facts.subject.find(field); it != facts.subject.end()) {
      names.insert(it->second.begin(), it->second.end());
    }
  }
  return names;
}

// The text after the first certificate of a chain file is the CA's.
bool server_is_good(const std::string& chain, const std::string& key, const std::string& authority,
                    const ServerNames& names, Timestamp until) {
  const auto facts = parse_certificate(chain);
  if (!facts || facts->not_after < until) return false;
  std::set<std::string> wanted;
  for (const std::string& name : names) wanted.insert(canonical_name(name));
  if (names_of(*facts) != wanted || !check_signed_by(chain, authority)) return false;
  const auto certificate = x509::read_certificate(chain);
  const auto private_key = x509::read_private_key(key);
  return certificate && private_key && X509_check_private_key(certificate->get(), private_key->get()) == 1;
}

Result<CertificateAuthority> open_authority(const std::string& directory, Random& random, Timestamp now) {
  const auto certificate = read_pem(directory + "/ca.pem");
  const auto key = read_pem(directory + "/ca.key");
  if (certificate && key) {
    auto loaded = CertificateAuthority::load(*certificate, *key);
    if (!loaded) return fail(ErrorCode::kCorrupt, directory + "/ca.pem, ca.key: " + loaded.error().message);
    return loaded;
  }
  for (const auto* file : {&certificate, &key}) {
    if (!*file && file->error().code != ErrorCode::kNotFound) return fail(file->error());
  }
  // The certificate is written last: a certificate without its key would mean that the key was lost, and
  // making a new CA then would silently cut off every client that trusts the old one.
  if (certificate) return fail(ErrorCode::kCorrupt, directory + "/ca.key is missing beside ca.pem");
  auto made = CertificateAuthority::create(random, now);
  if (!made) return made;
  if (auto ok = write_file(directory + "/ca.key", made->private_key_pem(), 0600); !ok)
    return fail(ok.error());
  if (auto ok = write_file(directory + "/ca.pem", made->certificate_pem(), 0644); !ok)
    return fail(ok.error());
  return made;
}

}  // namespace

Result<bool> renew_server(Pki& pki, const ServerNames& names, Random& random, Timestamp now,
                          Duration lifetime) {
  const auto chain = read_pem(pki.server.certificate_chain_path);
  const auto key = read_pem(pki.server.private_key_path);
  const std::string& authority = pki.authority.certificate_pem();
  const bool renewed =
      !chain || !key ||
      !server_is_good(*chain, *key, authority, names, now + std::min(kRenewBefore, lifetime / 3));
  std::string pem = chain.value_or("");
  if (renewed) {
    auto issued = pki.authority.issue_server(names, random, now, lifetime);
    if (!issued) return fail(issued.error());
    pem = issued->certificate_pem + authority;
    if (auto ok = write_file(pki.server.private_key_path, issued->private_key_pem, 0600); !ok)
      return fail(ok.error());
    if (auto ok = write_file(pki.server.certificate_chain_path, pem, 0644); !ok) return fail(ok.error());
  }
  const auto facts = parse_certificate(pem);
  if (!facts) return fail(facts.error());
  pki.server_not_after = facts->not_after;
  return renewed;
}

Result<Pki> open_pki(const std::string& directory, const ServerNames& names, Random& random, Timestamp now,
                     Duration lifetime) {
  if (auto ok = make_directory(directory, 0700); !ok) return fail(ok.error());
  auto authority = open_authority(directory, random, now);
  if (!authority) return fail(authority.error());

  Pki pki{std::move(*authority),
          directory + "/ca.pem",
          ServerFiles{directory + "/server.pem", directory + "/server.key"},
          {}};
  if (auto renewed = renew_server(pki, names, random, now, lifetime); !renewed) return fail(renewed.error());
  return pki;
}

}  // namespace fleetward::registry
