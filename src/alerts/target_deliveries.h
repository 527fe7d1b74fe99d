#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alerts/alert_record.h"
#include "alerts/attempt.h"
#include "alerts/delivery.h"
#include "alerts/target.h"
#include "core/ids.h"
#include "log/log.h"

namespace fleetward::alerts {

// The targets' side of the stage: which of them a violation event goes to, and what each is sent
// (docs/concepts/alert-targets.md). Pure but for the account's names; any thread.
class TargetDeliveries {
 public:
  // `targets` passed prepare(). `hostname` stands in syslog messages of targets that name none.
  TargetDeliveries(const AccountScope& account, std::vector<Target> targets, std::string hostname);

  // The deliveries of a violation that is record `record` of the stream. kCorrupt: its message is no
  // violation.
  Status expand(const AlertRecord& alert, const log::Record& record, std::vector<Delivery>& out) const;
  // nullopt: there is no such target, or the message is not one of expand()'s.
  std::optional<Attempt> attempt(const Delivery& delivery, Timestamp now) const;

  const std::vector<Target>& targets() const { return targets_; }
  const Target* find(std::string_view name) const;

 private:
  AccountScope account_;
  std::vector<Target> targets_;
};

}  // namespace fleetward::alerts
