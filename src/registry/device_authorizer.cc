#include "registry/device_authorizer.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/text.h"
#include "identity/authorizer.h"
#include "registry/connection_context.h"
#include "registry/policies.h"

namespace fleetward::registry {
namespace {

constexpr size_t kArnBytesOnStack = 1024;

struct ActionFacts {
  std::string_view action, resource;
};

ActionFacts facts_of(DeviceAction action) {
  switch (action) {
    case DeviceAction::kConnect:
      return {"iot:Connect", "client/"};
    case DeviceAction::kPublish:
      return {"iot:Publish", "topic/"};
    case DeviceAction::kRetainPublish:
      return {"iot:RetainPublish", "topic/"};
    case DeviceAction::kSubscribe:
      return {"iot:Subscribe", "topicfilter/"};
    case DeviceAction::kReceive:
      return {"iot:Receive", "topic/"};
  }
  return {};
}

class EmptyContext final : public identity::RequestContext {
 public:
  std::span<const std::string> find(std::string_view) const override { return {}; }
};

// The thing of a certificate's connection: the exclusive one, else the attached one called like the client.
struct Attached {
  std::string thing;
  bool exclusive = false;
};
Attached attached_thing(const state::Snapshot& snapshot, const Tables& tables,
                        std::string_view certificate_id, const std::string& client_id) {
  const auto& map = snapshot.get(tables.principal_things);
  Attached out;
  map.visit_prefix(state::key(certificate_id, ""), [&](const auto& entry) {
    if (entry.value->exclusive) out = {std::string(state::key_tail(entry.key)), true};
    return false;  // an exclusive attachment is the only one, so the first tells
  });
  if (!out.exclusive && client_id.find('\0') == std::string::npos &&
      map.find(state::key(certificate_id, client_id)) != nullptr) {
    out.thing = client_id;
  }
  return out;
}

// Too often rather than too seldom: the text may name it elsewhere than in a condition or a variable.
bool mentions_time(std::string_view document) {
  for (const std::string_view key : {"aws:currenttime", "aws:epochtime"}) {
    const auto found = std::search(document.begin(), document.end(), key.begin(), key.end(),
                                   [](char a, char b) { return to_lower(a) == b; });
    if (found != document.end()) return true;
  }
  return false;
}

}  // namespace

identity::Decision ConnectionPolicy::decide(DeviceAction action, std::string_view name) const {
  const ActionFacts facts = facts_of(action);
  const size_t size = arn_prefix_.size() + facts.resource.size() + name.size();
  std::array<char, kArnBytesOnStack> stack;
  std::string heap;
  char* const begin = size <= stack.size() ? stack.data() : (heap.resize(size), heap.data());
  char* at = begin;
  for (const std::string_view part : {std::string_view(arn_prefix_), facts.resource, name}) {
    if (!part.empty()) std::memcpy(at, part.data(), part.size());
    at += part.size();
  }
  return decide_arn(facts.action, {begin, size});
}

identity::Decision ConnectionPolicy::decide_arn(std::string_view action, std::string_view resource) const {
  if (everything_) return identity::Decision::kAllow;
  const identity::Decision decision = identity::evaluate_all(bound_, action, resource, EmptyContext());
  if (decision != identity::Decision::kAllow || boundary_.empty()) return decision;
  return identity::evaluate_all(boundary_, action, resource, EmptyContext());
}

DeviceAuthorizer::DeviceAuthorizer(Tables tables, AccountScope account,
                                   std::optional<identity::Tables> identities)
    : tables_(tables), account_(std::move(account)), identities_(identities) {}

DeviceStatus DeviceAuthorizer::find_device(const state::Snapshot& snapshot,
                                           std::string_view certificate_id) const {
  const Certificate* found = snapshot.get(tables_.certificates).find(certificate_id);
  if (found == nullptr) return DeviceStatus::kUnknown;
  return found->status == CertificateStatus::kActive ? DeviceStatus::kActive : DeviceStatus::kNotActive;
}

bool DeviceAuthorizer::same_certificates(const state::Snapshot& a, const state::Snapshot& b) const {
  // Snapshots share the tables that a change did not touch.
  return &a.get(tables_.certificates) == &b.get(tables_.certificates);
}

bool DeviceAuthorizer::same_keys(const state::Snapshot& a, const state::Snapshot& b) const {
  if (!identities_) return true;
  const auto same = [&](const auto& table) { return &a.get(table) == &b.get(table); };
  return same(identities_->access_keys) && same(identities_->sessions) && same(identities_->users) &&
         same(identities_->roles);
}

bool DeviceAuthorizer::may_stay(const state::Snapshot& snapshot, const DeviceConnection& connection) const {
  if (!connection.certificate_id.empty()) {
    return find_device(snapshot, connection.certificate_id) == DeviceStatus::kActive;
  }
  if (!connection.caller) return true;
  if (!identities_) return false;
  const auto key =
      identity::find_credentials(snapshot, *identities_, account_, connection.caller->access_key_id);
  // A user or role of the same name may be another one by now.
  return key && key->caller.id == connection.caller->id &&
         (key->expires.ms == 0 || connection.now < key->expires);
}

Timestamp DeviceAuthorizer::credentials_end(const state::Snapshot& snapshot,
                                            const DeviceConnection& connection) const {
  if (!connection.caller || !identities_) return {};
  const auto key =
      identity::find_credentials(snapshot, *identities_, account_, connection.caller->access_key_id);
  return key ? key->expires : Timestamp{};
}

ConnectionPolicy DeviceAuthorizer::gather(const state::Snapshot& snapshot,
                                          const DeviceConnection& connection) const {
  ConnectionPolicy out;
  out.arn_prefix_ = account_.arn("iot", "");
  const bool by_certificate = !connection.certificate_id.empty();
  if (by_certificate) {
    const auto* certificate = snapshot.get(tables_.certificates).find_shared(connection.certificate_id);
    if (certificate == nullptr || (*certificate)->status != CertificateStatus::kActive) return out;
    out.certificate_ = *certificate;
  }
  if (!connection.client_id.empty()) {
    std::string thing = connection.client_id;
    if (by_certificate) {
      Attached attached = attached_thing(snapshot, tables_, connection.certificate_id, connection.client_id);
      thing = std::move(attached.thing);
      out.exclusive_ = attached.exclusive;
      out.attached_ = !thing.empty();
    }
    if (const auto* value = snapshot.get(tables_.things).find_shared(thing)) {
      out.thing_value_ = *value;
      out.thing_ = std::move(thing);
    }
  }
  if (by_certificate) {
    for (const auto& policy : effective_policies(snapshot, tables_, connection.certificate_id, out.thing_)) {
      out.sources_.push_back(policy->in_force().document);
    }
  } else if (connection.caller) {
    if (!may_stay(snapshot, connection)) return out;
    auto policies = identity::policies_of(snapshot, *identities_, *connection.caller);
    out.everything_ = policies.everything;
    out.sources_ = std::move(policies.grants);
    out.boundary_sources_ = std::move(policies.boundary);
  } else if (const Policy* named = snapshot.get(tables_.policies).find(connection.named_policy)) {
    out.sources_.push_back(named->in_force().document);
  }
  return out;
}

void DeviceAuthorizer::bind(const DeviceConnection& connection, ConnectionPolicy& policy) {
  const ConnectionContext context(connection, policy.certificate_.get(), policy.thing_value_.get(),
                                  policy.attached_);
  policy.bound_at_ = connection.now;
  const auto bind_all = [&](const ConnectionPolicy::Documents& from, ConnectionPolicy::Documents& to) {
    to.reserve(from.size());
    for (const auto& document : from) {
      policy.timed_ = policy.timed_ || mentions_time(document->text());
      to.push_back(identity::PolicyDocument::bind(document, context));
    }
  };
  bind_all(policy.sources_, policy.bound_);
  bind_all(policy.boundary_sources_, policy.boundary_);
}

ConnectionPolicyPtr DeviceAuthorizer::compile(const state::Snapshot& snapshot,
                                              const DeviceConnection& connection) const {
  auto out = std::make_shared<ConnectionPolicy>(gather(snapshot, connection));
  bind(connection, *out);
  return out;
}

ConnectionPolicyPtr DeviceAuthorizer::renew(const state::Snapshot& snapshot,
                                            const DeviceConnection& connection,
                                            const ConnectionPolicyPtr& held) const {
  if (!may_stay(snapshot, connection)) return nullptr;
  auto out = std::make_shared<ConnectionPolicy>(gather(snapshot, connection));
  if (out->certificate_ == held->certificate_ && out->thing_value_ == held->thing_value_ &&
      out->sources_ == held->sources_ && out->boundary_sources_ == held->boundary_sources_ &&
      out->everything_ == held->everything_ && out->attached_ == held->attached_ &&
      out->exclusive_ == held->exclusive_ && (!held->timed_ || held->bound_at_ == connection.now)) {
    return held;
  }
  bind(connection, *out);
  out->generation_ = held->generation_ + 1;
  return out;
}

ConnectionPolicyPtr DeviceAuthorizer::compile_with(
    const state::Snapshot& snapshot, const DeviceConnection& connection,
    std::vector<std::shared_ptr<const identity::PolicyDocument>> documents) const {
  auto out = std::make_shared<ConnectionPolicy>(gather(snapshot, connection));
  out->sources_ = std::move(documents);
  bind(connection, *out);
  return out;
}

}  // namespace fleetward::registry
