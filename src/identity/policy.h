#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

// The AWS policy language, shared by IAM policies, role trust policies, bucket policies and AWS IoT policies:
// documents are parsed and checked once, compiled, and evaluated without allocation where no variable is
// used.
namespace fleetward::identity {

// Values of condition keys and ${variables} at one decision: "aws:SourceIp", "iot:ClientId", ... A key that
// is absent makes a resource that names it match nothing.
class RequestContext {
 public:
  virtual ~RequestContext() = default;
  // The key's values (most keys have one); empty if the key is not there. `key` comes as the document spells
  // it, and names of keys compare without case. The span stays valid while the context is not changed.
  virtual std::span<const std::string> find(std::string_view key) const = 0;
};

class MapContext final : public RequestContext {
 public:
  MapContext() = default;
  void set(std::string_view key, std::string value);
  void set_list(std::string_view key, std::vector<std::string> values);
  std::span<const std::string> find(std::string_view key) const override;

 private:
  std::map<std::string, std::vector<std::string>> values_;  // lower-case keys
};

// Who asks, for documents that name principals (trust and bucket policies).
struct Principal {
  std::string service;   // "iot.amazonaws.com", or empty
  std::string arn;       // of a user, role session or "arn:aws:iam::<acct>:root"; empty for anonymous
  std::string role_arn;  // of the role behind a role session, else empty
  std::string account;
};

enum class Decision { kAllow, kDeny, kNoMatch };  // kDeny: an explicit Deny statement matched

struct DocumentRules {
  bool principal_required = false;  // trust and bucket policies have principals, the others must not
  bool resource_required = true;    // trust policies have none
  size_t characters_max = 6144;     // of the text without white space
};

class PolicyDocument {
 public:
  // kMalformed (not a policy document, and where), kLimitExceeded (too long) or kUnimplemented
  // (NotPrincipal). Whatever could fail later is refused here: evaluation cannot fail.
  static Result<std::shared_ptr<const PolicyDocument>> parse(std::string_view text,
                                                             const DocumentRules& rules = {});

  // Actions compare without case; resources by case, '*' any run, '?' one character. `principal` is null for
  // documents without principals.
  Decision evaluate(std::string_view action, std::string_view resource, const RequestContext& context,
                    const Principal* principal = nullptr) const;

  // The document for one context that does not change (a connection's): variables replaced by their values,
  // conditions decided. Evaluating it looks at no context and gives what this one gives with `context`.
  // `self` is this document: answered as it is if nothing in it depends on the context.
  static std::shared_ptr<const PolicyDocument> bind(const std::shared_ptr<const PolicyDocument>& self,
                                                    const RequestContext& context);

  // As it was parsed; empty for a bound document.
  const std::string& text() const;

  struct Compiled;  // policy_compiled.h
  explicit PolicyDocument(std::unique_ptr<const Compiled> compiled);
  ~PolicyDocument();

 private:
  std::unique_ptr<const Compiled> compiled_;
};

// Any Deny wins, then any Allow, else kNoMatch.
Decision evaluate_all(const std::vector<std::shared_ptr<const PolicyDocument>>& documents,
                      std::string_view action, std::string_view resource, const RequestContext& context,
                      const Principal* principal = nullptr);

// '*' any run, '?' one character; `pattern` and `text` by case.
bool glob_match(std::string_view pattern, std::string_view text);

}  // namespace fleetward::identity
