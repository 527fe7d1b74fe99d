#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "registry/tables.h"

// AWS IoT policies, their versions and attachments. Targets are those of tables.h ("cert/<id>",
// "thinggroup/<name>").
namespace fleetward::registry {

inline constexpr size_t kPolicyVersionsMax = 5;
inline constexpr size_t kPoliciesPerTargetMax = 10;
inline constexpr size_t kPolicyCharactersMax = 2048;  // without white space

// The rules of AWS IoT documents: no principals. Errors as PolicyDocument::parse.
Result<std::shared_ptr<const identity::PolicyDocument>> parse_policy_document(std::string_view text);

// Version 1, in force. kAlreadyExists.
Status create_policy(state::Transaction& change, const Tables& tables, std::string_view name,
                     std::shared_ptr<const identity::PolicyDocument> document, std::string generation_id,
                     Timestamp now);
// The new version's number. kNotFound; kLimitExceeded: kPolicyVersionsMax are there.
Result<int> create_policy_version(state::Transaction& change, const Tables& tables, std::string_view name,
                                  std::shared_ptr<const identity::PolicyDocument> document,
                                  bool set_as_default, Timestamp now);
// kNotFound: policy or version.
Status set_default_policy_version(state::Transaction& change, const Tables& tables, std::string_view name,
                                  int number, Timestamp now);
// kNotFound; kConflict: it is the default.
Status delete_policy_version(state::Transaction& change, const Tables& tables, std::string_view name,
                             int number);
// kNotFound; kConflict: attached, or versions beside the default exist.
Status delete_policy(state::Transaction& change, const Tables& tables, std::string_view name);

// Repeating succeeds. kNotFound: policy or target; kLimitExceeded: kPoliciesPerTargetMax;
// kInvalidArgument: the target is a dynamic thing group.
Status attach_policy(state::Transaction& change, const Tables& tables, std::string_view name,
                     std::string_view target, Timestamp now);
// kNotFound: the policy; one that is not attached is fine.
Status detach_policy(state::Transaction& change, const Tables& tables, std::string_view name,
                     std::string_view target);
void detach_all_policies(state::Transaction& change, const Tables& tables, std::string_view target);

bool target_exists(const state::Snapshot& snapshot, const Tables& tables, std::string_view target);
// Names in order.
std::vector<std::string> policies_of_target(const state::Snapshot& snapshot, const Tables& tables,
                                            std::string_view target);
// Those on the certificate (if any) and on the thing's groups and their ancestors (if any), each once.
std::vector<std::shared_ptr<const Policy>> effective_policies(const state::Snapshot& snapshot,
                                                              const Tables& tables,
                                                              std::string_view certificate_id,
                                                              std::string_view thing);

}  // namespace fleetward::registry
