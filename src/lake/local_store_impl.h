#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "lake/contents.h"
#include "lake/index.h"
#include "lake/local_content.h"
#include "lake/local_store.h"
#include "lake/object_store.h"
#include "lake/rows.h"

namespace fleetward::lake {

// The store of a directory: the index decides, the content files hold the bytes. Its operations are in
// local_store.cc (opening, buckets), local_objects.cc, local_listing.cc and local_uploads.cc.
class LocalStore final : public ObjectStore {
 public:
  LocalStore(LocalStoreOptions options, const Clock& clock, Random& random, Logger& logger, Metrics& metrics);
  ~LocalStore() override;
  Status open();

  const StoreLimits& limits() const override { return options_.limits; }
  uint64_t buckets_version() const override { return buckets_version_; }
  StoreStatus create_bucket(const std::string& name, const std::string& region,
                            std::vector<Tag> tags) override;
  StoreStatus delete_bucket(const std::string& name) override;
  StoreResult<BucketInfo> bucket(const std::string& name) override;
  StoreResult<std::vector<BucketInfo>> buckets(const std::string& prefix, const std::string& after,
                                               size_t max) override;
  StoreResult<std::shared_ptr<const identity::PolicyDocument>> bucket_policy(
      const std::string& name) override;
  StoreStatus set_bucket_policy(const std::string& name, const std::string& text) override;
  StoreResult<std::vector<Tag>> bucket_tags(const std::string& name) override;
  StoreStatus set_bucket_tags(const std::string& name, std::vector<Tag> tags) override;

  StoreResult<std::unique_ptr<ContentWriter>> begin_content(const std::vector<ChecksumAlgorithm>& algorithms,
                                                            std::optional<uint64_t> expected_size) override;
  StoreResult<ObjectInfo> put(const std::string& bucket, const std::string& key,
                              std::unique_ptr<ContentWriter> content, PutRequest request) override;
  StoreResult<ObjectInfo> head(const std::string& bucket, const std::string& key) override;
  StoreResult<std::unique_ptr<ObjectReader>> open(const std::string& bucket, const std::string& key) override;
  StoreResult<bool> erase(const std::string& bucket, const std::string& key,
                          const Conditions& conditions) override;
  StoreResult<size_t> erase_many(const std::string& bucket, const std::vector<std::string>& keys) override;
  StoreStatus set_object_tags(const std::string& bucket, const std::string& key,
                              std::vector<Tag> tags) override;
  StoreResult<ObjectPage> list(const std::string& bucket, const ListQuery& query) override;

  StoreResult<UploadInfo> begin_upload(const std::string& bucket, const std::string& key,
                                       UploadRequest request) override;
  StoreResult<UploadInfo> upload(const std::string& bucket, const std::string& key,
                                 const std::string& upload_id) override;
  StoreResult<PartInfo> put_part(const std::string& bucket, const std::string& key,
                                 const std::string& upload_id, int number,
                                 std::unique_ptr<ContentWriter> content, ExpectedDigests expected) override;
  StoreResult<PartPage> list_parts(const std::string& bucket, const std::string& key,
                                   const std::string& upload_id, int after, size_t max) override;
  StoreResult<std::vector<PartInfo>> object_parts(const std::string& bucket, const std::string& key,
                                                  int after, size_t max) override;
  StoreResult<ObjectInfo> complete_upload(const std::string& bucket, const std::string& key,
                                          const std::string& upload_id, CompleteRequest request) override;
  StoreStatus abort_upload(const std::string& bucket, const std::string& key,
                           const std::string& upload_id) override;
  StoreResult<UploadPage> list_uploads(const std::string& bucket, const UploadQuery& query) override;

 private:
  Status take_lock();
  void clean_up();
  // Runs `change` durably, then removes what it doomed. Adds the forgetting of files removed earlier.
  using Change = std::function<StoreStatus(Connection&, std::vector<uint64_t>& doomed)>;
  StoreStatus write(const Change& change);
  // As write(); whoever waits for a bucket looks again.
  StoreStatus write_bucket(const Change& change);
  // `read(connection, bucket id)` on a snapshot; kNoSuchBucket.
  template <typename T>
  StoreResult<T> read(const std::string& bucket,
                      const std::function<StoreResult<T>(Connection&, int64_t)>& body);
  StoreStatus check_attributes(const ObjectAttributes& attributes) const;
  // Digests the client promised against those of the bytes.
  static StoreStatus check_expected(const ExpectedDigests& expected, const Digests& digests);
  void drop_object(Connection& db, const ObjectRow& row, std::vector<uint64_t>& doomed);
  StoreResult<std::vector<Piece>> pieces_of(Connection& db, const ObjectRow& row);
  uint64_t new_version();

  const LocalStoreOptions options_;
  const Clock& clock_;
  Random& random_;
  Logger& logger_;
  int lock_descriptor_ = -1;
  std::unique_ptr<Index> index_;
  std::unique_ptr<ContentFiles> files_;
  // Shared: reading which files an object has and pinning them. Exclusive: deciding that files may go.
  std::shared_mutex opening_;
  std::mutex policies_mutex_;
  std::map<std::string, std::shared_ptr<const identity::PolicyDocument>> policies_;  // by text
  std::atomic<uint64_t> buckets_version_ = 0;
  prometheus::Counter& bytes_written_;
  prometheus::Counter& objects_written_;
};

template <typename T>
StoreResult<T> LocalStore::read(const std::string& bucket,
                                const std::function<StoreResult<T>(Connection&, int64_t)>& body) {
  auto lease = index_->read();
  if (!lease) return refuse(lease.error());
  Connection& db = **lease;
  const auto id = find_bucket(db, bucket);
  StoreResult<T> result = id ? body(db, *id) : StoreResult<T>(no_such_bucket(bucket));
  if (auto ok = db.take_status(); !ok) return refuse(ok.error());
  return result;
}

// If-Match and If-None-Match of a write, against what is there now (nullptr: nothing).
StoreStatus check_write_conditions(const Conditions& conditions, const ObjectInfo* present);

}  // namespace fleetward::lake
