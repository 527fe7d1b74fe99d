#include "state/store.h"

#include <algorithm>
#include <exception>

#include "state/database.h"

namespace fleetward::state {

std::string key(std::string_view first, std::string_view second) {
  std::string out;
  out.reserve(first.size() + 1 + second.size());
  out.append(first).append(1, '\0').append(second);
  return out;
}

std::string key(std::string_view first, std::string_view second, std::string_view third) {
  return key(key(first, second), third);
}

std::string_view key_tail(std::string_view composite) {
  const size_t separator = composite.find('\0');
  return separator == std::string_view::npos ? std::string_view() : composite.substr(separator + 1);
}

void Transaction::put_document(size_t table, std::string_view key, const void* value) {
  if (!store_.tables_[table].encode) return;
  if (changes_.size() >= kTransactionChangesMax) {
    if (refused_) refused_ = fail(ErrorCode::kLimitExceeded, "too many changes in one call");
    return;
  }
  const auto& ops = store_.tables_[table];
  std::string document = ops.encode(value);
  if (document.size() > kDocumentBytesMax && refused_) {
    refused_ = fail(ErrorCode::kLimitExceeded, "a document of " + std::to_string(document.size()) +
                                                   " bytes for table " + ops.name + " is over the limit of " +
                                                   std::to_string(kDocumentBytesMax));
  }
  changes_.push_back({table, std::string(key), std::move(document), false});
}

void Transaction::erase_document(size_t table, std::string_view key) {
  if (!store_.tables_[table].encode) return;
  if (changes_.size() >= kTransactionChangesMax) {
    if (refused_) refused_ = fail(ErrorCode::kLimitExceeded, "too many changes in one call");
    return;
  }
  changes_.push_back({table, std::string(key), {}, true});
}

struct Store::Database : state::Database {};

Store::Store() : database_(std::make_unique<Database>()) {
  publish(std::make_shared<const Snapshot>());
}

Store::~Store() = default;

size_t Store::add(TableOps ops) {
  tables_.push_back(std::move(ops));
  // Readable, and empty, before open().
  auto grown = std::make_shared<Snapshot>(*snapshot());
  grown->maps_.push_back(tables_.back().empty);
  publish(std::move(grown));
  return tables_.size() - 1;
}

Status Store::open(const std::string& path, std::function<void(const std::string&)> accept_loss) {
  const std::lock_guard lock(writer_);
  if (auto opened = database_->open(path, std::move(accept_loss)); !opened) return opened;
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->version_ = 1;
  for (const TableOps& table : tables_) {
    if (!table.make_loader) {
      snapshot->maps_.push_back(table.empty);
      continue;
    }
    const auto loader = table.make_loader();
    const json::Limits limits{kDocumentBytesMax, 64};
    auto loaded = database_->load(table.name, [&](std::string row_key, std::string_view text) -> Status {
      std::string shown = row_key;
      auto document = json::parse(text, limits);
      Status added = !document                ? Status(fail(document.error()))
                     : !document->is_object() ? Status(fail(ErrorCode::kCorrupt, "not a JSON object"))
                                              : loader->add(std::move(row_key), document->get_object());
      if (added) return {};
      for (char& c : shown) c = c == '\0' ? '/' : c;
      return fail(ErrorCode::kCorrupt,
                  "table " + table.name + ", key '" + shown + "': " + added.error().message);
    });
    if (!loaded) {
      database_->close();
      return loaded;
    }
    snapshot->maps_.push_back(loader->finish());
  }
  publish(std::move(snapshot));
  return {};
}

SnapshotPtr Store::snapshot() const {
  const std::lock_guard lock(current_mutex_);
  return current_;
}

void Store::publish(SnapshotPtr snapshot) {
  const std::lock_guard lock(current_mutex_);
  current_.swap(snapshot);  // the last reference to the old one is let go outside
}

Status Store::transact(const std::function<Status(Transaction&)>& change) {
  const std::lock_guard lock(writer_);
  const SnapshotPtr base = snapshot();
  Transaction transaction(*this, *base);
  try {
    if (auto changed = change(transaction); !changed) return changed;
  } catch (const std::exception& e) {
    return fail(ErrorCode::kInternal, std::string("a change of the control state threw: ") + e.what());
  }
  if (!transaction.refused_) return transaction.refused_;
  const bool durable = !transaction.changes_.empty();
  const auto& owned = transaction.owned_;
  if (!durable && std::find(owned.begin(), owned.end(), true) == owned.end()) return {};
  if (durable) {
    if (auto written = write(transaction); !written) return written;
  }
  auto next = std::make_shared<Snapshot>(std::move(transaction.draft_));
  next->version_ = base->version_ + 1;
  const SnapshotPtr published = std::move(next);
  publish(published);
  if (!durable) return {};
  for (const auto& listener : listeners_) listener(published);
  return {};
}

Status Store::write(const Transaction& transaction) {
  return database_->write([&](const state::Database::Put& put, const state::Database::Erase& erase) {
    for (const auto& c : transaction.changes_) {
      const std::string& table = tables_[c.table].name;
      if (auto done = c.erased ? erase(table, c.key) : put(table, c.key, c.document); !done) return done;
    }
    return Status();
  });
}

void Store::on_change(std::function<void(SnapshotPtr)> listener) {
  const std::lock_guard lock(writer_);
  listeners_.push_back(std::move(listener));
}

}  // namespace fleetward::state
