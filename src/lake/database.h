#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "lake/errors.h"

struct sqlite3;
struct sqlite3_stmt;

// A thin SQLite wrapper. Errors are sticky: the first failing step is kept in its Connection and every later
// step answers "no row", so that a change is written straight through and checked once, at its end.
namespace fleetward::lake {

class Connection;

// A prepared statement on loan from its connection, reset when it goes. Used on the connection's thread.
class Statement {
 public:
  Statement(Connection& connection, sqlite3_stmt* statement)
      : connection_(connection), statement_(statement) {}
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Binds the next parameter. The bytes are copied.
  Statement& bind(int64_t value);
  Statement& bind(uint64_t value) { return bind(static_cast<int64_t>(value)); }
  Statement& bind(int value) { return bind(static_cast<int64_t>(value)); }
  Statement& bind(std::string_view text);
  Statement& bind_blob(std::string_view bytes);
  // True: there is a row. False: the end, or an error that the connection keeps.
  bool step();

  int64_t integer(int column) const;
  uint64_t number(int column) const { return static_cast<uint64_t>(integer(column)); }
  // Views hold until the next step.
  std::string_view text(int column) const;

 private:
  Connection& connection_;
  sqlite3_stmt* statement_;
  int parameter_ = 0;
};

// One thread at a time.
class Connection {
 public:
  static StoreResult<std::unique_ptr<Connection>> open(const std::string& path);
  ~Connection();

  // `sql` must be a literal: statements are kept by its address. One statement of a text at a time.
  Statement prepare(const char* sql);
  void execute(const char* sql);
  // Sets the error as a failing step would.
  void fail(StoreError error);
  bool failed() const { return failed_; }
  // The sticky error, if any; forgets it.
  StoreStatus take_status();
  // False inside a transaction. SQLite ends a transaction by itself when the disk is full.
  bool autocommit() const;

 private:
  friend class Statement;
  Connection() = default;
  void note(int code);

  sqlite3* handle_ = nullptr;
  std::map<const char*, sqlite3_stmt*> statements_;
  bool failed_ = false;
  StoreError error_;
};

}  // namespace fleetward::lake
