#include "broker/retained.h"

#include "broker/message_codec.h"

namespace fleetward::broker {

RetainedStore::RetainedStore(const Options& options)
    : messages_max_(options.retained_messages_max),
      bytes_max_(options.retained_bytes_max),
      matching_(options.aws_wildcards ? mqtt::MatchOptions::aws() : mqtt::MatchOptions{}),
      for_wildcards_(options.retained_for_wildcards) {}

bool RetainedStore::set(const MessagePtr& message) {
  const std::lock_guard lock(mutex_);
  const auto it = messages_.find(message->topic);
  const size_t old_weight = it == messages_.end() ? 0 : message_weight(*it->second);
  if (message->payload.empty()) {
    if (it != messages_.end()) messages_.erase(it);
    bytes_ -= old_weight;
    return true;
  }
  const size_t weight = message_weight(*message);
  if (bytes_ - old_weight + weight > bytes_max_) return false;
  if (it == messages_.end()) {
    if (messages_.size() >= messages_max_) return false;
    messages_.emplace(message->topic, message);
  } else {
    it->second = message;
  }
  bytes_ = bytes_ - old_weight + weight;
  return true;
}

std::vector<MessagePtr> RetainedStore::list(std::string_view begin, size_t count_max) const {
  const std::lock_guard lock(mutex_);
  std::vector<MessagePtr> out;
  for (auto it = messages_.lower_bound(begin); it != messages_.end() && out.size() < count_max; ++it) {
    out.push_back(it->second);
  }
  return out;
}

MessagePtr RetainedStore::get(std::string_view topic) const {
  const std::lock_guard lock(mutex_);
  const auto it = messages_.find(topic);
  return it == messages_.end() ? nullptr : it->second;
}

std::vector<MessagePtr> RetainedStore::match(std::string_view filter, Timestamp now, size_t count_max) const {
  const auto fresh = [now](const Message& message) {
    return message.expiry_seconds == 0 ||
           now < message.published + Duration{int64_t{message.expiry_seconds} * 1000};
  };
  std::vector<MessagePtr> out;
  if (!mqtt::has_wildcard(filter)) {
    if (auto message = get(filter); message && fresh(*message)) out.push_back(std::move(message));
    return out;
  }
  if (!for_wildcards_) return out;
  // Only topics that start with the levels before the first wildcard can match.
  const std::string_view prefix = filter.substr(0, filter.find_first_of("+#"));
  const std::lock_guard lock(mutex_);
  const std::string_view from = prefix.ends_with('/') ? prefix.substr(0, prefix.size() - 1) : prefix;
  for (auto it = messages_.lower_bound(from); it != messages_.end() && out.size() < count_max; ++it) {
    if (!std::string_view(it->first).starts_with(from)) break;
    if (mqtt::matches(filter, it->first, matching_) && fresh(*it->second)) out.push_back(it->second);
  }
  return out;
}

size_t RetainedStore::size() const {
  const std::lock_guard lock(mutex_);
  return messages_.size();
}

}  // namespace fleetward::broker
