#include "state/database.h"

#include <sqlite3.h>

namespace fleetward::state {
namespace {

constexpr int kFormat = 1;
constexpr const char* kCreate =
    "CREATE TABLE documents(table_name TEXT NOT NULL, \"key\" BLOB NOT NULL, document TEXT NOT NULL,"
    " PRIMARY KEY(table_name, \"key\")) WITHOUT ROWID";
constexpr const char* kPut =
    "INSERT INTO documents(table_name, \"key\", document) VALUES(?1, ?2, ?3)"
    " ON CONFLICT(table_name, \"key\") DO UPDATE SET document = excluded.document";
constexpr const char* kErase = "DELETE FROM documents WHERE table_name = ?1 AND \"key\" = ?2";
constexpr const char* kLoad =
    "SELECT \"key\", document FROM documents WHERE table_name = ?1 ORDER BY \"key\"";

ErrorCode code_of(int sqlite_code) {
  switch (sqlite_code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorCode::kConflict;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ErrorCode::kCorrupt;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
      return ErrorCode::kUnavailable;
    case SQLITE_TOOBIG:
      return ErrorCode::kLimitExceeded;
    default:
      return ErrorCode::kInternal;
  }
}

void bind_text(sqlite3_stmt* statement, int index, std::string_view text) {
  sqlite3_bind_text64(statement, index, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
}

void bind_blob(sqlite3_stmt* statement, int index, std::string_view bytes) {
  // A null pointer would bind NULL.
  sqlite3_bind_blob64(statement, index, bytes.empty() ? "" : bytes.data(), bytes.size(), SQLITE_STATIC);
}

}  // namespace

Database::~Database() {
  close();
}

Status Database::error(int code, std::string_view doing) const {
  std::string message = "control state: cannot " + std::string(doing) + ": ";
  message += handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
  if (code_of(code) == ErrorCode::kConflict) message = "control state: the file is in use by another process";
  return fail(code_of(code), std::move(message));
}

Status Database::execute(const char* sql) {
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? Status() : error(code, sql);
}

Status Database::prepare(const char* sql, sqlite3_stmt** statement) {
  const int code = sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, nullptr);
  return code == SQLITE_OK ? Status() : error(code, "prepare a statement");
}

Status Database::open(const std::string& path) {
  close();
  const int code = sqlite3_open_v2(path.c_str(), &handle_,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  Status opened = code == SQLITE_OK ? Status() : error(code, "open " + path);
  // The lock is taken by the first transaction and kept. Before the journal mode, so that the shared-memory
  // file of the WAL is not needed.
  for (const char* sql : {"PRAGMA locking_mode=EXCLUSIVE", "PRAGMA journal_mode=WAL",
                          "PRAGMA synchronous=FULL", "BEGIN EXCLUSIVE", "COMMIT"}) {
    if (opened) opened = execute(sql);
  }
  if (opened) opened = create_or_check_format();
  if (opened) opened = prepare(kPut, &put_);
  if (opened) opened = prepare(kErase, &erase_);
  if (!opened) close();
  return opened;
}

Status Database::create_or_check_format() {
  int format = 0;
  sqlite3_stmt* statement = nullptr;
  if (auto prepared = prepare("PRAGMA user_version", &statement); !prepared) return prepared;
  const int code = sqlite3_step(statement);
  if (code == SQLITE_ROW) format = sqlite3_column_int(statement, 0);
  sqlite3_finalize(statement);
  if (code != SQLITE_ROW) return error(code, "read the format");
  if (format == kFormat) return {};
  if (format > kFormat) {
    return fail(ErrorCode::kInvalidArgument, "control state: the file has format " + std::to_string(format) +
                                                 ", this program reads up to " + std::to_string(kFormat) +
                                                 "; use a newer release");
  }
  if (format < 0) return fail(ErrorCode::kCorrupt, "control state: impossible format number");
  for (const char* sql : {"BEGIN IMMEDIATE", kCreate, "PRAGMA user_version=1", "COMMIT"}) {
    if (auto done = execute(sql); !done) {
      sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
      return done;
    }
  }
  return {};
}

void Database::close() {
  sqlite3_finalize(put_);
  sqlite3_finalize(erase_);
  sqlite3_close(handle_);
  put_ = erase_ = nullptr;
  handle_ = nullptr;
}

Status Database::load(const std::string& table,
                      const std::function<Status(std::string, std::string_view)>& row) {
  sqlite3_stmt* statement = nullptr;
  if (auto prepared = prepare(kLoad, &statement); !prepared) return prepared;
  bind_text(statement, 1, table);
  Status status;
  int code = SQLITE_ROW;
  while (status && (code = sqlite3_step(statement)) == SQLITE_ROW) {
    const auto* key = static_cast<const char*>(sqlite3_column_blob(statement, 0));
    const auto key_size = static_cast<size_t>(sqlite3_column_bytes(statement, 0));
    const auto* text = static_cast<const char*>(sqlite3_column_blob(statement, 1));
    const auto text_size = static_cast<size_t>(sqlite3_column_bytes(statement, 1));
    status = row(key_size == 0 ? std::string() : std::string(key, key_size),
                 text_size == 0 ? std::string_view() : std::string_view(text, text_size));
  }
  if (status && code != SQLITE_DONE) status = error(code, "read table " + table);
  sqlite3_finalize(statement);
  return status;
}

Status Database::write(const std::function<Status(const Put&, const Erase&)>& body) {
  if (handle_ == nullptr) return fail(ErrorCode::kUnavailable, "control state: not open");
  const auto run = [this](sqlite3_stmt* statement, const std::string& table) {
    const int code = sqlite3_step(statement);
    Status status = code == SQLITE_DONE ? Status() : error(code, "write table " + table);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return status;
  };
  const Put put = [&](const std::string& table, const std::string& key, const std::string& text) {
    bind_text(put_, 1, table);
    bind_blob(put_, 2, key);
    bind_text(put_, 3, text);
    return run(put_, table);
  };
  const Erase erase = [&](const std::string& table, const std::string& key) {
    bind_text(erase_, 1, table);
    bind_blob(erase_, 2, key);
    return run(erase_, table);
  };
  Status written = execute("BEGIN IMMEDIATE");
  if (written) written = body(put, erase);
  if (written) written = execute("COMMIT");
  // Harmless if SQLite has rolled back by itself.
  if (!written) sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
  return written;
}

}  // namespace fleetward::state
