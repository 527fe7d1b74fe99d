#include "lake/local_store.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sys/file.h>
#include <sys/statvfs.h>

#include <fcntl.h>
#include <unistd.h>

#include "lake/local_store_impl.h"

namespace fleetward::lake {
namespace {

// Rows of removed files are dropped from the index this many at a time.
constexpr size_t kForgetBatch = 256;

identity::DocumentRules bucket_policy_rules(const StoreLimits& limits) {
  identity::DocumentRules rules;
  rules.principal_required = true;
  rules.characters_max = limits.policy_bytes_max;
  return rules;
}

BucketInfo read_bucket(const Statement& row) {
  return {std::string(row.text(0)), {row.integer(1)}, std::string(row.text(2))};
}

}  // namespace

LocalStore::LocalStore(LocalStoreOptions options, const Clock& clock, Random& random, Logger& logger,
                       Metrics& metrics)
    : options_(std::move(options)),
      clock_(clock),
      random_(random),
      logger_(logger),
      bytes_written_(
          metrics.counter("fleetward_lake_written_bytes", "Bytes of objects and parts made durable")),
      objects_written_(metrics.counter("fleetward_lake_objects_written_total", "Objects made durable")) {}

LocalStore::~LocalStore() {
  index_.reset();
  if (lock_descriptor_ >= 0) ::close(lock_descriptor_);
}

Status LocalStore::take_lock() {
  std::error_code error;
  std::filesystem::create_directories(options_.directory + "/contents", error);
  if (error) {
    return fail(ErrorCode::kUnavailable, "cannot make " + options_.directory + ": " + error.message());
  }
  const std::string path = options_.directory + "/lock";
  lock_descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_descriptor_ < 0) {
    return fail(ErrorCode::kUnavailable, "cannot open " + path + ": " + std::strerror(errno));
  }
  if (::flock(lock_descriptor_, LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorCode::kConflict, "another process has the object store " + options_.directory + " open");
  }
  return {};
}

Status LocalStore::open() {
  if (auto ok = take_lock(); !ok) return ok;
  // With a new index every content would be an orphan, and go.
  const std::string file = options_.directory + "/index.db";
  const std::string contents = options_.directory + "/contents";
  std::error_code ec;
  if (!std::filesystem::exists(file, ec) && std::filesystem::exists(contents, ec) &&
      !std::filesystem::is_empty(contents, ec)) {
    return fail(ErrorCode::kCorrupt,
                file + " is missing beside the objects' contents: restore it from a backup");
  }
  auto index = Index::open(file);
  if (!index) return fail(to_error(index.error()));
  index_ = std::move(*index);
  files_ = std::make_unique<ContentFiles>(contents, index_->stored_watermarks());
  clean_up();
  index_->set_watermarks([this] { return files_->watermarks(); });
  return {};
}

void LocalStore::clean_up() {
  const Index::Watermarks marks = index_->stored_watermarks();
  size_t orphans = 0;
  const std::vector<uint64_t> on_disk = files_->scan(marks.clean_below);
  std::vector<uint64_t> garbage;
  if (auto lease = index_->read()) {
    for (const uint64_t id : on_disk) {
      Statement known = (*lease)->prepare("SELECT 1 FROM files WHERE id = ?");
      if (known.bind(id).step() || (*lease)->failed()) continue;
      files_->discard(id);
      ++orphans;
    }
    Statement rows = (*lease)->prepare("SELECT id FROM files WHERE garbage = 1");
    while (rows.step()) garbage.push_back(rows.number(0));
  }
  if (!on_disk.empty()) files_->raise_next_id(on_disk.back() + 1);
  files_->doom(garbage);
  if (orphans + garbage.size() > 0) {
    logger_.info("lake_cleaned", {{"orphan_files", std::to_string(orphans)},
                                  {"replaced_files", std::to_string(garbage.size())}});
  }
}

StoreStatus LocalStore::write(const Change& change) {
  std::vector<uint64_t> doomed;
  const std::vector<uint64_t> removed = files_->take_removed(kForgetBatch);
  StoreStatus status = index_->write([&](Connection& db) -> StoreStatus {
    for (const uint64_t id : removed) db.prepare("DELETE FROM files WHERE id = ?").bind(id).step();
    return change(db, doomed);
  });
  if (status && !doomed.empty()) {
    const std::unique_lock lock(opening_);
    files_->doom(doomed);
  }
  return status;
}

StoreStatus LocalStore::write_bucket(const Change& change) {
  StoreStatus status = write(change);
  if (status) ++buckets_version_;
  return status;
}

uint64_t LocalStore::new_version() {
  const uint64_t id = files_->reserve();
  files_->settle(id);
  return id;
}

StoreStatus LocalStore::create_bucket(const std::string& name, const std::string& region,
                                      std::vector<Tag> tags) {
  if (auto ok = check_bucket_name(name); !ok) return ok;
  if (auto ok = check_tags(tags, options_.limits.bucket_tags_max); !ok) return ok;
  const Timestamp now = clock_.now();
  return write_bucket([&](Connection& db, std::vector<uint64_t>&) -> StoreStatus {
    if (find_bucket(db, name)) {
      return refuse(Reason::kBucketAlreadyOwned,
                    "Your previous request to create the named bucket succeeded and you already own it.");
    }
    Statement count = db.prepare("SELECT count(*) FROM buckets");
    if (count.step() && count.number(0) >= options_.limits.buckets_max) {
      return refuse(Reason::kTooMany, "You have attempted to create more buckets than allowed");
    }
    db.prepare("INSERT INTO buckets(name, created_ms, region, tags) VALUES(?,?,?,?)")
        .bind(std::string_view(name))
        .bind(now.ms)
        .bind(std::string_view(region))
        .bind(std::string_view(encode_tags(tags)))
        .step();
    return {};
  });
}

StoreStatus LocalStore::delete_bucket(const std::string& name) {
  return write_bucket([&](Connection& db, std::vector<uint64_t>& doomed) -> StoreStatus {
    const auto id = find_bucket(db, name);
    if (!id) return no_such_bucket(name);
    if (db.prepare("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1").bind(*id).step()) {
      return refuse(Reason::kBucketNotEmpty, "The bucket you tried to delete is not empty");
    }
    // Uploads that nobody completed do not keep a bucket: they end with it.
    Statement parts = db.prepare(
        "SELECT p.content, p.inlined FROM upload_parts p JOIN uploads u ON u.id = p.upload"
        " WHERE u.bucket = ?");
    parts.bind(*id);
    while (parts.step()) drop_content(db, {parts.number(0), parts.integer(1) != 0}, doomed);
    db.prepare("DELETE FROM upload_parts WHERE upload IN (SELECT id FROM uploads WHERE bucket = ?)")
        .bind(*id)
        .step();
    db.prepare("DELETE FROM uploads WHERE bucket = ?").bind(*id).step();
    db.prepare("DELETE FROM buckets WHERE id = ?").bind(*id).step();
    return {};
  });
}

StoreResult<BucketInfo> LocalStore::bucket(const std::string& name) {
  return read<BucketInfo>(name, [&](Connection& db, int64_t id) -> StoreResult<BucketInfo> {
    Statement row = db.prepare("SELECT name, created_ms, region FROM buckets WHERE id = ?");
    if (!row.bind(id).step()) return no_such_bucket(name);
    return read_bucket(row);
  });
}

StoreResult<std::vector<BucketInfo>> LocalStore::buckets(const std::string& prefix, const std::string& after,
                                                         size_t max) {
  auto lease = index_->read();
  if (!lease) return refuse(lease.error());
  std::vector<BucketInfo> out;
  {
    Statement row = (*lease)->prepare(
        "SELECT name, created_ms, region FROM buckets WHERE name > ? AND name >= ? ORDER BY name");
    row.bind(std::string_view(after)).bind(std::string_view(prefix));
    while (out.size() < max && row.step() && row.text(0).substr(0, prefix.size()) == prefix) {
      out.push_back(read_bucket(row));
    }
  }
  if (auto ok = (*lease)->take_status(); !ok) return refuse(ok.error());
  return out;
}

StoreResult<std::shared_ptr<const identity::PolicyDocument>> LocalStore::bucket_policy(
    const std::string& name) {
  using Policy = std::shared_ptr<const identity::PolicyDocument>;
  auto text = read<std::string>(name, [&](Connection& db, int64_t id) -> StoreResult<std::string> {
    Statement row = db.prepare("SELECT policy FROM buckets WHERE id = ?");
    return row.bind(id).step() ? std::string(row.text(0)) : std::string();
  });
  if (!text) return refuse(text.error());
  if (text->empty()) return refuse(Reason::kNoSuchBucketPolicy, "The bucket policy does not exist");
  const std::lock_guard lock(policies_mutex_);
  Policy& compiled = policies_[*text];
  if (!compiled) {
    auto parsed = identity::PolicyDocument::parse(*text, bucket_policy_rules(options_.limits));
    if (!parsed) {
      policies_.erase(*text);
      return refuse(Reason::kCorrupt, "the stored policy of " + name + ": " + parsed.error().message);
    }
    compiled = *parsed;
    // Policies that were replaced would gather here for ever.
    if (policies_.size() > options_.limits.buckets_max) policies_ = {{*text, *parsed}};
    return *parsed;
  }
  return compiled;
}

StoreStatus LocalStore::set_bucket_policy(const std::string& name, const std::string& text) {
  if (!text.empty()) {
    auto parsed = identity::PolicyDocument::parse(text, bucket_policy_rules(options_.limits));
    if (!parsed) return refuse(Reason::kMalformedPolicy, parsed.error().message);
  }
  return write_bucket([&](Connection& db, std::vector<uint64_t>&) -> StoreStatus {
    const auto id = find_bucket(db, name);
    if (!id) return no_such_bucket(name);
    db.prepare("UPDATE buckets SET policy = ? WHERE id = ?").bind(std::string_view(text)).bind(*id).step();
    return {};
  });
}

StoreResult<std::vector<Tag>> LocalStore::bucket_tags(const std::string& name) {
  return read<std::vector<Tag>>(name, [&](Connection& db, int64_t id) -> StoreResult<std::vector<Tag>> {
    Statement row = db.prepare("SELECT tags FROM buckets WHERE id = ?");
    return row.bind(id).step() ? decode_tags(row.text(0)) : std::vector<Tag>();
  });
}

StoreStatus LocalStore::set_bucket_tags(const std::string& name, std::vector<Tag> tags) {
  if (auto ok = check_tags(tags, options_.limits.bucket_tags_max); !ok) return ok;
  return write([&](Connection& db, std::vector<uint64_t>&) -> StoreStatus {
    const auto id = find_bucket(db, name);
    if (!id) return no_such_bucket(name);
    db.prepare("UPDATE buckets SET tags = ? WHERE id = ?")
        .bind(std::string_view(encode_tags(tags)))
        .bind(*id)
        .step();
    return {};
  });
}

StoreResult<std::unique_ptr<ContentWriter>> LocalStore::begin_content(
    const std::vector<ChecksumAlgorithm>& algorithms, std::optional<uint64_t> expected_size) {
  const uint64_t expected = expected_size.value_or(0);
  if (expected > options_.limits.put_bytes_max) {
    return refuse(Reason::kEntityTooLarge, "Your proposed upload exceeds the maximum allowed size.");
  }
  struct statvfs space{};
  if (::statvfs(options_.directory.c_str(), &space) == 0) {
    const uint64_t free = static_cast<uint64_t>(space.f_bavail) * space.f_frsize;
    if (free < options_.free_bytes_min || free - options_.free_bytes_min < expected) {
      return refuse(Reason::kUnavailable, "No space left on device: the object store's disk has " +
                                              std::to_string(free) + " bytes free");
    }
  }
  return std::make_unique<LocalContent>(*files_, options_.inline_bytes_max, options_.limits.put_bytes_max,
                                        algorithms);
}

Result<std::unique_ptr<ObjectStore>> open_local_store(LocalStoreOptions options, const Clock& clock,
                                                      Random& random, Logger& logger, Metrics& metrics) {
  auto store = std::make_unique<LocalStore>(std::move(options), clock, random, logger, metrics);
  if (auto ok = store->open(); !ok) return fail(ok.error());
  return store;
}

}  // namespace fleetward::lake
