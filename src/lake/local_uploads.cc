#include <algorithm>

#include "core/encoding.h"
#include "lake/local_store_impl.h"

namespace fleetward::lake {
namespace {

struct UploadRow {
  UploadInfo info;
  std::string attributes;
};

std::optional<UploadRow> find_upload(Connection& db, int64_t bucket, const std::string& key,
                                     const std::string& id) {
  Statement found = db.prepare(
      "SELECT initiated_ms, checksum_algorithm, checksum_type, attributes FROM uploads"
      " WHERE bucket = ? AND key = ? AND id = ?");
  if (!found.bind(bucket).bind_blob(key).bind(std::string_view(id)).step()) return std::nullopt;
  UploadRow row;
  row.info = {id,
              key,
              {found.integer(0)},
              static_cast<ChecksumAlgorithm>(found.integer(1)),
              static_cast<ChecksumType>(found.integer(2))};
  row.attributes = std::string(found.text(3));
  return row;
}

tl::unexpected<StoreError> no_such_upload() {
  return refuse(
      Reason::kNoSuchUpload,
      "The specified upload does not exist. The upload ID may be invalid, or the upload may have been "
      "aborted or completed.");
}

std::vector<PartRow> all_parts(Connection& db, const std::string& upload) {
  Statement rows = db.prepare(
      "SELECT number, size, md5, checksum, modified_ms, content, inlined FROM upload_parts"
      " WHERE upload = ? ORDER BY number");
  rows.bind(std::string_view(upload));
  std::vector<PartRow> parts;
  while (rows.step()) parts.push_back(read_part(rows));
  return parts;
}

void delete_upload(Connection& db, int64_t bucket, const std::string& key, const std::string& id) {
  db.prepare("DELETE FROM upload_parts WHERE upload = ?").bind(std::string_view(id)).step();
  db.prepare("DELETE FROM uploads WHERE bucket = ? AND key = ? AND id = ?")
      .bind(bucket)
      .bind_blob(key)
      .bind(std::string_view(id))
      .step();
}

// The parts of `stored` that the client named, in order, checked against what it said of them.
StoreResult<std::vector<PartRow>> chosen_parts(const std::vector<PartRow>& stored,
                                               const std::vector<CompletedPart>& named,
                                               ChecksumAlgorithm algorithm, const StoreLimits& limits) {
  std::vector<PartRow> chosen;
  chosen.reserve(named.size());
  uint64_t total = 0;
  for (const CompletedPart& part : named) {
    if (!chosen.empty() && part.number <= chosen.back().number) {
      return refuse(Reason::kInvalidPartOrder,
                    "The list of parts was not in ascending order. Parts must be ordered by part number.");
    }
    const auto it = std::lower_bound(stored.begin(), stored.end(), part.number,
                                     [](const PartRow& row, int number) { return row.number < number; });
    const bool known = it != stored.end() && it->number == part.number && to_hex(it->md5) == part.etag;
    const bool summed =
        part.checksum.algorithm == ChecksumAlgorithm::kNone ||
        (known && part.checksum.algorithm == algorithm && part.checksum.value == to_base64(it->checksum));
    if (!known || !summed) {
      return refuse(Reason::kInvalidPart,
                    "One or more of the specified parts could not be found. The part may not have been "
                    "uploaded, or the specified entity tag may not match the part's entity tag.");
    }
    if (!chosen.empty() && chosen.back().size < limits.part_bytes_min) {
      return refuse(Reason::kEntityTooSmall, "Your proposed upload is smaller than the minimum allowed size");
    }
    total += it->size;
    chosen.push_back(*it);
  }
  if (total > limits.object_bytes_max) {
    return refuse(Reason::kEntityTooLarge, "Your proposed upload exceeds the maximum allowed object size.");
  }
  return chosen;
}

Checksum checksum_of(const UploadInfo& upload, const std::vector<PartRow>& parts) {
  std::vector<PartDigest> digests;
  for (const PartRow& part : parts) digests.push_back({part.checksum, part.size});
  Checksum checksum{upload.checksum_algorithm, upload.checksum_type, {}};
  if (checksum.algorithm == ChecksumAlgorithm::kNone) return checksum;
  checksum.value = checksum.type == ChecksumType::kComposite
                       ? composite_checksum(checksum.algorithm, digests)
                       : full_object_checksum(checksum.algorithm, digests);
  return checksum;
}

StoreStatus check_complete(const CompleteRequest& request, const UploadInfo& upload, const ObjectInfo& made) {
  if (request.expected_type && *request.expected_type != upload.checksum_type) {
    return refuse(Reason::kInvalidRequest,
                  "The upload was created with another checksum type than the one to complete it with.");
  }
  if (request.expected_size && *request.expected_size != made.size) {
    return refuse(Reason::kInvalidRequest, "The size of the object is not the one you specified.");
  }
  const Checksum& expected = request.expected;
  if (expected.algorithm == ChecksumAlgorithm::kNone) return {};
  if (expected.algorithm != upload.checksum_algorithm) {
    return refuse(Reason::kInvalidRequest, "The upload was created with another checksum algorithm.");
  }
  // A composite value may come without its "-<parts>".
  const std::string short_form = made.checksum.value.substr(0, made.checksum.value.rfind('-'));
  if (expected.value != made.checksum.value && expected.value != short_form) {
    return refuse(Reason::kBadDigest, "The " + std::string(to_string(expected.algorithm)) +
                                          " you specified did not match the calculated checksum.");
  }
  return {};
}

void insert_parts(Connection& db, uint64_t version, const std::vector<PartRow>& parts) {
  for (const PartRow& part : parts) {
    db.prepare("INSERT INTO object_parts VALUES(?,?,?,?,?,?,?,?)")
        .bind(version)
        .bind(part.number)
        .bind(part.size)
        .bind_blob(part.md5)
        .bind_blob(part.checksum)
        .bind(part.modified.ms)
        .bind(part.content.id)
        .bind(part.content.inlined ? 1 : 0)
        .step();
  }
}

std::vector<std::string> md5s_of(const std::vector<PartRow>& parts) {
  std::vector<std::string> out;
  for (const PartRow& part : parts) out.push_back(part.md5);
  return out;
}

}  // namespace

StoreResult<UploadInfo> LocalStore::begin_upload(const std::string& bucket, const std::string& key,
                                                 UploadRequest request) {
  if (auto ok = check_key(key, options_.limits); !ok) return refuse(ok.error());
  if (auto ok = check_attributes(request.attributes); !ok) return refuse(ok.error());
  UploadInfo info{to_hex(random_.bytes(24)), key, clock_.now(), request.checksum_algorithm,
                  request.checksum_type};
  auto status = write([&](Connection& db, std::vector<uint64_t>&) -> StoreStatus {
    const auto id = find_bucket(db, bucket);
    if (!id) return no_such_bucket(bucket);
    Statement count = db.prepare("SELECT count(*) FROM uploads");
    if (count.step() && count.number(0) >= options_.limits.uploads_open_max) {
      return refuse(Reason::kTooMany, "Too many multipart uploads are open; complete or abort some.");
    }
    db.prepare("INSERT INTO uploads VALUES(?,?,?,?,?,?,?)")
        .bind(*id)
        .bind_blob(key)
        .bind(std::string_view(info.id))
        .bind(info.initiated.ms)
        .bind(static_cast<int>(info.checksum_algorithm))
        .bind(static_cast<int>(info.checksum_type))
        .bind(std::string_view(encode_attributes(request.attributes, {})))
        .step();
    return {};
  });
  if (!status) return refuse(status.error());
  return info;
}

StoreResult<UploadInfo> LocalStore::upload(const std::string& bucket, const std::string& key,
                                           const std::string& upload_id) {
  return read<UploadInfo>(bucket, [&](Connection& db, int64_t id) -> StoreResult<UploadInfo> {
    auto row = find_upload(db, id, key, upload_id);
    if (!row) return no_such_upload();
    return row->info;
  });
}

StoreResult<PartInfo> LocalStore::put_part(const std::string& bucket, const std::string& key,
                                           const std::string& upload_id, int number,
                                           std::unique_ptr<ContentWriter> content, ExpectedDigests expected) {
  if (number < 1 || number > options_.limits.parts_max) {
    return refuse(Reason::kInvalidArgument, "Part number must be an integer between 1 and " +
                                                std::to_string(options_.limits.parts_max) + ", inclusive");
  }
  auto& local = static_cast<LocalContent&>(*content);  // only begin_content() makes writers
  if (auto ok = local.seal(); !ok) return refuse(ok.error());
  if (auto ok = check_expected(expected, local.digests()); !ok) return refuse(ok.error());
  PartRow part;
  part.number = number;
  part.size = local.size();
  part.md5 = local.digests().md5();
  part.modified = clock_.now();
  part.content = local.ref();
  ChecksumAlgorithm algorithm = ChecksumAlgorithm::kNone;
  auto status = write([&](Connection& db, std::vector<uint64_t>& doomed) -> StoreStatus {
    const auto id = find_bucket(db, bucket);
    if (!id) return no_such_bucket(bucket);
    const auto row = find_upload(db, *id, key, upload_id);
    if (!row) return no_such_upload();
    algorithm = row->info.checksum_algorithm;
    part.checksum = local.digests().raw(algorithm);
    Statement present =
        db.prepare("SELECT content, inlined FROM upload_parts WHERE upload = ? AND number = ?");
    if (present.bind(std::string_view(upload_id)).bind(number).step()) {
      drop_content(db, {present.number(0), present.integer(1) != 0}, doomed);
    }
    local.insert(db);
    db.prepare("INSERT OR REPLACE INTO upload_parts VALUES(?,?,?,?,?,?,?,?)")
        .bind(std::string_view(upload_id))
        .bind(number)
        .bind(part.size)
        .bind_blob(part.md5)
        .bind_blob(part.checksum)
        .bind(part.modified.ms)
        .bind(part.content.id)
        .bind(part.content.inlined ? 1 : 0)
        .step();
    return {};
  });
  if (!status) return refuse(status.error());
  local.commit();
  bytes_written_.Increment(static_cast<double>(part.size));
  return to_info(part, algorithm);
}

StoreResult<PartPage> LocalStore::list_parts(const std::string& bucket, const std::string& key,
                                             const std::string& upload_id, int after, size_t max) {
  max = std::min(max, options_.limits.page_max);
  return read<PartPage>(bucket, [&](Connection& db, int64_t id) -> StoreResult<PartPage> {
    const auto upload_row = find_upload(db, id, key, upload_id);
    if (!upload_row) return no_such_upload();
    PartPage page;
    page.upload = upload_row->info;
    for (const PartRow& part : all_parts(db, upload_id)) {
      if (part.number <= after) continue;
      if (page.parts.size() >= max) {
        page.truncated = true;
        break;
      }
      page.parts.push_back(to_info(part, page.upload.checksum_algorithm));
      page.last_number = part.number;
    }
    return page;
  });
}

StoreResult<std::vector<PartInfo>> LocalStore::object_parts(const std::string& bucket, const std::string& key,
                                                            int after, size_t max) {
  using Parts = std::vector<PartInfo>;
  return read<Parts>(bucket, [&](Connection& db, int64_t id) -> StoreResult<Parts> {
    const auto row = find_object(db, id, key);
    if (!row) return refuse(Reason::kNoSuchKey, "The specified key does not exist.");
    Statement rows = db.prepare(
        "SELECT number, size, md5, checksum, modified_ms, content, inlined FROM object_parts"
        " WHERE version = ? AND number > ? ORDER BY number");
    rows.bind(row->info.version).bind(after);
    Parts parts;
    while (parts.size() < max && rows.step()) {
      parts.push_back(to_info(read_part(rows), row->info.checksum.algorithm));
    }
    return parts;
  });
}

StoreResult<ObjectInfo> LocalStore::complete_upload(const std::string& bucket, const std::string& key,
                                                    const std::string& upload_id, CompleteRequest request) {
  ObjectRow made;
  made.info.key = key;
  made.info.version = new_version();
  made.info.modified = clock_.now();
  made.upload = upload_id;
  auto status = write([&](Connection& db, std::vector<uint64_t>& doomed) -> StoreStatus {
    const auto id = find_bucket(db, bucket);
    if (!id) return no_such_bucket(bucket);
    const auto row = find_upload(db, *id, key, upload_id);
    const auto present = find_object(db, *id, key);
    if (!row) {
      // The answer to a completion may have been lost; asking again is no error while its object stands.
      if (!present || present->upload != upload_id) return no_such_upload();
      made.info = present->info;
      return {};
    }
    const std::vector<PartRow> stored = all_parts(db, upload_id);
    auto chosen = chosen_parts(stored, request.parts, row->info.checksum_algorithm, options_.limits);
    if (!chosen) return refuse(chosen.error());
    made.info.parts = static_cast<int>(chosen->size());
    for (const PartRow& part : *chosen) made.info.size += part.size;
    made.info.etag = multipart_etag(md5s_of(*chosen));
    made.info.checksum = checksum_of(row->info, *chosen);
    made.info.attributes = decode_attributes(row->attributes);
    if (auto ok = check_complete(request, row->info, made.info); !ok) return ok;
    if (auto ok = check_write_conditions(request.conditions, present ? &present->info : nullptr); !ok) {
      return ok;
    }
    if (present) drop_object(db, *present, doomed);
    for (const PartRow& part : stored) {
      const bool used =
          std::binary_search(chosen->begin(), chosen->end(), part,
                             [](const PartRow& x, const PartRow& y) { return x.number < y.number; });
      if (!used) drop_content(db, part.content, doomed);
    }
    delete_upload(db, *id, key, upload_id);
    insert_parts(db, made.info.version, *chosen);
    insert_object(db, *id, made);
    return {};
  });
  if (!status) return refuse(status.error());
  objects_written_.Increment();
  return made.info;
}

StoreStatus LocalStore::abort_upload(const std::string& bucket, const std::string& key,
                                     const std::string& upload_id) {
  return write([&](Connection& db, std::vector<uint64_t>& doomed) -> StoreStatus {
    const auto id = find_bucket(db, bucket);
    if (!id) return no_such_bucket(bucket);
    if (!find_upload(db, *id, key, upload_id)) return no_such_upload();
    for (const PartRow& part : all_parts(db, upload_id)) drop_content(db, part.content, doomed);
    delete_upload(db, *id, key, upload_id);
    return {};
  });
}

}  // namespace fleetward::lake
