#include "api/sns/sns.h"

namespace fleetward::api::sns {

http::Service service(const Dependencies& dependencies) {
  http::Service out{.signing_name = "sns",
                    .protocol = http::Protocol::kQuery,
                    .target_prefix = {},
                    .xml_namespace = "http://sns.amazonaws.com/doc/2010-03-31/",
                    .operations = {}};
  for (auto part : {topic_operations, subscription_operations, publish_operations}) {
    for (http::Operation& operation : part(dependencies)) out.operations.push_back(std::move(operation));
  }
  for (http::Operation& missing : http::missing_operations({"AddPermission",
                                                            "RemovePermission",
                                                            "GetDataProtectionPolicy",
                                                            "PutDataProtectionPolicy",
                                                            "CreatePlatformApplication",
                                                            "DeletePlatformApplication",
                                                            "GetPlatformApplicationAttributes",
                                                            "SetPlatformApplicationAttributes",
                                                            "ListPlatformApplications",
                                                            "CreatePlatformEndpoint",
                                                            "DeleteEndpoint",
                                                            "GetEndpointAttributes",
                                                            "SetEndpointAttributes",
                                                            "ListEndpointsByPlatformApplication",
                                                            "CheckIfPhoneNumberIsOptedOut",
                                                            "GetSMSAttributes",
                                                            "SetSMSAttributes",
                                                            "ListPhoneNumbersOptedOut",
                                                            "OptInPhoneNumber",
                                                            "CreateSMSSandboxPhoneNumber",
                                                            "DeleteSMSSandboxPhoneNumber",
                                                            "GetSMSSandboxAccountStatus",
                                                            "ListSMSSandboxPhoneNumbers",
                                                            "VerifySMSSandboxPhoneNumber",
                                                            "ListOriginationNumbers"})) {
    out.operations.push_back(std::move(missing));
  }
  return out;
}

http::ApiResult<std::string> read_topic(const Dependencies& d, const state::Snapshot& snapshot,
                                        const std::string& arn) {
  auto name = alerts::parse_topic_arn(d.account, arn);
  if (!name) return refuse(kSnsStyle, "Invalid parameter: TopicArn Reason: " + name.error().message);
  if (snapshot.get(d.tables.topics).find(*name) == nullptr)
    return not_found(kSnsStyle, "Topic does not exist");
  return *name;
}

std::function<std::string(const json::object&)> resource_of(std::string member) {
  return [member = std::move(member)](const json::object& arguments) {
    const std::string_view arn = json::string_or(arguments, member);
    return arn.empty() ? std::string("*") : std::string(arn);
  };
}

}  // namespace fleetward::api::sns
