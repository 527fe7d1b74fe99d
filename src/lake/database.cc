#include "lake/database.h"

#include <sqlite3.h>

namespace fleetward::lake {

Statement::~Statement() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

Statement& Statement::bind(int64_t value) {
  if (statement_ != nullptr) sqlite3_bind_int64(statement_, ++parameter_, value);
  return *this;
}

Statement& Statement::bind(std::string_view text) {
  if (statement_ != nullptr) {
    sqlite3_bind_text64(statement_, ++parameter_, text.data() == nullptr ? "" : text.data(), text.size(),
                        SQLITE_TRANSIENT, SQLITE_UTF8);
  }
  return *this;
}

Statement& Statement::bind_blob(std::string_view bytes) {
  if (statement_ != nullptr) {
    sqlite3_bind_blob64(statement_, ++parameter_, bytes.data() == nullptr ? "" : bytes.data(), bytes.size(),
                        SQLITE_TRANSIENT);
  }
  return *this;
}

bool Statement::step() {
  if (statement_ == nullptr || connection_.failed_) return false;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) connection_.note(code);
  return false;
}

int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::string_view Statement::text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? std::string_view()
                          : std::string_view(static_cast<const char*>(bytes), static_cast<size_t>(size));
}

StoreResult<std::unique_ptr<Connection>> Connection::open(const std::string& path) {
  std::unique_ptr<Connection> connection(new Connection());
  const int code = sqlite3_open_v2(path.c_str(), &connection->handle_,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code != SQLITE_OK) {
    return refuse(Reason::kUnavailable, "cannot open " + path + ": " + sqlite3_errstr(code));
  }
  sqlite3_extended_result_codes(connection->handle_, 1);
  sqlite3_busy_timeout(connection->handle_, 5000);
  // One sync for each commit; the database file itself is synced at checkpoints.
  connection->execute("PRAGMA journal_mode=WAL");
  connection->execute("PRAGMA synchronous=FULL");
  connection->execute("PRAGMA cache_size=-8192");
  if (auto ok = connection->take_status(); !ok) return refuse(ok.error());
  return connection;
}

Connection::~Connection() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

Statement Connection::prepare(const char* sql) {
  sqlite3_stmt*& statement = statements_[sql];
  if (statement == nullptr) {
    const int code = sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) note(code);
  }
  return Statement(*this, statement);
}

void Connection::execute(const char* sql) {
  if (failed_) return;
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) note(code);
}

void Connection::fail(StoreError error) {
  if (failed_) return;
  failed_ = true;
  error_ = std::move(error);
}

StoreStatus Connection::take_status() {
  if (!failed_) return {};
  failed_ = false;
  return refuse(std::move(error_));
}

bool Connection::autocommit() const {
  return sqlite3_get_autocommit(handle_) != 0;
}

void Connection::note(int code) {
  const int primary = code & 0xff;
  const bool damaged = primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB;
  std::string message = "index of the object store: ";
  message += primary == SQLITE_FULL ? "No space left on device" : sqlite3_errmsg(handle_);
  fail({damaged ? Reason::kCorrupt : Reason::kUnavailable, std::move(message)});
}

}  // namespace fleetward::lake
