#pragma once

#include <string>
#include <vector>

#include "core/json.h"

namespace fleetward::identity {

// Who signed a request, after verification.
struct Caller {
  enum class Kind { kRoot, kUser, kAssumedRole, kAnonymous } kind = Kind::kAnonymous;
  std::string arn;      // "arn:aws:iam::123456789012:user/alice"
  std::string id;       // "AIDA..." or "AROA...:session"
  std::string account;  // 12 digits
  std::string name;     // user or role name; empty for root
  std::string access_key_id;
  std::string role_arn;    // of an assumed role's session: the role itself, with its path
  bool temporary = false;  // signed with a session's credentials
};

}  // namespace fleetward::identity
