#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/hooks.h"
#include "broker/options.h"
#include "mqtt/topic.h"

namespace fleetward::broker {

// The retained messages of all topics, read and written by all shards under one lock: it is taken for a
// retained PUBLISH and for a SUBSCRIBE, never for an ordinary PUBLISH. Thread safe.
class RetainedStore {
 public:
  explicit RetainedStore(const Options& options);

  // An empty payload deletes. False if a new message would exceed the bounds.
  bool set(const MessagePtr& message);
  // At most `count_max`, in order of topics from `begin` on.
  std::vector<MessagePtr> list(std::string_view begin, size_t count_max) const;
  MessagePtr get(std::string_view topic) const;  // null if there is none
  // Of topics that match the filter, in order, at most `count_max`; expired ones are left out. None
  // of a filter with wildcards unless Options::retained_for_wildcards.
  std::vector<MessagePtr> match(std::string_view filter, Timestamp now, size_t count_max) const;
  size_t size() const;

 private:
  const size_t messages_max_, bytes_max_;
  const mqtt::MatchOptions matching_;
  const bool for_wildcards_;
  mutable std::mutex mutex_;
  std::map<std::string, MessagePtr, std::less<>> messages_;
  size_t bytes_ = 0;
};

}  // namespace fleetward::broker
