#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "broker/subscription_index.h"
#include "registry/device_authorizer.h"

namespace fleetward::broker {

// The decisions of one connection's policy, remembered. One thread.
class AccessCache {
 public:
  explicit AccessCache(size_t entries_max) : entries_max_(entries_max) {}

  // A null policy allows everything (the listener is open).
  void set_policy(registry::ConnectionPolicyPtr policy) {
    if (policy_ == policy) return;
    policy_ = std::move(policy);
    answers_.reset();
  }
  const registry::ConnectionPolicyPtr& policy() const { return policy_; }

  bool allows(registry::DeviceAction action, std::string_view name) {
    if (!policy_) return true;
    if (!answers_) answers_ = std::make_unique<std::array<Answers, kActions>>();
    auto& [last, decisions] = (*answers_)[static_cast<size_t>(action)];
    if (last.known && last.name == name) return last.allowed;
    bool allowed = false;
    if (const auto it = decisions.find(name); it != decisions.end()) {
      allowed = it->second;
    } else {
      allowed = policy_->allows(action, name);
      // Full: starts afresh. A client that goes through more names than this pays for each.
      if (decisions.size() >= entries_max_) decisions.clear();
      decisions.emplace(std::string(name), allowed);
    }
    last.name.assign(name);
    last.allowed = allowed;
    last.known = true;
    return allowed;
  }

 private:
  static constexpr size_t kActions = 5;
  struct Last {
    std::string name;
    bool allowed = false, known = false;
  };
  struct Answers {
    Last last;  // most often the next question's too
    TextMap<bool> decisions;
  };

  const size_t entries_max_;
  registry::ConnectionPolicyPtr policy_;
  std::unique_ptr<std::array<Answers, kActions>>
      answers_;  // once something was asked: an idle client has none
};

}  // namespace fleetward::broker
