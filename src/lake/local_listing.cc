#include "lake/local_store_impl.h"

namespace fleetward::lake {
namespace {

// The common prefix that `key` is rolled up into; empty if none. Needs `key` to start with `prefix`.
std::string_view common_prefix(std::string_view key, std::string_view prefix, std::string_view delimiter) {
  if (delimiter.empty()) return {};
  const size_t at = key.find(delimiter, prefix.size());
  return at == std::string_view::npos ? std::string_view() : key.substr(0, at + delimiter.size());
}

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// Where a listing begins: the first key may itself be listed, or only what follows it.
struct Start {
  std::string key;
  bool inclusive = true;
};

// nullopt: nothing can follow.
std::optional<Start> first_key(const ListQuery& query) {
  if (query.after.empty() || query.after < query.prefix) return Start{query.prefix, true};
  if (starts_with(query.after, query.prefix) && !query.delimiter.empty() &&
      common_prefix(query.after, query.prefix, query.delimiter) == query.after) {
    auto next = after_prefix(query.after);
    if (!next) return std::nullopt;
    return Start{std::move(*next), true};
  }
  return Start{query.after, false};
}

// Goes through the keys from `start` on; `visit` answers where to go on if not at the next key. Ends at the
// first key that does not start with the prefix, or when visit sets `done`.
class ObjectWalk {
 public:
  ObjectWalk(Connection& db, int64_t bucket, const ListQuery& query, size_t max)
      : db_(db), bucket_(bucket), query_(query), max_(max) {}

  ObjectPage run() {
    std::optional<Start> start = first_key(query_);
    while (start) start = run_from(*start);
    return std::move(page_);
  }

 private:
  std::optional<Start> run_from(const Start& start) {
    Statement rows = db_.prepare(
        "SELECT key, size, etag, modified_ms, checksum_algorithm, checksum_type FROM objects"
        " WHERE bucket = ? AND key >= ? ORDER BY key");
    rows.bind(bucket_).bind_blob(start.key);
    while (rows.step()) {
      const std::string_view key = rows.text(0);
      if (!start.inclusive && key == start.key) continue;
      if (!starts_with(key, query_.prefix)) return std::nullopt;
      if (page_.objects.size() + page_.common_prefixes.size() >= max_) {
        page_.truncated = true;
        return std::nullopt;
      }
      const std::string_view rolled = common_prefix(key, query_.prefix, query_.delimiter);
      if (!rolled.empty()) {
        page_.last = std::string(rolled);
        page_.common_prefixes.push_back(page_.last);
        auto next = after_prefix(page_.last);
        if (!next) return std::nullopt;
        return Start{std::move(*next), true};
      }
      page_.last = std::string(key);
      page_.objects.push_back({page_.last,
                               rows.number(1),
                               std::string(rows.text(2)),
                               {rows.integer(3)},
                               static_cast<ChecksumAlgorithm>(rows.integer(4)),
                               static_cast<ChecksumType>(rows.integer(5))});
    }
    return std::nullopt;
  }

  Connection& db_;
  const int64_t bucket_;
  const ListQuery& query_;
  const size_t max_;
  ObjectPage page_;
};

}  // namespace

StoreResult<ObjectPage> LocalStore::list(const std::string& bucket, const ListQuery& query) {
  const size_t max = std::min(query.max, options_.limits.page_max);
  return read<ObjectPage>(bucket, [&](Connection& db, int64_t id) -> StoreResult<ObjectPage> {
    if (max == 0) return ObjectPage{};
    return ObjectWalk(db, id, query, max).run();
  });
}

StoreResult<UploadPage> LocalStore::list_uploads(const std::string& bucket, const UploadQuery& query) {
  const size_t max = std::min(query.max, options_.limits.page_max);
  return read<UploadPage>(bucket, [&](Connection& db, int64_t id) -> StoreResult<UploadPage> {
    UploadPage page;
    if (max == 0) return page;
    // Uploads are few (uploads_open_max), so prefixes that were rolled up are stepped over one by one.
    Statement rows = db.prepare(
        "SELECT key, id, initiated_ms, checksum_algorithm, checksum_type FROM uploads"
        " WHERE bucket = ? AND key >= ? ORDER BY key, id");
    rows.bind(id).bind_blob(std::max(query.prefix, query.key_after));
    while (rows.step()) {
      const std::string_view key = rows.text(0);
      const std::string_view upload = rows.text(1);
      if (!query.key_after.empty()) {
        if (key < query.key_after) continue;
        if (key == query.key_after && (query.upload_after.empty() || upload <= query.upload_after)) continue;
      }
      if (!starts_with(key, query.prefix)) break;
      const std::string_view rolled = common_prefix(key, query.prefix, query.delimiter);
      if (!rolled.empty() && (rolled == query.key_after || rolled == page.last_key)) continue;
      if (page.uploads.size() + page.common_prefixes.size() >= max) {
        page.truncated = true;
        break;
      }
      if (!rolled.empty()) {
        page.common_prefixes.emplace_back(rolled);
        page.last_key = std::string(rolled);
        page.last_upload.clear();
        continue;
      }
      page.last_key = std::string(key);
      page.last_upload = std::string(upload);
      page.uploads.push_back({page.last_upload,
                              page.last_key,
                              {rows.integer(2)},
                              static_cast<ChecksumAlgorithm>(rows.integer(3)),
                              static_cast<ChecksumType>(rows.integer(4))});
    }
    return page;
  });
}

}  // namespace fleetward::lake
