#include "core/encoding.h"
#include "lake/local_store_impl.h"

namespace fleetward::lake {
namespace {

tl::unexpected<StoreError> no_such_key() {
  return refuse(Reason::kNoSuchKey, "The specified key does not exist.");
}

size_t user_metadata_bytes(const ObjectAttributes& attributes) {
  size_t bytes = 0;
  for (const auto& [name, value] : attributes.user) bytes += name.size() + value.size();
  return bytes;
}

}  // namespace

StoreStatus check_write_conditions(const Conditions& conditions, const ObjectInfo* present) {
  if (conditions.if_match) {
    if (present == nullptr) return no_such_key();
    Conditions match;
    match.if_match = conditions.if_match;
    if (auto ok = check_read_conditions(match, *present); !ok) return ok;
  }
  if (conditions.if_none_match && present != nullptr) {
    Conditions none_match;
    none_match.if_none_match = conditions.if_none_match;
    if (!check_read_conditions(none_match, *present)) {
      return refuse(Reason::kPreconditionFailed,
                    "At least one of the pre-conditions you specified did not hold");
    }
  }
  return {};
}

StoreStatus LocalStore::check_attributes(const ObjectAttributes& attributes) const {
  const StoreLimits& limits = options_.limits;
  if (user_metadata_bytes(attributes) > limits.user_metadata_bytes_max) {
    return refuse(Reason::kMetadataTooLarge,
                  "Your metadata headers exceed the maximum allowed metadata size of " +
                      std::to_string(limits.user_metadata_bytes_max) + " bytes");
  }
  for (const std::string* header :
       {&attributes.content_type, &attributes.content_encoding, &attributes.content_disposition,
        &attributes.content_language, &attributes.cache_control, &attributes.expires,
        &attributes.website_redirect}) {
    if (header->size() > limits.content_header_bytes_max) {
      return refuse(
          Reason::kMetadataTooLarge,
          "A content header is longer than " + std::to_string(limits.content_header_bytes_max) + " bytes");
    }
  }
  return check_tags(attributes.tags, limits.object_tags_max);
}

StoreStatus LocalStore::check_expected(const ExpectedDigests& expected, const Digests& digests) {
  if (!expected.md5_base64.empty()) {
    const auto raw = from_base64(expected.md5_base64);
    if (!raw || raw->size() != 16) {
      return refuse(Reason::kInvalidDigest, "The Content-MD5 you specified was invalid.");
    }
    if (*raw != digests.md5()) {
      return refuse(Reason::kBadDigest, "The Content-MD5 you specified did not match what we received.");
    }
  }
  const Checksum& checksum = expected.checksum;
  if (checksum.algorithm == ChecksumAlgorithm::kNone) return {};
  if (auto ok = check_digest_text(checksum.algorithm, checksum.value); !ok) return ok;
  if (to_base64(digests.raw(checksum.algorithm)) != checksum.value) {
    return refuse(Reason::kBadDigest, "The " + std::string(to_string(checksum.algorithm)) +
                                          " you specified did not match the calculated checksum.");
  }
  return {};
}

void LocalStore::drop_object(Connection& db, const ObjectRow& row, std::vector<uint64_t>& doomed) {
  if (row.info.parts == 0) {
    drop_content(db, row.content, doomed);
    return;
  }
  Statement parts = db.prepare("SELECT content, inlined FROM object_parts WHERE version = ?");
  parts.bind(row.info.version);
  while (parts.step()) drop_content(db, {parts.number(0), parts.integer(1) != 0}, doomed);
  db.prepare("DELETE FROM object_parts WHERE version = ?").bind(row.info.version).step();
}

StoreResult<ObjectInfo> LocalStore::put(const std::string& bucket, const std::string& key,
                                        std::unique_ptr<ContentWriter> content, PutRequest request) {
  auto& local = static_cast<LocalContent&>(*content);  // only begin_content() makes writers
  if (auto ok = check_key(key, options_.limits); !ok) return refuse(ok.error());
  if (auto ok = check_attributes(request.attributes); !ok) return refuse(ok.error());
  if (auto ok = local.seal(); !ok) return refuse(ok.error());
  if (auto ok = check_expected(request.expected, local.digests()); !ok) return refuse(ok.error());

  ObjectRow row;
  row.info.key = key;
  row.info.version = new_version();
  row.info.size = local.size();
  row.info.etag = to_hex(local.digests().md5());
  row.info.checksum = request.expected.checksum;
  if (row.info.checksum.algorithm == ChecksumAlgorithm::kNone && !local.algorithms().empty()) {
    const ChecksumAlgorithm algorithm = local.algorithms().front();
    row.info.checksum = {algorithm, ChecksumType::kFullObject, to_base64(local.digests().raw(algorithm))};
  }
  row.info.attributes = std::move(request.attributes);
  row.content = local.ref();
  const Timestamp now = clock_.now();
  auto status = write([&](Connection& db, std::vector<uint64_t>& doomed) -> StoreStatus {
    const auto id = find_bucket(db, bucket);
    if (!id) return no_such_bucket(bucket);
    const auto present = find_object(db, *id, key);
    if (auto ok = check_write_conditions(request.conditions, present ? &present->info : nullptr); !ok) {
      return ok;
    }
    if (present) drop_object(db, *present, doomed);
    local.insert(db);
    row.info.modified = now;
    insert_object(db, *id, row);
    return {};
  });
  if (!status) return refuse(status.error());
  local.commit();
  bytes_written_.Increment(static_cast<double>(row.info.size));
  objects_written_.Increment();
  return row.info;
}

StoreResult<ObjectInfo> LocalStore::head(const std::string& bucket, const std::string& key) {
  return read<ObjectInfo>(bucket, [&](Connection& db, int64_t id) -> StoreResult<ObjectInfo> {
    auto row = find_object(db, id, key);
    if (!row) return no_such_key();
    return std::move(row->info);
  });
}

StoreResult<std::vector<Piece>> LocalStore::pieces_of(Connection& db, const ObjectRow& row) {
  std::vector<Piece> pieces;
  if (row.info.parts == 0) {
    pieces.push_back({1, 0, row.info.size, row.content, row.info.checksum.value, {}});
  } else {
    Statement parts = db.prepare(
        "SELECT number, size, md5, checksum, modified_ms, content, inlined FROM object_parts"
        " WHERE version = ? ORDER BY number");
    parts.bind(row.info.version);
    uint64_t offset = 0;
    while (parts.step()) {
      const PartRow part = read_part(parts);
      pieces.push_back({part.number, offset, part.size, part.content, to_base64(part.checksum), {}});
      offset += part.size;
    }
  }
  for (Piece& piece : pieces) {
    if (!piece.content.inlined || piece.content.id == 0) continue;
    Statement bytes = db.prepare("SELECT bytes FROM contents WHERE id = ?");
    if (bytes.bind(piece.content.id).step()) piece.bytes = std::string(bytes.text(0));
    if (piece.bytes.size() != piece.size) {
      return refuse(Reason::kCorrupt, "the object's bytes are not what the index says");
    }
  }
  return pieces;
}

StoreResult<std::unique_ptr<ObjectReader>> LocalStore::open(const std::string& bucket,
                                                            const std::string& key) {
  using Reader = std::unique_ptr<ObjectReader>;
  const std::shared_lock lock(opening_);
  return read<Reader>(bucket, [&](Connection& db, int64_t id) -> StoreResult<Reader> {
    auto row = find_object(db, id, key);
    if (!row) return no_such_key();
    auto pieces = pieces_of(db, *row);
    if (!pieces) return refuse(pieces.error());
    return std::make_unique<LocalReader>(*files_, std::move(row->info), std::move(*pieces));
  });
}

StoreResult<bool> LocalStore::erase(const std::string& bucket, const std::string& key,
                                    const Conditions& conditions) {
  bool existed = false;
  auto status = write([&](Connection& db, std::vector<uint64_t>& doomed) -> StoreStatus {
    const auto id = find_bucket(db, bucket);
    if (!id) return no_such_bucket(bucket);
    const auto present = find_object(db, *id, key);
    if (auto ok = check_write_conditions(conditions, present ? &present->info : nullptr); !ok) return ok;
    if (!present) return {};
    existed = true;
    drop_object(db, *present, doomed);
    db.prepare("DELETE FROM objects WHERE bucket = ? AND key = ?").bind(*id).bind_blob(key).step();
    return {};
  });
  if (!status) return refuse(status.error());
  return existed;
}

StoreResult<size_t> LocalStore::erase_many(const std::string& bucket, const std::vector<std::string>& keys) {
  size_t count = 0;
  auto status = write([&](Connection& db, std::vector<uint64_t>& doomed) -> StoreStatus {
    const auto id = find_bucket(db, bucket);
    if (!id) return no_such_bucket(bucket);
    for (const std::string& key : keys) {
      const auto present = find_object(db, *id, key);
      if (!present) continue;
      drop_object(db, *present, doomed);
      db.prepare("DELETE FROM objects WHERE bucket = ? AND key = ?").bind(*id).bind_blob(key).step();
      ++count;
    }
    return {};
  });
  if (!status) return refuse(status.error());
  return count;
}

StoreStatus LocalStore::set_object_tags(const std::string& bucket, const std::string& key,
                                        std::vector<Tag> tags) {
  if (auto ok = check_tags(tags, options_.limits.object_tags_max); !ok) return ok;
  return write([&](Connection& db, std::vector<uint64_t>&) -> StoreStatus {
    const auto id = find_bucket(db, bucket);
    if (!id) return no_such_bucket(bucket);
    auto row = find_object(db, *id, key);
    if (!row) return no_such_key();
    row->info.attributes.tags = tags;
    insert_object(db, *id, *row);
    return {};
  });
}

}  // namespace fleetward::lake
