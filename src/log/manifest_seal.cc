#include "log/manifest_seal.h"

#include <cstdio>
#include <fstream>
#include <optional>
#include <vector>

#include <rocksdb/db.h>

#include "core/files.h"
#include "core/text.h"

namespace fleetward::log {
namespace {

constexpr std::string_view kManifest = "MANIFEST-";

std::optional<uint64_t> number_of(std::string_view name) {
  if (name.starts_with('/')) name.remove_prefix(1);
  if (name.ends_with('\n')) name.remove_suffix(1);
  if (!name.starts_with(kManifest)) return std::nullopt;
  return parse_number<uint64_t>(name.substr(kManifest.size()));
}

// FNV-1a of the file's first `bytes`; nullopt if it is shorter.
std::optional<uint64_t> hash_of(const std::string& path, uint64_t bytes) {
  std::ifstream in(path, std::ios::binary);
  std::vector<char> buffer(64 * 1024);
  uint64_t hash = 0xcbf29ce484222325;
  while (bytes > 0) {
    const auto wanted = static_cast<std::streamsize>(std::min<uint64_t>(bytes, buffer.size()));
    if (!in.read(buffer.data(), wanted)) return std::nullopt;
    for (std::streamsize i = 0; i < wanted; ++i) {
      hash = (hash ^ static_cast<uint8_t>(buffer[static_cast<size_t>(i)])) * 0x100000001b3;
    }
    bytes -= static_cast<uint64_t>(wanted);
  }
  return hash;
}

}  // namespace

std::string ManifestSeal::path_of(uint64_t number) const {
  char name[40];
  std::snprintf(name, sizeof name, "/MANIFEST-%06llu", static_cast<unsigned long long>(number));
  return directory_ + name;
}

Status ManifestSeal::check() const {
  const auto damaged = [&](const std::string& what) {
    return fail(ErrorCode::kCorrupt, "log: " + directory_ + "/" + what);
  };
  const auto sealed = read_file(directory_ + "/manifest");
  if (!sealed) return sealed.error().code == ErrorCode::kNotFound ? Status() : fail(sealed.error());
  unsigned long long number = 0, bytes = 0, hash = 0;
  char end = '\0';
  if (std::sscanf(sealed->c_str(), "%llu %llu %llx%c", &number, &bytes, &hash, &end) != 4 || end != '\n') {
    return damaged("manifest is damaged");
  }
  const auto current = read_file(directory_ + "/CURRENT");
  const auto now = current ? number_of(*current) : std::nullopt;
  if (!now || *now < number) return damaged("CURRENT is damaged, missing or was put back");
  // A newer one begins with all that the sealed one said.
  if (*now > number) return {};
  if (hash_of(path_of(number), bytes) != hash)
    return damaged(std::string(kManifest) + "* is damaged or cut off");
  return {};
}

void ManifestSeal::seal(rocksdb::DB& database) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> files;
  uint64_t bytes = 0;
  if (!database.GetLiveFiles(files, &bytes, false).ok()) return;
  for (const std::string& file : files) {
    const auto number = number_of(file);
    const auto hash = number ? hash_of(path_of(*number), bytes) : std::nullopt;
    if (!hash) continue;
    char text[80];
    std::snprintf(text, sizeof text, "%llu %llu %016llx\n", static_cast<unsigned long long>(*number),
                  static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(*hash));
    if (!write_file(directory_ + "/manifest", text, 0600)) return;
  }
}

}  // namespace fleetward::log
