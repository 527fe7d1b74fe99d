#include "log/storage.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <exception>
#include <mutex>

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>

#include "log/group.h"
#include "log/keys.h"
#include "log/manifest_seal.h"

namespace fleetward::log {
namespace {

constexpr std::string_view kFormatNow = "2";
constexpr std::string_view kFormatBefore = "1";  // had no "G"
constexpr size_t kProbeBytes = 1 << 20;          // more than a log file's next block

rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}

std::string_view view(const rocksdb::Slice& s) {
  return {s.data(), s.size()};
}

Error error_of(const rocksdb::Status& status) {
  const std::string text = status.ToString();
  if (status.IsCorruption()) return {ErrorCode::kCorrupt, "log: " + text};
  if (text.find("lock hold by current process") != std::string::npos ||
      text.find("While lock file") != std::string::npos) {
    return {ErrorCode::kConflict, "log: the data directory is in use by another process"};
  }
  if (status.IsInvalidArgument()) return {ErrorCode::kCorrupt, "log: " + text};
  return {ErrorCode::kUnavailable, "log: " + text};
}

Status status_of(const rocksdb::Status& status) {
  if (status.ok()) return {};
  return fail(error_of(status));
}

rocksdb::ColumnFamilyOptions family_options(const std::shared_ptr<rocksdb::Cache>& cache, size_t block_bytes,
                                            size_t buffer_bytes) {
  rocksdb::ColumnFamilyOptions options;
  const auto compressions = rocksdb::GetSupportedCompressions();
  const bool has_lz4 =
      std::find(compressions.begin(), compressions.end(), rocksdb::kLZ4Compression) != compressions.end();
  options.compression = has_lz4 ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
  options.write_buffer_size = buffer_bytes;
  options.max_write_buffer_number = 3;
  // Twice the usual: each merge of level 0 writes what it overlaps of level 1 again, which keys in no order
  // (those of things) do with all of it.
  options.level0_file_num_compaction_trigger = 8;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.block_size = block_bytes;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

// RocksDB's own messages, from warnings up, join ours. It has no LOG file: one on a full disk makes a RocksDB
// that was built with assertions (as Debian's is) abort the process at its next message.
class EngineLogger final : public rocksdb::Logger {
 public:
  explicit EngineLogger(fleetward::Logger& logger) : Logger(rocksdb::WARN_LEVEL), logger_(logger) {}

  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override { Logv(rocksdb::WARN_LEVEL, format, arguments); }
  void Logv(const rocksdb::InfoLogLevel level, const char* format, va_list arguments) override {
    if (level < rocksdb::WARN_LEVEL || level >= rocksdb::HEADER_LEVEL) return;
    char text[512];
    std::vsnprintf(text, sizeof text, format, arguments);
    std::string_view message = text;
    while (message.ends_with('\n')) message.remove_suffix(1);
    logger_.log(level == rocksdb::WARN_LEVEL ? LogLevel::kWarn : LogLevel::kError, "log_engine",
                {{"message", message}});
  }
  void LogHeader(const char*, va_list) override {}

 private:
  fleetward::Logger& logger_;
};

rocksdb::DBOptions database_options(rocksdb::Env* env, fleetward::Logger& logger) {
  rocksdb::DBOptions options;
  // After a power cut the end of the WAL may be anything. What lay before the damage is kept; whether more
  // was acknowledged is for check_acknowledged() to say.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  options.info_log = std::make_shared<EngineLogger>(logger);
  if (env != nullptr) options.env = env;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.max_background_jobs = 2;
  options.max_total_wal_size = size_t{256} << 20;
  options.max_manifest_file_size = size_t{4} << 20;  // the seal reads it whole
  options.db_write_buffer_size = size_t{128} << 20;  // of all three families
  options.max_open_files = 256;                      // connections need descriptors too
  options.info_log_level = rocksdb::WARN_LEVEL;
  // When to try again is decided by Storage::recover, so that trouble() tells the truth.
  options.max_bgerror_resume_count = 0;
  return options;
}

}  // namespace

Storage::Storage(std::string directory, rocksdb::Env* env, bool accept_loss, fleetward::Logger& logger)
    : directory_(std::move(directory)),
      env_(env),
      accept_loss_(accept_loss),
      logger_(logger),
      seal_(std::make_shared<ManifestSeal>(directory_)) {}

Storage::~Storage() {
  close();
}

void Storage::close() {
  if (!database_) return;
  for (auto* family : {families_.meta, families_.records, families_.state}) {
    if (family != nullptr) database_->DestroyColumnFamilyHandle(family);
  }
  families_ = {};
  database_->Close().PermitUncheckedError();
  database_.reset();
}

Status Storage::open_database() {
  const auto cache = rocksdb::NewLRUCache(size_t{64} << 20);
  // Chunks are up to 64 KiB and read in sequence; state is small and read at random.
  const std::vector<rocksdb::ColumnFamilyDescriptor> descriptors = {
      {rocksdb::kDefaultColumnFamilyName, family_options(cache, 4096, size_t{8} << 20)},
      {"records", family_options(cache, 65536, size_t{64} << 20)},
      {"state", family_options(cache, 4096, size_t{32} << 20)}};
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* database = nullptr;
  rocksdb::DBOptions options = database_options(env_, logger_);
  // Where there was a log, a new one would remove what is left of it.
  options.create_if_missing = !acknowledged_.value();
  options.listeners.push_back(seal_);
  const auto opened = rocksdb::DB::Open(options, directory_, descriptors, &handles, &database);
  if (opened.IsPathNotFound()) return fail(ErrorCode::kCorrupt, "log: " + opened.ToString());
  if (!opened.ok()) return status_of(opened);
  database_.reset(database);
  families_ = {handles[0], handles[1], handles[2]};
  return {};
}

Status Storage::open(Index& index) {
  const std::unique_lock lock(open_mutex_);
  auto* env = env_ != nullptr ? env_ : rocksdb::Env::Default();
  if (const auto made = env->CreateDirIfMissing(directory_); !made.ok()) return status_of(made);
  Status opened = acknowledged_.read(directory_ + "/acknowledged");
  if (opened) opened = seal_->check();
  if (!opened && !accept_loss_) return opened;
  if (!opened) logger_.error("log_loss_accepted", {{"reason", opened.error().message}});
  opened = open_database();
  if (opened) opened = load(index);
  if (opened) opened = check_acknowledged(index);
  if (opened) opened = acknowledged_.open(index.group);
  if (opened) {
    seal_->seal(*database_);
  } else {
    close();
  }
  return opened;
}

Status Storage::load(Index& index) {
  index = Index{};
  bool format_seen = false;
  const std::unique_ptr<rocksdb::Iterator> it(database_->NewIterator({}, families_.meta));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    const std::string_view key = view(it->key());
    const std::string_view value = view(it->value());
    if (key == keys::kFormat) {
      if (value != kFormatNow && value != kFormatBefore) {
        return fail(ErrorCode::kInvalidArgument, "log: the data directory has format " + std::string(value) +
                                                     ", this program reads " + std::string(kFormatNow) +
                                                     "; use a newer release");
      }
      format_seen = value == kFormatNow;
    } else if (key == keys::kGroup) {  // last_group()
    } else if (key == keys::kNextId && value.size() == 4) {
      index.next_id = static_cast<uint32_t>(keys::get_big_endian(value));
    } else if (key.starts_with('P') && key.size() >= 5 && value.size() == 20) {
      const Partition partition{std::string(key.substr(1, key.size() - 5)),
                                static_cast<uint32_t>(keys::get_big_endian(key.substr(key.size() - 4)))};
      PartitionInfo info;
      info.id = static_cast<uint32_t>(keys::get_big_endian(value.substr(0, 4)));
      info.begin = keys::get_big_endian(value.substr(4, 8));
      info.end = keys::get_big_endian(value.substr(12, 8));
      index.partitions[partition] = info;
    } else if (key.starts_with('C') && key.size() >= 6 && key.find('\0') != key.npos && value.size() == 8) {
      const size_t separator = key.find('\0');
      const std::string_view where = key.substr(separator + 1);
      if (where.size() < 4) return fail(ErrorCode::kCorrupt, "log: a consumer's key is too short");
      const Partition partition{std::string(where.substr(0, where.size() - 4)),
                                static_cast<uint32_t>(keys::get_big_endian(where.substr(where.size() - 4)))};
      index.committed[{partition, std::string(key.substr(1, separator - 1))}] = keys::get_big_endian(value);
    } else {
      return fail(ErrorCode::kCorrupt, "log: an unknown or damaged key in the index");
    }
  }
  if (!it->status().ok()) return status_of(it->status());
  const auto group = last_group();
  if (!group) return fail(group.error());
  index.group = *group;
  if (format_seen) return {};
  rocksdb::WriteOptions synced;
  synced.sync = true;
  return status_of(database_->Put(synced, families_.meta, slice(keys::kFormat), slice(kFormatNow)));
}

// That every family has.
Result<uint64_t> Storage::last_group() const {
  const std::string of_records = keys::group_of_records();
  const std::pair<rocksdb::ColumnFamilyHandle*, rocksdb::Slice> places[] = {
      {families_.meta, slice(keys::kGroup)},
      {families_.records, of_records},
      {families_.state, slice(keys::kGroupOfState)}};
  uint64_t least = UINT64_MAX;
  for (const auto& [family, key] : places) {
    std::string value;
    const auto found = database_->Get({}, family, key, &value);
    if (!found.ok() && !found.IsNotFound()) return fail(error_of(found));
    least = std::min(least, found.ok() && value.size() == 8 ? keys::get_big_endian(value) : 0);
  }
  return least;
}

Status Storage::check_acknowledged(const Index& index) {
  const std::optional<uint64_t> before = acknowledged_.value();
  if (index.group >= before.value_or(0) && (before || index.group == 0)) return {};
  const std::string acknowledged = before ? std::to_string(*before) : "an unknown number of";
  if (accept_loss_) {
    logger_.error("log_loss_accepted",
                  {{"writes_acknowledged", acknowledged}, {"writes_there", std::to_string(index.group)}});
    return {};
  }
  return fail(ErrorCode::kCorrupt, "log: " + acknowledged + " writes were acknowledged and " +
                                       std::to_string(index.group) +
                                       " are there: files of the log were damaged, removed or put back");
}

std::unique_ptr<Storage::Group> Storage::begin_group(const Index& index) const {
  return std::make_unique<Group>(index, families_);
}

Status Storage::commit(Group& group) {
  if (!database_) return fail(ErrorCode::kUnavailable, "log: closed after a failure");
  rocksdb::WriteOptions synced;
  synced.sync = true;
  const auto written = database_->Write(synced, &group.finish());
  // Whatever the reason, to a caller it means: not now.
  if (!written.ok()) return fail(ErrorCode::kUnavailable, "log: " + written.ToString());
  acknowledged_.raise(group.number());
  return {};
}

Result<std::vector<Record>> Storage::read(const PartitionInfo& partition, Offset from,
                                          size_t bytes_max) const {
  const std::shared_lock lock(open_mutex_);
  if (!database_) return fail(ErrorCode::kUnavailable, "log: closed after a failure");
  std::vector<Record> out;
  const std::string upper = keys::record(partition.id + 1, 0);
  const rocksdb::Slice upper_slice(upper);
  rocksdb::ReadOptions options;
  options.iterate_upper_bound = &upper_slice;
  const Offset first = std::max(from, partition.begin);
  const std::unique_ptr<rocksdb::Iterator> it(database_->NewIterator(options, families_.records));
  bool more = true;
  for (it->Seek(keys::record(partition.id, first)); more && it->Valid(); it->Next()) {
    const Offset last = keys::get_big_endian(view(it->key()).substr(4));
    if (auto decoded = decode_chunk(view(it->value()), last, first, bytes_max, &more, out); !decoded) {
      return fail(decoded.error());
    }
  }
  if (!it->status().ok()) return fail(error_of(it->status()));
  return out;
}

Result<std::optional<std::string>> Storage::get(std::string_view key) const {
  const std::shared_lock lock(open_mutex_);
  if (!database_) return fail(ErrorCode::kUnavailable, "log: closed after a failure");
  std::string value;
  const auto found = database_->Get({}, families_.state, slice(key), &value);
  if (found.IsNotFound()) return std::nullopt;
  if (!found.ok()) return fail(error_of(found));
  return value;
}

Result<std::vector<KeyValue>> Storage::scan(std::string_view begin, std::string_view end, size_t count_max,
                                            bool reverse) const {
  const std::shared_lock lock(open_mutex_);
  if (!database_) return fail(ErrorCode::kUnavailable, "log: closed after a failure");
  std::vector<KeyValue> out;
  begin = std::max(begin, keys::kStateBegin);
  if (begin >= end) return out;
  const rocksdb::Slice lower = slice(begin), upper = slice(end);
  rocksdb::ReadOptions options;
  options.iterate_lower_bound = &lower;
  options.iterate_upper_bound = &upper;
  const std::unique_ptr<rocksdb::Iterator> it(database_->NewIterator(options, families_.state));
  for (reverse ? it->SeekToLast() : it->Seek(lower); it->Valid() && out.size() < count_max;
       reverse ? it->Prev() : it->Next()) {
    out.push_back({it->key().ToString(), it->value().ToString()});
  }
  if (!it->status().ok()) return fail(error_of(it->status()));
  return out;
}

Status Storage::probe_disk() const {
  auto* env = env_ != nullptr ? env_ : rocksdb::Env::Default();
  const std::string path = directory_ + "/probe.tmp";
  std::unique_ptr<rocksdb::WritableFile> file;
  auto status = env->NewWritableFile(path, &file, {});
  if (status.ok()) status = file->Append(std::string(kProbeBytes, 'p'));
  if (status.ok()) status = file->Sync();
  if (status.ok()) status = file->Close();
  file.reset();
  env->DeleteFile(path).PermitUncheckedError();
  return status_of(status);
}

// A synced write that changes nothing.
Status Storage::probe_database() {
  rocksdb::WriteOptions synced;
  synced.sync = true;
  return status_of(database_->Put(synced, families_.meta, slice(keys::kFormat), slice(kFormatNow)));
}

Status Storage::recover(Index& index, std::shared_mutex& index_mutex) {
  // While the disk still refuses, leave RocksDB alone: it goes on answering reads.
  if (auto probed = probe_disk(); !probed) return probed;
  // Opened anew rather than resumed: what a failed write left at the end of the WAL is then judged by the
  // same code that judges it after a crash.
  const std::unique_lock lock(open_mutex_);
  close();
  if (auto opened = open_database(); !opened) return opened;
  Index fresh;
  Status loaded = load(fresh);
  if (loaded) loaded = check_acknowledged(fresh);
  if (loaded) loaded = probe_database();
  if (!loaded) {
    close();
    return loaded;
  }
  seal_->seal(*database_);
  const std::unique_lock index_lock(index_mutex);
  index = std::move(fresh);
  return {};
}

}  // namespace fleetward::log
