#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace fleetward {

// A string that was checked when it was built: an invalid one cannot exist. `Rule` supplies
// `static Status check(std::string_view)`. Build with parse(); stored values that were checked before use
// trusted().
template <typename Rule>
class Identifier {
 public:
  Identifier() = default;  // empty: "none"
  static Result<Identifier> parse(std::string_view text) {
    if (auto ok = Rule::check(text); !ok) return fail(ok.error());
    return trusted(std::string(text));
  }
  static Identifier trusted(std::string text) {
    Identifier id;
    id.text_ = std::move(text);
    return id;
  }
  const std::string& str() const { return text_; }
  bool empty() const { return text_.empty(); }
  auto operator<=>(const Identifier&) const = default;

 private:
  std::string text_;
};

// 1..128 of [a-zA-Z0-9:_-] (things, groups, profiles, custom metrics). Rule and field names differ: see their
// rooms.
struct ThingNameRule {
  static Status check(std::string_view text);
};
// 1..128 bytes of UTF-8 without control characters, not starting with '$'.
struct ClientIdRule {
  static Status check(std::string_view text);
};
// 64 lower-case hex digits: SHA-256 of the certificate's DER form.
struct CertificateIdRule {
  static Status check(std::string_view text);
};
// 12 decimal digits.
struct AccountIdRule {
  static Status check(std::string_view text);
};

using ThingName = Identifier<ThingNameRule>;
using ClientId = Identifier<ClientIdRule>;
using CertificateId = Identifier<CertificateIdRule>;
using AccountId = Identifier<AccountIdRule>;

// arn:partition:service:region:account:resource. The parts are views into `text`, which must outlive them.
struct ArnParts {
  std::string_view partition, service, region, account, resource;
};
// kInvalidArgument if there are fewer than six parts or the first is not "arn".
Result<ArnParts> parse_arn(std::string_view text);

// Whose resources these are: every ARN of the process is built from it.
struct AccountScope {
  AccountId account;
  std::string region;

  std::string arn(std::string_view service,
                  std::string_view resource) const;  // "arn:aws:<service>:<region>:<acct>:<resource>"
  std::string global_arn(std::string_view service, std::string_view resource) const;  // IAM: without a region
};

}  // namespace fleetward

template <typename Rule>
struct std::hash<fleetward::Identifier<Rule>> {
  size_t operator()(const fleetward::Identifier<Rule>& id) const noexcept {
    return std::hash<std::string>()(id.str());
  }
};
