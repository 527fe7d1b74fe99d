#include "api/s3/documents.h"

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <span>

#include <pugixml.hpp>

#include "api/s3/fields.h"
#include "api/s3/xml.h"

namespace fleetward::api::s3 {
namespace {

constexpr size_t kNameShown = 128;  // a name can be as long as the document

tl::unexpected<ApiError> malformed() {
  return s3_fail("MalformedXML",
                 "The XML you provided was not well-formed or did not validate against our published schema");
}

// The elements that an element may hold: S3's schema, as far as it is here. What is outside of it is refused:
// whoever sends it expects something of it.
struct Schema {
  std::string_view name;
  std::span<const Schema> elements = {};
};

ApiStatus check_elements(const pugi::xml_node& node, std::span<const Schema> allowed,
                         const std::string& path) {
  for (const pugi::xml_node& child : node.children()) {
    if (child.type() != pugi::node_element) continue;
    const std::string_view name = child.name();
    const std::string at = path + "/" + std::string(name.substr(0, kNameShown));
    const auto known =
        std::find_if(allowed.begin(), allowed.end(), [&](const Schema& one) { return one.name == name; });
    if (known == allowed.end()) {
      return s3_fail("MalformedXML", "The XML you provided did not validate against our published schema: " +
                                         at + " is not a known element");
    }
    if (auto ok = check_elements(child, known->elements, at); !ok) return ok;
  }
  return {};
}

// The root element if it has that name (whatever its name space prefix).
ApiResult<pugi::xml_node> load(pugi::xml_document& document, std::string_view text, std::string_view root) {
  if (text.size() > kDocumentBytesMax) {
    return s3_fail("MaxMessageLengthExceeded", "Your request was too big.");
  }
  const auto parsed = document.load_buffer(
      text.data(), text.size(), pugi::parse_default | pugi::parse_ws_pcdata_single, pugi::encoding_utf8);
  if (!parsed) return malformed();
  const pugi::xml_node node = document.document_element();
  std::string_view name = node.name();
  name.remove_prefix(name.find(':') + 1);  // npos + 1 is 0
  if (name != root) return malformed();
  return node;
}

// The same, if it holds `allowed` alone.
ApiResult<pugi::xml_node> load(pugi::xml_document& document, std::string_view text, std::string_view root,
                               std::span<const Schema> allowed) {
  auto node = load(document, text, root);
  if (!node) return node;
  if (auto ok = check_elements(*node, allowed, std::string(root)); !ok) return tl::unexpected(ok.error());
  return node;
}

ApiResult<lake::Tag> read_tag(const pugi::xml_node& node) {
  const pugi::xml_node key = node.child("Key"), value = node.child("Value");
  if (!key || !value) return malformed();
  return lake::Tag{key.text().get(), value.text().get()};
}

ApiResult<std::vector<lake::Tag>> read_tag_set(const pugi::xml_node& set, const char* element,
                                               size_t count_max) {
  std::vector<lake::Tag> tags;
  for (const pugi::xml_node& node : set.children(element)) {
    if (tags.size() == count_max) return malformed();
    auto tag = read_tag(node);
    if (!tag) return tl::unexpected(tag.error());
    tags.push_back(std::move(*tag));
  }
  return tags;
}

struct ChecksumElement {
  const char* element;
  lake::ChecksumAlgorithm algorithm;
};
constexpr ChecksumElement kChecksumElements[] = {
    {"ChecksumCRC32", lake::ChecksumAlgorithm::kCrc32},
    {"ChecksumCRC32C", lake::ChecksumAlgorithm::kCrc32c},
    {"ChecksumCRC64NVME", lake::ChecksumAlgorithm::kCrc64Nvme},
    {"ChecksumSHA1", lake::ChecksumAlgorithm::kSha1},
    {"ChecksumSHA256", lake::ChecksumAlgorithm::kSha256},
};

ApiResult<std::string> one_of(const pugi::xml_node& node, std::initializer_list<std::string_view> values) {
  const std::string_view text = node.text().get();
  if (std::find(values.begin(), values.end(), text) == values.end()) return malformed();
  return std::string(text);
}

// More tags than any resource may have; the exact bound is the store's.
constexpr size_t kTagsMax = 100;

constexpr Schema kTag[] = {{"Key"}, {"Value"}};
constexpr Schema kTagSet[] = {{"Tag", kTag}};
constexpr Schema kTagging[] = {{"TagSet", kTagSet}};
constexpr Schema kDeleteObject[] = {{"Key"}, {"VersionId"}, {"ETag"}, {"LastModifiedTime"}, {"Size"}};
constexpr Schema kDelete[] = {{"Quiet"}, {"Object", kDeleteObject}};
constexpr Schema kPart[] = {{"PartNumber"},        {"ETag"},         {"ChecksumCRC32"}, {"ChecksumCRC32C"},
                            {"ChecksumCRC64NVME"}, {"ChecksumSHA1"}, {"ChecksumSHA256"}};
constexpr Schema kComplete[] = {{"Part", kPart}};
constexpr Schema kLocation[] = {{"Name"}, {"Type"}};
constexpr Schema kDirectory[] = {{"DataRedundancy"}, {"Type"}};
constexpr Schema kCreateBucket[] = {
    {"LocationConstraint"}, {"Tags", kTagSet}, {"Location", kLocation}, {"Bucket", kDirectory}};
constexpr Schema kVersioning[] = {{"Status"}, {"MfaDelete"}};
constexpr Schema kOwnershipRule[] = {{"ObjectOwnership"}};
constexpr Schema kOwnership[] = {{"Rule", kOwnershipRule}};
constexpr Schema kPayment[] = {{"Payer"}};

}  // namespace

ApiResult<DeleteDocument> parse_delete_document(std::string_view text) {
  pugi::xml_document document;
  const auto root = load(document, text, "Delete", kDelete);
  if (!root) return tl::unexpected(root.error());
  DeleteDocument out;
  out.quiet = std::strcmp(root->child("Quiet").text().get(), "true") == 0;
  for (const pugi::xml_node& node : root->children("Object")) {
    if (out.entries.size() == kDeleteKeysMax) return malformed();
    const pugi::xml_node key = node.child("Key");
    if (!key || *key.text().get() == '\0') return malformed();
    for (const char* condition : {"LastModifiedTime", "Size"}) {
      if (node.child(condition)) return not_implemented("The condition " + std::string(condition));
    }
    out.entries.push_back({key.text().get(), node.child("VersionId").text().get(),
                           strip_quotes(node.child("ETag").text().get())});
  }
  if (out.entries.empty()) return malformed();
  return out;
}

ApiResult<std::vector<lake::CompletedPart>> parse_complete_document(std::string_view text, int parts_max) {
  pugi::xml_document document;
  const auto root = load(document, text, "CompleteMultipartUpload", kComplete);
  if (!root) return tl::unexpected(root.error());
  std::vector<lake::CompletedPart> parts;
  for (const pugi::xml_node& node : root->children("Part")) {
    if (parts.size() == static_cast<size_t>(parts_max)) return malformed();
    const auto number = parse_integer(node.child("PartNumber").text().get(), 1, parts_max);
    const std::string etag = strip_quotes(node.child("ETag").text().get());
    if (!number || etag.empty()) return malformed();
    lake::CompletedPart part{static_cast<int>(*number), etag, {}};
    for (const ChecksumElement& one : kChecksumElements) {
      const char* value = node.child(one.element).text().get();
      if (*value != '\0') part.checksum = {one.algorithm, lake::ChecksumType::kFullObject, value};
    }
    parts.push_back(std::move(part));
  }
  if (parts.empty()) return malformed();
  return parts;
}

ApiResult<std::vector<lake::Tag>> parse_tagging_document(std::string_view text) {
  pugi::xml_document document;
  const auto root = load(document, text, "Tagging", kTagging);
  if (!root) return tl::unexpected(root.error());
  const pugi::xml_node set = root->child("TagSet");
  if (!set) return malformed();
  return read_tag_set(set, "Tag", kTagsMax);
}

std::string tagging_document(const std::vector<lake::Tag>& tags) {
  XmlWriter xml("Tagging");
  xml.open("TagSet");
  for (const lake::Tag& tag : tags) {
    xml.open("Tag");
    xml.text("Key", tag.key);
    xml.text("Value", tag.value);
    xml.close("Tag");
  }
  xml.close("TagSet");
  return xml.finish();
}

ApiResult<CreateBucketDocument> parse_create_bucket_document(std::string_view text) {
  CreateBucketDocument out;
  if (text.empty()) return out;
  pugi::xml_document document;
  const auto root = load(document, text, "CreateBucketConfiguration", kCreateBucket);
  if (!root) return tl::unexpected(root.error());
  if (root->child("Bucket") || root->child("Location")) return not_implemented("Creating a directory bucket");
  out.location = root->child("LocationConstraint").text().get();
  auto tags = read_tag_set(root->child("Tags"), "Tag", kTagsMax);
  if (!tags) return tl::unexpected(tags.error());
  out.tags = std::move(*tags);
  return out;
}

ApiResult<std::string> parse_versioning_document(std::string_view text) {
  pugi::xml_document document;
  const auto root = load(document, text, "VersioningConfiguration", kVersioning);
  if (!root) return tl::unexpected(root.error());
  if (std::string_view(root->child("MfaDelete").text().get()) == "Enabled")
    return not_implemented("MFA delete");
  return one_of(root->child("Status"), {"Enabled", "Suspended"});
}

ApiResult<std::string> parse_ownership_document(std::string_view text) {
  pugi::xml_document document;
  const auto root = load(document, text, "OwnershipControls", kOwnership);
  if (!root) return tl::unexpected(root.error());
  return one_of(root->child("Rule").child("ObjectOwnership"),
                {"BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"});
}

ApiResult<std::string> parse_request_payment_document(std::string_view text) {
  pugi::xml_document document;
  const auto root = load(document, text, "RequestPaymentConfiguration", kPayment);
  if (!root) return tl::unexpected(root.error());
  return one_of(root->child("Payer"), {"BucketOwner", "Requester"});
}

ApiResult<bool> is_empty_document(std::string_view text, std::string_view root) {
  pugi::xml_document document;
  const auto node = load(document, text, root);
  if (!node) return tl::unexpected(node.error());
  return node->find_child([](const pugi::xml_node& child) { return child.type() == pugi::node_element; })
      .empty();
}

}  // namespace fleetward::api::s3
