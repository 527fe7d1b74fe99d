#include "pipeline/connectivity_keys.h"

#include <optional>
#include <string>

#include "core/text.h"

namespace fleetward::pipeline {
namespace {

constexpr std::string_view kPrefix = "connectivity/";
constexpr std::string_view kEnd = "connectivity0";
constexpr size_t kPage = 10'000;  // keys of one read, and of one transaction

std::string encode(const registry::Connectivity& now) {
  return (now.connected ? "1 " : "0 ") + std::to_string(now.since.ms) + " " + now.disconnect_reason;
}

std::optional<registry::Connectivity> decode(std::string_view text) {
  const size_t end = text.find(' ', 2);
  if (end == text.npos || text[1] != ' ' || (text[0] != '0' && text[0] != '1')) return std::nullopt;
  const auto since = parse_number<int64_t>(text.substr(2, end - 2));
  if (!since) return std::nullopt;
  const bool connected = text[0] == '1';
  return registry::Connectivity{connected, {*since}, std::string(text.substr(end + 1)), connected};
}

// Nothing is known any more of a thing that was deleted, or made anew since.
bool is_stale(const state::Snapshot& snapshot, const registry::Tables& tables, std::string_view name,
              const registry::Connectivity& kept) {
  if (kept.connected) return false;
  const registry::Thing* thing = snapshot.get(tables.things).find(name);
  return thing == nullptr || thing->created > kept.since;
}

}  // namespace

void keep_connectivity(log::Batch& batch, std::string_view name, const registry::Connectivity* now) {
  std::string key = std::string(kPrefix) + std::string(name);
  if (now == nullptr) {
    batch.erase(std::move(key));
  } else {
    batch.put(std::move(key), encode(*now));
  }
}

Status restore_connectivity(log::Log& log, state::Store& store, const registry::Tables& tables,
                            Logger& logger) {
  for (std::string from(kPrefix);;) {
    const auto page = log.scan(from, kEnd, kPage);
    if (!page) return fail(page.error());
    log::Batch stale;
    Status done = store.transact([&](state::Transaction& change) -> Status {
      for (const log::KeyValue& entry : *page) {
        const std::string_view name = std::string_view(entry.key).substr(kPrefix.size());
        const auto kept = decode(entry.value);
        if (!kept) logger.error("membership.corrupt_connectivity", {{"client", name}});
        if (!kept || is_stale(change.view(), tables, name, *kept)) {
          stale.erase(entry.key);
        } else {
          change.put(tables.connectivity, name, *kept);
        }
      }
      return {};
    });
    if (!done) return done;
    // What the log refuses to erase the next start finds again.
    if (!stale.empty()) log.submit(std::move(stale), [](const log::Committed&) {});
    if (page->size() < kPage) return {};
    from = page->back().key + '\0';
  }
}

}  // namespace fleetward::pipeline
