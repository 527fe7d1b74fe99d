#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rules/event.h"
#include "rules/limits.h"
#include "rules/value.h"

namespace fleetward::rules {

// What one run of one rule evaluates against. Not thread safe; lives for the run.
class Scope {
 public:
  Scope(const Message& message, SqlVersion version) : message_(message), version_(version) {}

  const Message& message() const { return message_; }
  const Event& event() const { return message_.event(); }
  SqlVersion version() const { return version_; }
  bool whole_is_int() const { return version_ != SqlVersion::k2015; }

  // What field names refer to: the payload, or the current element of a nested query; nullptr if it is not
  // JSON.
  const json::value* row() const { return nested_ ? row_ : message_.document(); }
  bool nested() const { return nested_; }
  // Enters (and leaves) a row of a nested query.
  class Row {
   public:
    Row(Scope& scope, const json::value* row)
        : scope_(scope), row_before_(scope.row_), nested_before_(scope.nested_) {
      scope.row_ = row;
      scope.nested_ = true;
    }
    ~Row() {
      scope_.row_ = row_before_;
      scope_.nested_ = nested_before_;
    }
    Row(const Row&) = delete;
    Row& operator=(const Row&) = delete;

   private:
    Scope& scope_;
    const json::value* row_before_;
    bool nested_before_;
  };

  // Takes `units` of work; false once kWorkMax is used up: the caller answers Undefined and the run fails.
  bool charge(size_t units) {
    work_left_ = units > work_left_ ? 0 : work_left_ - units;
    return work_left_ > 0;
  }
  bool exhausted() const { return work_left_ == 0; }

  // The next of the message's random words.
  uint64_t random();

  std::vector<Value> variables;  // of SET, in order

 private:
  const Message& message_;
  SqlVersion version_;
  const json::value* row_ = nullptr;
  bool nested_ = false;
  size_t work_left_ = kWorkMax;
  uint64_t random_count_ = 0;
};

// A compiled expression. Immutable, shared by threads. Values it gives may borrow from the message's document
// and from the node itself.
struct Node {
  virtual ~Node() = default;
  Value evaluate(Scope& scope) const {
    if (!scope.charge(kNodeWork)) return {};
    return run(scope);
  }

 private:
  virtual Value run(Scope& scope) const = 0;
};
using NodePtr = std::unique_ptr<const Node>;

// The member of an object, or Undefined.
Value member_of(Value base, std::string_view name);
// Takes a borrowed value out as a copy, charged; null if the work is used up.
json::value copy_out(Scope& scope, Value value);
// A new string value, charged.
Value new_text(Scope& scope, std::string_view text);

}  // namespace fleetward::rules
