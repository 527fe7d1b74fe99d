#include "api/s3/documents.h"
#include "api/s3/operations.h"
#include "api/s3/upload.h"

namespace fleetward::api::s3 {

ApiResponse get_object_tagging(const Environment& environment, Request& request) {
  if (auto ok = check_version_id(request.query("versionId")); !ok) return tl::unexpected(ok.error());
  const auto info = environment.store.head(request.bucket(), request.key());
  if (!info) return store_fail(info.error());
  return xml_response(tagging_document(info->attributes.tags));
}

ApiResponse put_object_tagging(const Environment& environment, Request& request) {
  if (auto ok = check_version_id(request.query("versionId")); !ok) return tl::unexpected(ok.error());
  auto text = receive_document(request);
  if (!text) return tl::unexpected(text.error());
  auto tags = parse_tagging_document(*text);
  if (!tags) return tl::unexpected(tags.error());
  // Policies may speak of the tags, so it is asked only now.
  auto allowed = environment.access.check(request.http, "s3:PutObjectTagging", request.bucket(),
                                          request.key(), {.tags = &*tags});
  if (!allowed) return tl::unexpected(allowed.error());
  auto ok = environment.store.set_object_tags(request.bucket(), request.key(), std::move(*tags));
  if (!ok) return store_fail(ok.error());
  return empty_response(200);
}

ApiResponse delete_object_tagging(const Environment& environment, Request& request) {
  if (auto ok = check_version_id(request.query("versionId")); !ok) return tl::unexpected(ok.error());
  auto ok = environment.store.set_object_tags(request.bucket(), request.key(), {});
  if (!ok) return store_fail(ok.error());
  return empty_response(204);
}

}  // namespace fleetward::api::s3
