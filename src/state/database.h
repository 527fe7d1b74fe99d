#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "core/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace fleetward::state {

// The SQLite file behind Store: one table of documents. WAL journal, every commit synced, locked against
// other processes while open. Format 1:
//   documents(table_name TEXT, "key" BLOB, document TEXT, PRIMARY KEY(table_name, "key")) WITHOUT ROWID
// and PRAGMA user_version = 1. One thread at a time.
class Database {
 public:
  Database() = default;
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // kConflict: another process has it; kInvalidArgument: a newer format; kCorrupt: not a database of ours;
  // kUnavailable: the file cannot be opened or created.
  Status open(const std::string& path);
  void close();

  // Calls row(key, document) in ascending byte order of the keys, until it fails.
  Status load(const std::string& table, const std::function<Status(std::string, std::string_view)>& row);

  using Put =
      std::function<Status(const std::string& table, const std::string& key, const std::string& text)>;
  using Erase = std::function<Status(const std::string& table, const std::string& key)>;
  // One transaction: all that `body` puts and erases becomes durable, or nothing. kUnavailable: disk full or
  // read-only.
  Status write(const std::function<Status(const Put&, const Erase&)>& body);

 private:
  Status execute(const char* sql);
  Status prepare(const char* sql, sqlite3_stmt** statement);
  Status create_or_check_format();
  Status error(int code, std::string_view doing) const;

  sqlite3* handle_ = nullptr;
  sqlite3_stmt* put_ = nullptr;
  sqlite3_stmt* erase_ = nullptr;
};

}  // namespace fleetward::state
