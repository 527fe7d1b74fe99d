#include "state/database.h"

#include <algorithm>
#include <filesystem>

#include <sqlite3.h>

namespace fleetward::state {
namespace {

constexpr int kFormat = 2;
// Reading every page of a larger file would hold up the start; the sums are checked at any size.
constexpr uintmax_t kCheckedBytesMax = uintmax_t{256} << 20;
constexpr const char* kCreate =
    "CREATE TABLE documents(table_name TEXT NOT NULL, \"key\" BLOB NOT NULL, document TEXT NOT NULL,"
    " PRIMARY KEY(table_name, \"key\")) WITHOUT ROWID";
constexpr const char* kPut =
    "INSERT INTO documents(table_name, \"key\", document) VALUES(?1, ?2, ?3)"
    " ON CONFLICT(table_name, \"key\") DO UPDATE SET document = excluded.document";
constexpr const char* kErase = "DELETE FROM documents WHERE table_name = ?1 AND \"key\" = ?2";
constexpr const char* kCreateSums =
    "CREATE TABLE sums(table_name TEXT NOT NULL PRIMARY KEY, documents INTEGER NOT NULL, sum INTEGER NOT "
    "NULL)"
    " WITHOUT ROWID";
constexpr const char* kPutSum =
    "INSERT INTO sums(table_name, documents, sum) VALUES(?1, ?2, ?3)"
    " ON CONFLICT(table_name) DO UPDATE SET documents = excluded.documents, sum = excluded.sum";
constexpr const char* kGet = "SELECT document FROM documents WHERE table_name = ?1 AND \"key\" = ?2";
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

std::string_view column(sqlite3_stmt* statement, int index) {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement, index));
  const auto size = static_cast<size_t>(sqlite3_column_bytes(statement, index));
  return size == 0 ? std::string_view() : std::string_view(bytes, size);
}

// FNV-1a, then mixed, so that sums of it do not cancel each other out.
uint64_t hash_of(std::string_view table, std::string_view key, std::string_view document) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const std::string_view part : {table, key, document}) {
    for (const char c : part) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
    hash = (hash ^ 0x1ff) * 0x100000001b3;  // the end of a part
  }
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccd;
  return hash ^ hash >> 33;
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

Status Database::lost(const std::string& what) const {
  if (!accept_loss_) return fail(ErrorCode::kCorrupt, "control state: " + what);
  accept_loss_(what);
  return {};
}

Status Database::open(const std::string& path, AcceptLoss accept_loss) {
  close();
  accept_loss_ = std::move(accept_loss);
  const bool on_disk = path != ":memory:";
  if (on_disk) {
    if (auto read = acknowledged_.read(path + ".acknowledged"); !read) {
      if (auto ok = lost(read.error().message); !ok) return ok;
    }
  }
  // Where there was one, none is made anew.
  const int create = acknowledged_.value() ? 0 : SQLITE_OPEN_CREATE;
  const int code =
      sqlite3_open_v2(path.c_str(), &handle_, SQLITE_OPEN_READWRITE | create | SQLITE_OPEN_NOMUTEX, nullptr);
  Status opened = code == SQLITE_OK ? Status() : error(code, "open " + path);
  // The lock is taken by the first transaction and kept. Before the journal mode, so that the shared-memory
  // file of the WAL is not needed.
  for (const char* sql : {"PRAGMA locking_mode=EXCLUSIVE", "PRAGMA journal_mode=WAL",
                          "PRAGMA synchronous=FULL", "BEGIN EXCLUSIVE", "COMMIT"}) {
    if (opened) opened = execute(sql);
  }
  if (opened && on_disk) opened = check_pages(path);
  if (opened) opened = create_or_check_format();
  if (opened) opened = read_sums();
  if (opened) opened = check_acknowledged();
  if (opened) opened = prepare(kPut, &put_);
  if (opened) opened = prepare(kErase, &erase_);
  if (opened) opened = prepare(kGet, &get_);
  if (opened) opened = prepare(kPutSum, &put_sum_);
  if (opened && on_disk) opened = acknowledged_.open(static_cast<uint64_t>(sums_[""].documents));
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
  Status made = execute("BEGIN IMMEDIATE");
  if (made && format == 0) made = execute(kCreate);
  if (made) made = create_sums();
  if (made) made = execute("PRAGMA user_version=2");
  if (made) made = execute("COMMIT");
  if (!made) sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
  return made;
}

// Of the documents that a file of format 1 has.
Status Database::create_sums() {
  if (auto made = execute(kCreateSums); !made) return made;
  sqlite3_stmt* statement = nullptr;
  if (auto ok = prepare("SELECT table_name, \"key\", document FROM documents", &statement); !ok) return ok;
  Sums sums;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    const std::string_view table = column(statement, 0);
    Sum& sum = sums[std::string(table)];
    ++sum.documents;
    sum.hash += hash_of(table, column(statement, 1), column(statement, 2));
  }
  sqlite3_finalize(statement);
  if (code != SQLITE_DONE) return error(code, "read the documents");
  if (auto ok = prepare(kPutSum, &put_sum_); !ok) return ok;
  const Status written = write_sums(sums);
  sqlite3_finalize(put_sum_);
  put_sum_ = nullptr;
  return written;
}

Status Database::check_pages(const std::string& path) {
  std::error_code ec;
  if (std::filesystem::file_size(path, ec) > kCheckedBytesMax || ec) return {};
  sqlite3_stmt* statement = nullptr;
  if (auto prepared = prepare("PRAGMA quick_check(1)", &statement); !prepared) return prepared;
  const int code = sqlite3_step(statement);
  std::string answer(code == SQLITE_ROW ? column(statement, 0) : std::string_view());
  std::replace(answer.begin(), answer.end(), '\n', ' ');
  const Status failed = code == SQLITE_ROW ? Status() : error(code, "check the file");
  sqlite3_finalize(statement);
  if (!failed) return failed;
  return answer == "ok" ? Status() : fail(ErrorCode::kCorrupt, "control state: " + answer);
}

Status Database::read_sums() {
  sums_.clear();
  sqlite3_stmt* statement = nullptr;
  if (auto ok = prepare("SELECT table_name, documents, sum FROM sums", &statement); !ok) return ok;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    sums_[std::string(column(statement, 0))] = {sqlite3_column_int64(statement, 1),
                                                static_cast<uint64_t>(sqlite3_column_int64(statement, 2))};
  }
  sqlite3_finalize(statement);
  return code == SQLITE_DONE ? Status() : error(code, "read the sums");
}

Status Database::check_acknowledged() {
  const auto there = static_cast<uint64_t>(sums_[""].documents);
  const auto before = acknowledged_.value();
  if (there >= before.value_or(0) && (before || there == 0)) return {};
  return lost((before ? std::to_string(*before) : "an unknown number of") + " writes were acknowledged and " +
              std::to_string(there) + " are there: files were damaged, removed or put back");
}

void Database::close() {
  sqlite3_finalize(put_);
  sqlite3_finalize(erase_);
  sqlite3_finalize(get_);
  sqlite3_finalize(put_sum_);
  sqlite3_close(handle_);
  put_ = erase_ = get_ = put_sum_ = nullptr;
  handle_ = nullptr;
}

Status Database::load(const std::string& table,
                      const std::function<Status(std::string, std::string_view)>& row) {
  sqlite3_stmt* statement = nullptr;
  if (auto prepared = prepare(kLoad, &statement); !prepared) return prepared;
  bind_text(statement, 1, table);
  Status status;
  Sum sum;
  int code = SQLITE_ROW;
  while (status && (code = sqlite3_step(statement)) == SQLITE_ROW) {
    const std::string_view key = column(statement, 0), text = column(statement, 1);
    ++sum.documents;
    sum.hash += hash_of(table, key, text);
    status = row(std::string(key), text);
  }
  if (status && code != SQLITE_DONE) status = error(code, "read table " + table);
  sqlite3_finalize(statement);
  if (!status || sum == sums_[table]) return status;
  const int64_t expected = sums_[table].documents;
  if (auto ok = lost("table " + table + " has " + std::to_string(sum.documents) + " documents, of " +
                     std::to_string(expected) + " that were written, or some of them were changed");
      !ok) {
    return ok;
  }
  sums_[table] = sum;
  return write_sums({{table, sum}});
}

Status Database::write_sums(const Sums& touched) {
  for (const auto& [table, sum] : touched) {
    bind_text(put_sum_, 1, table);
    sqlite3_bind_int64(put_sum_, 2, sum.documents);
    sqlite3_bind_int64(put_sum_, 3, static_cast<int64_t>(sum.hash));
    if (auto ok = run(put_sum_, "write the sums"); !ok) return ok;
  }
  return {};
}

Status Database::run(sqlite3_stmt* statement, std::string_view doing) {
  const int code = sqlite3_step(statement);
  Status status = code == SQLITE_DONE ? Status() : error(code, doing);
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return status;
}

// Takes the document that is there out of the sum.
Status Database::subtract(const std::string& table, const std::string& key, Sum& sum) {
  bind_text(get_, 1, table);
  bind_blob(get_, 2, key);
  const int code = sqlite3_step(get_);
  Status status;
  if (code == SQLITE_ROW) {
    --sum.documents;
    sum.hash -= hash_of(table, key, column(get_, 0));
  } else if (code != SQLITE_DONE) {
    status = error(code, "read table " + table);
  }
  sqlite3_reset(get_);
  sqlite3_clear_bindings(get_);
  return status;
}

Status Database::write(const std::function<Status(const Put&, const Erase&)>& body) {
  if (handle_ == nullptr) return fail(ErrorCode::kUnavailable, "control state: not open");
  Sums touched{{"", sums_[""]}};
  ++touched[""].documents;
  const auto sum_of = [&](const std::string& table) -> Sum& {
    return touched.try_emplace(table, sums_[table]).first->second;
  };
  const Put put = [&](const std::string& table, const std::string& key, const std::string& text) {
    Sum& sum = sum_of(table);
    if (auto ok = subtract(table, key, sum); !ok) return ok;
    ++sum.documents;
    sum.hash += hash_of(table, key, text);
    bind_text(put_, 1, table);
    bind_blob(put_, 2, key);
    bind_text(put_, 3, text);
    return run(put_, "write table " + table);
  };
  const Erase erase = [&](const std::string& table, const std::string& key) {
    if (auto ok = subtract(table, key, sum_of(table)); !ok) return ok;
    bind_text(erase_, 1, table);
    bind_blob(erase_, 2, key);
    return run(erase_, "write table " + table);
  };
  Status written = execute("BEGIN IMMEDIATE");
  if (written) written = body(put, erase);
  if (written) written = write_sums(touched);
  if (written) written = execute("COMMIT");
  if (written) {
    for (auto& [table, sum] : touched) sums_[table] = sum;
    acknowledged_.raise(static_cast<uint64_t>(sums_[""].documents));
  }
  // Harmless if SQLite has rolled back by itself.
  if (!written) sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
  return written;
}

}  // namespace fleetward::state
