#include "lake/rows.h"

#include "core/encoding.h"
#include "core/json.h"

namespace fleetward::lake {
namespace {

struct TextMember {
  const char* name;
  std::string ObjectAttributes::* member;
};
constexpr TextMember kTextMembers[] = {
    {"type", &ObjectAttributes::content_type},
    {"encoding", &ObjectAttributes::content_encoding},
    {"language", &ObjectAttributes::content_language},
    {"disposition", &ObjectAttributes::content_disposition},
    {"cache", &ObjectAttributes::cache_control},
    {"expires", &ObjectAttributes::expires},
    {"redirect", &ObjectAttributes::website_redirect},
};

// Header values are bytes, not always UTF-8: JSON keeps them as Latin-1 would.
std::string bytes_to_text(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    const auto b = static_cast<uint8_t>(c);
    if (b < 0x80) {
      out += c;
    } else {
      out += static_cast<char>(0xc0 | (b >> 6));
      out += static_cast<char>(0x80 | (b & 0x3f));
    }
  }
  return out;
}

std::string text_to_bytes(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto b = static_cast<uint8_t>(text[i]);
    if (b >= 0xc0 && i + 1 < text.size()) {
      out += static_cast<char>(((b & 0x03) << 6) | (static_cast<uint8_t>(text[++i]) & 0x3f));
    } else {
      out += text[i];
    }
  }
  return out;
}

json::array pairs_of_tags(const std::vector<Tag>& tags) {
  json::array out;
  for (const Tag& tag : tags) out.push_back(json::array{tag.key, tag.value});
  return out;
}

// [["a","b"],...]; anything else in it is skipped.
template <typename Visit>
void each_pair(const json::array& pairs, Visit&& visit) {
  for (const json::value& pair : pairs) {
    const json::array* two = pair.if_array();
    if (two == nullptr || two->size() != 2 || !(*two)[0].is_string() || !(*two)[1].is_string()) continue;
    visit(std::string((*two)[0].get_string()), std::string((*two)[1].get_string()));
  }
}

}  // namespace

std::string encode_tags(const std::vector<Tag>& tags) {
  return json::serialize(pairs_of_tags(tags));
}

std::vector<Tag> decode_tags(std::string_view text) {
  std::vector<Tag> tags;
  const auto parsed = json::parse(text);
  if (parsed && parsed->is_array()) {
    each_pair(parsed->get_array(), [&](std::string k, std::string v) { tags.push_back({k, v}); });
  }
  return tags;
}

std::string encode_attributes(const ObjectAttributes& attributes, std::string_view upload) {
  json::object out;
  for (const TextMember& text : kTextMembers) {
    const std::string& value = attributes.*text.member;
    if (!value.empty()) out[text.name] = bytes_to_text(value);
  }
  if (!attributes.user.empty()) {
    json::array pairs;
    for (const auto& [name, value] : attributes.user) {
      pairs.push_back(json::array{bytes_to_text(name), bytes_to_text(value)});
    }
    out["user"] = std::move(pairs);
  }
  if (!attributes.tags.empty()) out["tags"] = pairs_of_tags(attributes.tags);
  if (!upload.empty()) out["upload"] = upload;
  return json::serialize(out);
}

ObjectAttributes decode_attributes(std::string_view text, std::string* upload) {
  ObjectAttributes attributes;
  const auto parsed = json::parse(text);
  if (!parsed || !parsed->is_object()) return attributes;
  const json::object& in = parsed->get_object();
  for (const TextMember& member : kTextMembers) {
    attributes.*member.member = text_to_bytes(json::string_or(in, member.name));
  }
  if (const json::array* user = json::find_array(in, "user")) {
    each_pair(*user, [&](const std::string& k, const std::string& v) {
      attributes.user.emplace_back(text_to_bytes(k), text_to_bytes(v));
    });
  }
  if (const json::array* tags = json::find_array(in, "tags")) {
    each_pair(*tags, [&](std::string k, std::string v) { attributes.tags.push_back({k, v}); });
  }
  if (upload != nullptr) *upload = std::string(json::string_or(in, "upload"));
  return attributes;
}

std::optional<ObjectRow> find_object(Connection& db, int64_t bucket, std::string_view key) {
  Statement found = db.prepare(
      "SELECT version, size, etag, modified_ms, parts, content, inlined, checksum_algorithm, checksum_type,"
      " checksum, attributes FROM objects WHERE bucket = ? AND key = ?");
  if (!found.bind(bucket).bind_blob(key).step()) return std::nullopt;
  ObjectRow row;
  row.info.key = std::string(key);
  row.info.version = found.number(0);
  row.info.size = found.number(1);
  row.info.etag = std::string(found.text(2));
  row.info.modified = {found.integer(3)};
  row.info.parts = static_cast<int>(found.integer(4));
  row.content = {found.number(5), found.integer(6) != 0};
  row.info.checksum = {static_cast<ChecksumAlgorithm>(found.integer(7)),
                       static_cast<ChecksumType>(found.integer(8)), std::string(found.text(9))};
  row.info.attributes = decode_attributes(found.text(10), &row.upload);
  return row;
}

void insert_object(Connection& db, int64_t bucket, const ObjectRow& row) {
  const ObjectInfo& info = row.info;
  db.prepare("INSERT OR REPLACE INTO objects VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)")
      .bind(bucket)
      .bind_blob(info.key)
      .bind(info.version)
      .bind(info.size)
      .bind(std::string_view(info.etag))
      .bind(info.modified.ms)
      .bind(info.parts)
      .bind(row.content.id)
      .bind(row.content.inlined ? 1 : 0)
      .bind(static_cast<int>(info.checksum.algorithm))
      .bind(static_cast<int>(info.checksum.type))
      .bind(std::string_view(info.checksum.value))
      .bind(std::string_view(encode_attributes(info.attributes, row.upload)))
      .step();
}

PartRow read_part(const Statement& row) {
  PartRow part;
  part.number = static_cast<int>(row.integer(0));
  part.size = row.number(1);
  part.md5 = std::string(row.text(2));
  part.checksum = std::string(row.text(3));
  part.modified = {row.integer(4)};
  part.content = {row.number(5), row.integer(6) != 0};
  return part;
}

PartInfo to_info(const PartRow& part, ChecksumAlgorithm algorithm) {
  PartInfo info;
  info.number = part.number;
  info.size = part.size;
  info.etag = to_hex(part.md5);
  info.modified = part.modified;
  if (!part.checksum.empty())
    info.checksum = {algorithm, ChecksumType::kFullObject, to_base64(part.checksum)};
  return info;
}

std::optional<int64_t> find_bucket(Connection& db, std::string_view name) {
  Statement found = db.prepare("SELECT id FROM buckets WHERE name = ?");
  if (!found.bind(name).step()) return std::nullopt;
  return found.integer(0);
}

tl::unexpected<StoreError> no_such_bucket(std::string_view name) {
  return refuse(Reason::kNoSuchBucket, "The specified bucket does not exist: " + std::string(name));
}

std::optional<std::string> after_prefix(std::string prefix) {
  while (!prefix.empty() && static_cast<uint8_t>(prefix.back()) == 0xff) prefix.pop_back();
  if (prefix.empty()) return std::nullopt;
  prefix.back() = static_cast<char>(static_cast<uint8_t>(prefix.back()) + 1);
  return prefix;
}

}  // namespace fleetward::lake
