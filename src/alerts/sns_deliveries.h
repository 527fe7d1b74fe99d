#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "alerts/alert_record.h"
#include "alerts/attempt.h"
#include "alerts/delivery.h"
#include "alerts/signer.h"
#include "alerts/topics.h"
#include "core/random.h"
#include "identity/authorizer.h"
#include "log/log.h"
#include "state/store.h"

namespace fleetward::alerts {

// Why a notification, or its delivery to one subscription, was given up.
struct Dropped {
  std::string topic, subscription, target;
  std::string_view reason;  // a metric label
  std::string detail;
};

// SNS's side of the stage: which subscriptions a notification goes to, and what each of them is sent. The
// stage's thread; confirmation() any.
class SnsDeliveries {
 public:
  // "https://localhost:8443": where subscribers find our API. Asked at each use.
  using PublicUrl = std::function<std::string()>;

  SnsDeliveries(const AccountScope& account, PublicUrl public_url, const state::Store& store,
                const Tables& tables, const identity::Authorizer& authorizer, const Signer& signer,
                Random& random)
      : account_(account),
        public_url_(std::move(public_url)),
        store_(store),
        tables_(tables),
        authorizer_(authorizer),
        signer_(signer),
        random_(random) {}

  // The deliveries of a notification with a topic that is record `record` of the stream; or why there are
  // none.
  void expand(const AlertRecord& alert, const log::Record& record, std::vector<Delivery>& out,
              std::vector<Dropped>& dropped) const;
  // nullopt: the subscription does not want it any more.
  std::optional<Attempt> attempt(const Delivery& delivery) const;
  // What a pending or deleted subscription's endpoint is told.
  Delivery confirmation(const Subscription& subscription, Timestamp now) const;

 private:
  Status check_role(const AlertRecord& alert) const;
  Notification notification_of(const Delivery& delivery, const Subscription& subscription) const;

  const AccountScope& account_;
  const PublicUrl public_url_;
  const state::Store& store_;
  const Tables& tables_;
  const identity::Authorizer& authorizer_;
  const Signer& signer_;
  Random& random_;
};

}  // namespace fleetward::alerts
