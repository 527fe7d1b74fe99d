#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/result.h"
#include "state/map.h"

// Control state: everything the API creates. A room declares its resource types as tables of documents; the
// store keeps them durable in SQLite and in memory as one immutable, versioned Snapshot that any thread reads
// without a lock. What follows from durable tables, or from who is connected, may live in memory tables: part
// of the same snapshots and transactions, never written, empty after each open().
namespace fleetward::state {

// Describes one table. T needs `json::object to_json(const T&)` and `Result<T> from_json(const
// json::object&)`, passed here so that they need no magic names. Keys are byte strings; composite keys join
// their parts with '\0' (see key()). from_json may also build what is derived (a compiled policy): snapshots
// share it by pointer.
template <typename T>
struct TableSpec {
  std::string name;  // "things"; unique in the store, never renamed without a migration
  json::object (*to_json)(const T&) = nullptr;
  Result<T> (*from_json)(const json::object&) = nullptr;
};

// A registered table: an index into the snapshot. Copyable.
template <typename T>
struct Table {
  size_t index = 0;
};

// "a\0b": parts must not contain '\0'.
std::string key(std::string_view first, std::string_view second);
std::string key(std::string_view first, std::string_view second, std::string_view third);
// The part after the first '\0'; empty if there is none.
std::string_view key_tail(std::string_view composite);

class Snapshot {
 public:
  uint64_t version() const { return version_; }  // rises with every committed change
  template <typename T>
  const Map<T>& get(Table<T> table) const {
    return *static_cast<const Map<T>*>(maps_[table.index].get());
  }

 private:
  friend class Store;
  friend class Transaction;
  uint64_t version_ = 0;
  std::vector<std::shared_ptr<const void>> maps_;
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

// The changes of one call, seen by its own reads. Used on the thread inside Store::transact only.
class Transaction {
 public:
  template <typename T>
  const Map<T>& get(Table<T> table) const {
    return draft_.get(table);
  }
  // The store as this call has left it so far; for readers that take a Snapshot.
  const Snapshot& view() const { return draft_; }
  template <typename T>
  void put(Table<T> table, std::string_view key, T value) {
    put_document(table.index, key, &value);
    own(table).set(key, std::make_shared<const T>(std::move(value)));
  }
  template <typename T>
  void erase(Table<T> table, std::string_view key) {
    erase_document(table.index, key);
    own(table).erase(key);
  }

 private:
  friend class Store;
  struct Change {
    size_t table;
    std::string key;
    std::string document;
    bool erased = false;
  };
  explicit Transaction(const class Store& store, const Snapshot& base)
      : store_(store), draft_(base), owned_(base.maps_.size()) {}
  // The draft's own copy of the map, made at its first change.
  template <typename T>
  Map<T>& own(Table<T> table) {
    std::shared_ptr<const void>& map = draft_.maps_[table.index];
    if (!owned_[table.index]) {
      map = std::make_shared<Map<T>>(*static_cast<const Map<T>*>(map.get()));
      owned_[table.index] = true;
    }
    return *const_cast<Map<T>*>(static_cast<const Map<T>*>(map.get()));
  }
  void put_document(size_t table, std::string_view key, const void* value);
  void erase_document(size_t table, std::string_view key);

  const class Store& store_;
  Snapshot draft_;
  std::vector<bool> owned_;  // by table: `draft_` has a map of its own
  std::vector<Change> changes_;
  Status refused_;  // the first change that was over a bound
};

// Bounds on what one call may write to durable tables; over them the transaction fails with kLimitExceeded.
inline constexpr size_t kDocumentBytesMax = size_t{4} << 20;
inline constexpr size_t kTransactionChangesMax = 100'000;

// Thread safe after open(). add_table() is called for every table before open().
class Store {
 public:
  Store();
  ~Store();

  template <typename T>
  Table<T> add_table(TableSpec<T> spec) {
    TableOps ops;
    ops.name = spec.name;
    ops.empty = std::make_shared<const Map<T>>();
    ops.encode = [to = spec.to_json](const void* value) {
      return json::serialize(to(*static_cast<const T*>(value)));
    };
    ops.make_loader = [from = spec.from_json]() -> std::unique_ptr<Loader> {
      return std::make_unique<TypedLoader<T>>(from);
    };
    return Table<T>{add(std::move(ops))};
  }
  template <typename T>
  Table<T> add_memory_table() {
    return Table<T>{add(TableOps{{}, std::make_shared<const Map<T>>(), {}, {}})};
  }

  // Opens or creates the SQLite file and loads every table. ":memory:" for tests. kConflict: another process
  // holds it; kCorrupt: a document does not parse (names table and key), or these are not the documents that
  // were written; kInvalidArgument: written by a newer format. With `accept_loss` documents may be missing:
  // it is told what was lost.
  Status open(const std::string& path, std::function<void(const std::string&)> accept_loss = {});

  SnapshotPtr snapshot() const;

  // Runs `change` with a transaction; if it succeeds, commits durably, then publishes the new snapshot, then
  // calls the listeners. One at a time, in order. The error of `change` is handed back and nothing is
  // written. `change` must not block on anything but the processor. kUnavailable if the disk refuses; a
  // change of memory tables only does not ask it.
  Status transact(const std::function<Status(Transaction&)>& change);

  // Called after each commit with the new snapshot, on the committing thread; must only hand it over. Not for
  // changes of memory tables only: they may come many times a second, and who needs them asks snapshot().
  void on_change(std::function<void(SnapshotPtr)> listener);

 private:
  friend class Transaction;
  // Builds one table's map from its documents in ascending order of their keys.
  class Loader {
   public:
    virtual ~Loader() = default;
    virtual Status add(std::string key, const json::object& document) = 0;
    virtual std::shared_ptr<const void> finish() = 0;
  };
  template <typename T>
  class TypedLoader final : public Loader {
   public:
    explicit TypedLoader(Result<T> (*from_json)(const json::object&)) : from_json_(from_json) {}
    Status add(std::string key, const json::object& document) override {
      auto value = from_json_(document);
      if (!value) return fail(value.error());
      if (!builder_.add(std::move(key), std::make_shared<const T>(std::move(*value)))) {
        return fail(ErrorCode::kCorrupt, "keys out of order");
      }
      return {};
    }
    std::shared_ptr<const void> finish() override {
      return std::make_shared<const Map<T>>(std::move(builder_).finish());
    }

   private:
    Result<T> (*from_json_)(const json::object&);
    typename Map<T>::Builder builder_;
  };
  // Of a memory table only `empty`.
  struct TableOps {
    std::string name;
    std::shared_ptr<const void> empty;
    std::function<std::string(const void*)> encode;
    std::function<std::unique_ptr<Loader>()> make_loader;
  };
  size_t add(TableOps ops);
  Status write(const Transaction& transaction);

  std::vector<TableOps> tables_;
  struct Database;
  std::unique_ptr<Database> database_;
  std::mutex writer_;
  std::vector<std::function<void(SnapshotPtr)>> listeners_;
  void publish(SnapshotPtr snapshot);

  // Held for the copy of one pointer. (std::atomic<shared_ptr> of GCC 12 unlocks without release order.)
  mutable std::mutex current_mutex_;
  SnapshotPtr current_;
};

}  // namespace fleetward::state
