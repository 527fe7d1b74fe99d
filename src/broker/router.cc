#include "broker/router.h"

#include <algorithm>

namespace fleetward::broker {

Router::Router(uint32_t shard, const mqtt::MatchOptions& options,
               std::function<void(const InterestChange&)> announce)
    : shard_(shard), announce_(std::move(announce)), local_(options), interest_(options) {}

Router::Members& Router::list(std::string_view filter) {
  if (!mqtt::parse_share(filter)) return local_.at(filter);
  const auto it = groups_.find(filter);
  return it != groups_.end() ? it->second.members
                             : groups_.emplace(std::string(filter), Group{}).first->second.members;
}

void Router::add(std::string_view filter, LocalSubscriber subscriber) {
  Members& members = list(filter);
  subscriber.subscription->position = members.size();
  members.push_back(subscriber);
  count(filter, 1, is_durable(subscriber) ? 1 : 0);
}

void Router::remove(std::string_view filter, LocalSubscriber subscriber) {
  Members& members = list(filter);
  const size_t at = subscriber.subscription->position;
  if (at >= members.size() || members[at].subscription != subscriber.subscription) return;
  members[at] = members.back();
  members[at].subscription->position = at;
  members.pop_back();
  if (members.empty()) {
    if (mqtt::parse_share(filter)) {
      if (const auto it = groups_.find(filter); it != groups_.end()) groups_.erase(it);
    } else {
      local_.prune(filter);
    }
  }
  count(filter, -1, is_durable(subscriber) ? -1 : 0);
}

void Router::changed(std::string_view filter, bool was_durable, bool is_durable) {
  count(filter, 0, static_cast<int>(is_durable) - static_cast<int>(was_durable));
}

void Router::count(std::string_view filter, int members, int durable) {
  auto it = counts_.find(filter);
  if (it == counts_.end()) it = counts_.emplace(std::string(filter), Counts{}).first;
  Counts& counts = it->second;
  const Counts before = counts;
  counts.members += static_cast<uint32_t>(members);
  counts.durable += static_cast<uint32_t>(durable);
  const auto share = mqtt::parse_share(filter);
  const bool same = share ? counts.members == before.members : (counts.members == 0) == (before.members == 0);
  if (!same || (counts.durable == 0) != (before.durable == 0)) {
    InterestChange change;
    change.filter = share ? share->filter : filter;
    if (share) change.group = share->group;
    change.shard = shard_;
    change.members = share ? counts.members : std::min<uint32_t>(counts.members, 1);
    change.durable = counts.durable != 0;
    apply(change);
    announce_(change);
  }
  if (counts.members == 0) counts_.erase(it);
}

void Router::apply(const InterestChange& change) {
  auto& interests = interest_.at(change.filter);
  const auto it = std::find_if(interests.begin(), interests.end(), [&](const Interest& interest) {
    return interest.shard == change.shard && (interest.shared ? interest.shared->group : "") == change.group;
  });
  if (change.members == 0) {
    if (it != interests.end()) interests.erase(it);
    if (interests.empty()) interest_.prune(change.filter);
  } else if (it != interests.end()) {
    it->members = change.members;
    it->durable = change.durable;
  } else {
    std::unique_ptr<const SharedTarget> shared;
    if (!change.group.empty())
      shared = std::make_unique<SharedTarget>(SharedTarget{change.group, change.filter});
    interests.push_back({std::move(shared), change.shard, change.members, change.durable});
  }
}

void Router::match(std::string_view topic, Targets& out) {
  out.shards = out.durable = 0;
  out.shared.clear();
  candidates_.clear();
  interest_.match(topic, [&](const Interest& interest) {
    const uint64_t bit = uint64_t{1} << interest.shard;
    if (interest.shared) {
      candidates_.push_back(&interest);
      return;
    }
    out.shards |= bit;
    if (interest.durable) out.durable |= bit;
  });
  if (candidates_.empty()) return;
  // One shard for each (group, filter), in proportion to its members.
  std::sort(candidates_.begin(), candidates_.end(), [](const Interest* a, const Interest* b) {
    return std::tie(a->shared->group, a->shared->filter, a->shard) <
           std::tie(b->shared->group, b->shared->filter, b->shard);
  });
  ++turn_;
  for (size_t begin = 0; begin < candidates_.size();) {
    size_t end = begin;
    size_t members = 0;
    while (end < candidates_.size() && *candidates_[end]->shared == *candidates_[begin]->shared) {
      members += candidates_[end++]->members;
    }
    size_t chosen = turn_ % members;
    size_t at = begin;
    while (chosen >= candidates_[at]->members) chosen -= candidates_[at++]->members;
    const Interest& interest = *candidates_[at];
    out.shared.push_back({interest.shard, *interest.shared});
    if (interest.durable) out.durable |= uint64_t{1} << interest.shard;
    begin = end;
  }
}

LocalSubscriber Router::pick(const SharedTarget& target) {
  std::string key = "$share/";
  key.append(target.group).append("/").append(target.filter);
  const auto it = groups_.find(key);
  if (it == groups_.end() || it->second.members.empty()) return {};
  Group& group = it->second;
  const size_t count = group.members.size();
  for (size_t i = 0; i < count; ++i) {
    const LocalSubscriber& member = group.members[(group.next + i) % count];
    if (member.session->connection == nullptr) continue;
    group.next = (group.next + i + 1) % count;
    return member;
  }
  return group.members[group.next++ % count];
}

}  // namespace fleetward::broker
