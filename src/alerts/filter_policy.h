#pragma once

#include <memory>
#include <string_view>

#include "core/json.h"
#include "core/result.h"

namespace fleetward::alerts {

// A subscription's filter policy, compiled. Source: Amazon SNS Developer Guide, "Message filtering" and
// "Filter policy constraints". Immutable, thread safe.
class FilterPolicy {
 public:
  static constexpr size_t kTextBytesMax = 256 * 1024;
  static constexpr size_t kKeysMax = 5;            // attribute scope
  static constexpr size_t kCombinationsMax = 150;  // product of the lists' lengths
  static constexpr size_t kDepthMax = 10;

  // `nested`: body scope, where keys nest. kInvalidArgument names what is wrong.
  static Result<std::shared_ptr<const FilterPolicy>> parse(std::string_view text, bool nested);
  ~FilterPolicy();

  // `values`: the message body, or attributes_object() of its attributes.
  bool matches(const json::object& values) const;

  struct Node;
  explicit FilterPolicy(std::unique_ptr<const Node> root);

 private:
  std::unique_ptr<const Node> root_;
};

// {"name":{"DataType":"Number","StringValue":"5"}} -> {"name":5}; String.Array becomes its list; Binary is
// left out, since no condition can look at it.
json::object attributes_object(const json::object& message_attributes);

}  // namespace fleetward::alerts
