#include "lake/index.h"

namespace fleetward::lake {
namespace {

constexpr int kFormat = 1;
// Beyond this, connections that come back are closed.
constexpr size_t kIdleReadersMax = 16;

constexpr char kSchema[] = R"sql(
CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS buckets(
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, created_ms INTEGER NOT NULL,
  region TEXT NOT NULL, policy TEXT NOT NULL DEFAULT '', tags TEXT NOT NULL DEFAULT '[]');
CREATE TABLE IF NOT EXISTS objects(
  bucket INTEGER NOT NULL, key BLOB NOT NULL, version INTEGER NOT NULL, size INTEGER NOT NULL,
  etag TEXT NOT NULL, modified_ms INTEGER NOT NULL, parts INTEGER NOT NULL, content INTEGER NOT NULL,
  inlined INTEGER NOT NULL, checksum_algorithm INTEGER NOT NULL, checksum_type INTEGER NOT NULL,
  checksum TEXT NOT NULL, attributes TEXT NOT NULL, PRIMARY KEY(bucket, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS object_parts(
  version INTEGER NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, md5 BLOB NOT NULL,
  checksum BLOB NOT NULL, modified_ms INTEGER NOT NULL, content INTEGER NOT NULL, inlined INTEGER NOT NULL,
  PRIMARY KEY(version, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads(
  bucket INTEGER NOT NULL, key BLOB NOT NULL, id TEXT NOT NULL, initiated_ms INTEGER NOT NULL,
  checksum_algorithm INTEGER NOT NULL, checksum_type INTEGER NOT NULL, attributes TEXT NOT NULL,
  PRIMARY KEY(bucket, key, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upload_parts(
  upload TEXT NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, md5 BLOB NOT NULL,
  checksum BLOB NOT NULL, modified_ms INTEGER NOT NULL, content INTEGER NOT NULL, inlined INTEGER NOT NULL,
  PRIMARY KEY(upload, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contents(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS files(id INTEGER PRIMARY KEY, garbage INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS garbage_files ON files(id) WHERE garbage = 1;
INSERT OR IGNORE INTO meta VALUES('format', 1), ('next_id', 1), ('clean_below', 1);
)sql";

uint64_t meta_value(Connection& db, std::string_view name) {
  Statement statement = db.prepare("SELECT value FROM meta WHERE name = ?");
  return statement.bind(name).step() ? statement.number(0) : 0;
}

}  // namespace

StoreResult<std::unique_ptr<Index>> Index::open(const std::string& path) {
  std::unique_ptr<Index> index(new Index(path));
  auto writer = Connection::open(path);
  if (!writer) return refuse(writer.error());
  index->writer_ = std::move(*writer);
  Connection& db = *index->writer_;
  db.execute("BEGIN IMMEDIATE");
  db.execute(kSchema);
  const uint64_t format = meta_value(db, "format");
  db.execute("COMMIT");
  if (auto ok = db.take_status(); !ok) return refuse(ok.error());
  if (format != kFormat) {
    return refuse(Reason::kInvalidArgument, "the object store was written in format " +
                                                std::to_string(format) + ", this program knows format " +
                                                std::to_string(kFormat));
  }
  return index;
}

Index::~Index() = default;

Index::Watermarks Index::stored_watermarks() {
  return {meta_value(*writer_, "next_id"), meta_value(*writer_, "clean_below")};
}

StoreStatus Index::write(const Change& change) {
  Pending mine{&change, {}, false};
  std::unique_lock lock(mutex_);
  waiting_.push_back(&mine);
  group_done_.wait(lock, [&] { return mine.done || !writing_; });
  if (mine.done) return mine.status;
  // Nobody is writing: this thread carries everyone who waits, itself among them.
  writing_ = true;
  std::vector<Pending*> group;
  group.swap(waiting_);
  lock.unlock();
  run_group(group);
  lock.lock();
  for (Pending* pending : group) pending->done = true;
  writing_ = false;
  lock.unlock();
  group_done_.notify_all();
  return mine.status;
}

void Index::run_group(const std::vector<Pending*>& group) {
  const Watermarks marks = watermarks_ ? watermarks_() : stored_watermarks();
  Connection& db = *writer_;
  db.execute("BEGIN IMMEDIATE");
  StoreStatus whole = db.take_status();
  if (whole) {
    for (Pending* pending : group) run_one(*pending);
    db.prepare("UPDATE meta SET value = ? WHERE name = 'next_id'").bind(marks.next_id).step();
    db.prepare("UPDATE meta SET value = ? WHERE name = 'clean_below'").bind(marks.clean_below).step();
    whole = finish_group();
  }
  if (whole) return;
  for (Pending* pending : group) {
    if (pending->status) pending->status = whole;
  }
}

void Index::run_one(Pending& pending) {
  Connection& db = *writer_;
  if (db.autocommit()) {  // SQLite gave the whole transaction up while an earlier change ran
    pending.status = refuse(Reason::kUnavailable, "the index of the object store could not be written");
    return;
  }
  db.execute("SAVEPOINT change");
  StoreStatus status = db.failed() ? StoreStatus{} : (*pending.change)(db);
  const StoreStatus statements = db.take_status();
  pending.status = !statements ? statements : status;
  if (!pending.status && !db.autocommit()) db.execute("ROLLBACK TO change");
  if (!db.autocommit()) db.execute("RELEASE change");
}

StoreStatus Index::finish_group() {
  Connection& db = *writer_;
  StoreStatus status = db.take_status();
  if (status && db.autocommit()) {
    return refuse(Reason::kUnavailable, "the index of the object store could not be written");
  }
  if (status) {
    db.execute("COMMIT");
    status = db.take_status();
  }
  if (!status && !db.autocommit()) {
    db.execute("ROLLBACK");
    (void)db.take_status();  // the first error is the one to tell
  }
  return status;
}

Index::Read::Read(Index& index, std::unique_ptr<Connection> connection)
    : index_(index), connection_(std::move(connection)) {
  connection_->execute("BEGIN");
}

Index::Read::~Read() {
  if (!connection_) return;
  if (!connection_->autocommit()) connection_->execute("COMMIT");
  if (!connection_->take_status()) return;  // not to be trusted again
  const std::lock_guard lock(index_.readers_mutex_);
  if (index_.idle_readers_.size() < kIdleReadersMax) index_.idle_readers_.push_back(std::move(connection_));
}

StoreResult<Index::Read> Index::read() {
  {
    const std::lock_guard lock(readers_mutex_);
    if (!idle_readers_.empty()) {
      auto connection = std::move(idle_readers_.back());
      idle_readers_.pop_back();
      return Read(*this, std::move(connection));
    }
  }
  auto connection = Connection::open(path_);
  if (!connection) return refuse(connection.error());
  return Read(*this, std::move(*connection));
}

}  // namespace fleetward::lake
