#include "app/adapters.h"

namespace fleetward::app {

Status ActionsToRooms::put_object(std::string_view bucket, std::string_view key, std::string_view body,
                                  std::string_view canned_acl) {
  // The lake has one owner and knows no ACLs but the owner's own.
  if (!canned_acl.empty() && canned_acl != "private" && canned_acl != "bucket-owner-full-control" &&
      canned_acl != "bucket-owner-read") {
    return fail(ErrorCode::kUnimplemented,
                "the canned ACL " + std::string(canned_acl) + " is not implemented");
  }
  return lake_.put({.bucket = std::string(bucket),
                    .key = std::string(key),
                    .content_type = {},
                    .content_encoding = {},
                    .bytes = body});
}

Status ActionsToRooms::publish_sns(std::string_view topic_arn, std::string_view body, bool json_format,
                                   const pipeline::Chain& made) {
  alerts::AlertRecord record;  // without a role: the action stage has asked for it already
  record.topic_arn = std::string(topic_arn);
  record.message = std::string(body);
  record.structured = json_format;
  record.hops = made.hops;
  record.offspring_max = made.offspring_max;
  auto ids = alerts_.publish({std::move(record)});
  if (!ids) return fail(ids.error());
  return {};
}

}  // namespace fleetward::app
