#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/result.h"
#include "rules/event.h"
#include "rules/template.h"
#include "rules/value.h"

namespace fleetward::rules {

class Scope;

// What a SELECT gave. `bytes` is what actions send: the payload itself, byte for byte, for `SELECT *` alone;
// compact JSON otherwise; empty for an Undefined `SELECT VALUE`.
struct Output {
  std::string_view bytes() const { return forwarded ? payload : std::string_view(text); }
  bool forwarded = false;
  std::string_view payload;          // of the event, when forwarded
  std::string text;                  // otherwise
  std::optional<json::value> value;  // what `text` is; absent when forwarded or Undefined
};

// A statement, parsed, checked and compiled once. Immutable, shared by snapshots and threads.
class Plan {
 public:
  // kMalformed: a syntax or type error; kUnimplemented: a construct of AWS that this release does not have,
  // named; kLimitExceeded. Every message gives line and column. All three are SqlParseException at the edge.
  static Result<std::shared_ptr<const Plan>> compile(std::string_view sql, SqlVersion version);
  ~Plan();

  // The FROM filter; empty if there is none (rules used by Basic Ingest only).
  const std::string& topic_filter() const { return topic_filter_; }
  SqlVersion version() const { return version_; }
  TemplateContext template_context() const;

  // Evaluates SET and WHERE into the scope: does the message pass?
  bool matches(Scope& scope) const;
  // Evaluates SELECT. kLimitExceeded over kOutputBytesMax or kWorkMax.
  Result<Output> select(Scope& scope) const;

  struct Compiled;

 private:
  Plan();
  std::string topic_filter_;
  SqlVersion version_ = SqlVersion::k2015;
  bool forwards_payload_ = false;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace fleetward::rules
