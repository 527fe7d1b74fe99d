#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "core/high_water.h"
#include "core/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace fleetward::state {

// The SQLite file behind Store: one table of documents. WAL journal, every commit synced, locked against
// other processes while open. Format 2:
//   documents(table_name TEXT, "key" BLOB, document TEXT, PRIMARY KEY(table_name, "key")) WITHOUT ROWID
//   sums(table_name TEXT PRIMARY KEY, documents INTEGER, sum INTEGER) WITHOUT ROWID
//     of each table, how many documents it has and the sum of their hashes modulo 2^64, so that a damaged
//     file is not taken for a whole one; of the table '', the number of transactions so far
// and PRAGMA user_version = 2 (1 had no sums). The file `<path>.acknowledged` holds the number of the last
// acknowledged transaction (core/high_water.h). One thread at a time.
class Database {
 public:
  Database() = default;
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Told of what was lost, when it is to be opened all the same.
  using AcceptLoss = std::function<void(const std::string& what)>;
  // kConflict: another process has it; kInvalidArgument: a newer format; kCorrupt: not a database of ours, or
  // acknowledged transactions are missing (unless `accept_loss`); kUnavailable: the file cannot be opened or
  // created.
  Status open(const std::string& path, AcceptLoss accept_loss = {});
  void close();

  // Calls row(key, document) in ascending byte order of the keys, until it fails. kCorrupt if these are not
  // the documents that were written (unless the loss is accepted).
  Status load(const std::string& table, const std::function<Status(std::string, std::string_view)>& row);

  using Put =
      std::function<Status(const std::string& table, const std::string& key, const std::string& text)>;
  using Erase = std::function<Status(const std::string& table, const std::string& key)>;
  // One transaction: all that `body` puts and erases becomes durable, or nothing. kUnavailable: disk full or
  // read-only.
  Status write(const std::function<Status(const Put&, const Erase&)>& body);

 private:
  struct Sum {
    int64_t documents = 0;
    uint64_t hash = 0;
    bool operator==(const Sum&) const = default;
  };
  using Sums = std::map<std::string, Sum>;  // by table; "" counts transactions
  Status execute(const char* sql);
  Status prepare(const char* sql, sqlite3_stmt** statement);
  Status create_or_check_format();
  Status create_sums();
  Status check_pages(const std::string& path);
  Status read_sums();
  Status check_acknowledged();
  Status lost(const std::string& what) const;
  Status write_sums(const Sums& touched);
  Status run(sqlite3_stmt* statement, std::string_view doing);
  Status subtract(const std::string& table, const std::string& key, Sum& sum);
  Status error(int code, std::string_view doing) const;

  sqlite3* handle_ = nullptr;
  sqlite3_stmt* put_ = nullptr;
  sqlite3_stmt* erase_ = nullptr;
  sqlite3_stmt* get_ = nullptr;
  sqlite3_stmt* put_sum_ = nullptr;
  Sums sums_;
  HighWater acknowledged_;
  AcceptLoss accept_loss_;
};

}  // namespace fleetward::state
