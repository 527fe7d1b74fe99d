#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <sys/stat.h>

#include <fcntl.h>
#include <unistd.h>

#include "registry/pki.h"
#include "registry/x509.h"

namespace fleetward::registry {
namespace {

constexpr Duration kRenewBefore{Duration{30LL * 24 * 3600 * 1000}};

std::string errno_text(const std::string& what) {
  return what + ": " + std::strerror(errno);
}

// Whole or not at all: a crash leaves the old file or the new one.
Status write_file(const std::string& path, const std::string& text, mode_t mode) {
  const std::string temporary = path + ".new";
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (file < 0) return fail(ErrorCode::kUnavailable, errno_text(temporary));
  const bool written = ::fchmod(file, mode) == 0 &&
                       ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       ::fsync(file) == 0;
  const std::string reason = written ? "" : errno_text(temporary);
  ::close(file);
  if (!written) return fail(ErrorCode::kUnavailable, reason);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail(ErrorCode::kUnavailable, errno_text(path));
  return {};
}

// kNotFound if the file is not there.
Result<std::string> read_file(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return fail(ErrorCode::kNotFound, path + ": no such file");
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in || text.str().empty()) return fail(ErrorCode::kCorrupt, path + ": empty or not readable");
  return text.str();
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
                    const ServerNames& names, Timestamp now) {
  const auto facts = parse_certificate(chain);
  if (!facts || facts->not_after < now + kRenewBefore) return false;
  std::set<std::string> wanted;
  for (const std::string& name : names) wanted.insert(canonical_name(name));
  if (names_of(*facts) != wanted || !check_signed_by(chain, authority)) return false;
  const auto certificate = x509::read_certificate(chain);
  const auto private_key = x509::read_private_key(key);
  return certificate && private_key && X509_check_private_key(certificate->get(), private_key->get()) == 1;
}

Result<CertificateAuthority> open_authority(const std::string& directory, Random& random, Timestamp now) {
  const auto certificate = read_file(directory + "/ca.pem");
  const auto key = read_file(directory + "/ca.key");
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

Result<Pki> open_pki(const std::string& directory, const ServerNames& names, Random& random, Timestamp now) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return fail(ErrorCode::kUnavailable, directory + ": " + error.message());
  ::chmod(directory.c_str(), 0700);
  auto authority = open_authority(directory, random, now);
  if (!authority) return fail(authority.error());

  const std::string chain_path = directory + "/server.pem", key_path = directory + "/server.key";
  const auto chain = read_file(chain_path);
  const auto key = read_file(key_path);
  if (!chain || !key || !server_is_good(*chain, *key, authority->certificate_pem(), names, now)) {
    auto issued = authority->issue_server(names, random, now);
    if (!issued) return fail(issued.error());
    if (auto ok = write_file(key_path, issued->private_key_pem, 0600); !ok) return fail(ok.error());
    if (auto ok = write_file(chain_path, issued->certificate_pem + authority->certificate_pem(), 0644); !ok) {
      return fail(ok.error());
    }
  }
  return Pki{std::move(*authority), directory + "/ca.pem", ServerFiles{chain_path, key_path}};
}

}  // namespace fleetward::registry
