#include "api/s3/documents.h"
#include "api/s3/fields.h"
#include "api/s3/operations.h"
#include "api/s3/upload.h"
#include "api/s3/xml.h"

namespace fleetward::api::s3 {
namespace {

void write_failure(XmlWriter& xml, const std::string& key, const ApiError& error) {
  xml.open("Error");
  xml.text("Key", key);
  xml.text("Code", error.name);
  xml.text("Message", error.message);
  xml.close("Error");
}

void write_deleted(XmlWriter& xml, const DeleteDocument::Entry& entry) {
  xml.open("Deleted");
  xml.text("Key", entry.key);
  xml.text_if("VersionId", entry.version_id);
  xml.close("Deleted");
}

// Deletes one key of a list that has a condition. An absent key is fine.
ApiStatus delete_if_match(const Environment& environment, const Request& request,
                          const DeleteDocument::Entry& entry) {
  lake::Conditions conditions;
  conditions.if_match = {entry.etag};
  const auto erased = environment.store.erase(request.bucket(), entry.key, conditions);
  if (!erased && erased.error().reason != lake::Reason::kNoSuchKey) return store_fail(erased.error());
  return {};
}

}  // namespace

ApiResponse delete_object(const Environment& environment, Request& request) {
  if (auto ok = check_version_id(request.query("versionId")); !ok) return tl::unexpected(ok.error());
  lake::Conditions conditions;
  for (const std::string_view condition : {"x-amz-if-match-last-modified-time", "x-amz-if-match-size"}) {
    if (!request.header(condition).empty()) return not_implemented("The condition " + std::string(condition));
  }
  if (const std::string match = request.header("if-match"); !match.empty()) {
    conditions.if_match = parse_etags(match);
  }
  const auto erased = environment.store.erase(request.bucket(), request.key(), conditions);
  if (!erased) return store_fail(erased.error());
  return empty_response(204);
}

ApiResponse delete_objects(const Environment& environment, Request& request) {
  auto text = receive_document(request, true);
  if (!text) return tl::unexpected(text.error());
  const auto document = parse_delete_document(*text);
  if (!document) return tl::unexpected(document.error());
  XmlWriter xml("DeleteResult");
  std::vector<std::string> keys;
  std::vector<const DeleteDocument::Entry*> deleted;
  for (const DeleteDocument::Entry& entry : document->entries) {
    ApiStatus status = environment.access.check(request.http, "s3:DeleteObject", request.bucket(), entry.key);
    if (status) status = check_version_id(entry.version_id);
    if (status && !entry.etag.empty()) {
      status = delete_if_match(environment, request, entry);
    } else if (status) {
      keys.push_back(entry.key);
    }
    if (status) {
      deleted.push_back(&entry);
    } else {
      write_failure(xml, entry.key, status.error());
    }
  }
  if (const auto erased = environment.store.erase_many(request.bucket(), keys); !erased) {
    return store_fail(erased.error());
  }
  if (!document->quiet) {
    for (const DeleteDocument::Entry* entry : deleted) write_deleted(xml, *entry);
  }
  return xml_response(xml.finish());
}

}  // namespace fleetward::api::s3
