#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/message.h"
#include "http/operation.h"

// REST-JSON: from method and path to an operation, and from the parts of a request to one JSON object.
namespace fleetward::http {

// Finds the operation whose template a path matches; a literal segment wins over a label, a label over a
// greedy one.
class RestRouter {
 public:
  RestRouter() = default;
  // Keeps indices into `operations`, not references.
  explicit RestRouter(const std::vector<Operation>& operations);

  struct Match {
    size_t operation = 0;
    std::vector<std::pair<std::string, std::string>> labels;  // decoded
  };
  // `raw_path` is percent-encoded: an encoded slash does not split a segment.
  std::optional<Match> match(std::string_view method, std::string_view raw_path) const;

 private:
  struct Segment {
    enum class Kind { kLiteral, kLabel, kGreedy } kind;
    std::string text;
  };
  struct Route {
    std::string method;
    std::vector<Segment> segments;
    size_t operation;
  };
  std::vector<Route> routes_;  // the most specific first
};

// The arguments of an operation: labels, bound query parameters and headers, and the members of the JSON
// body. Query parameters that the operation does not bind come along under their own names, for the operation
// to refuse. A value that is not of its binding's type stays text. Errors: SerializationException.
ApiResult<json::object> bind_rest_json(const Operation& operation,
                                       const std::vector<std::pair<std::string, std::string>>& labels,
                                       const RequestHead& head, std::string_view body);

// A JSON object, or nothing at all for an empty body. SerializationException otherwise.
ApiResult<json::object> parse_json_body(std::string_view body);

}  // namespace fleetward::http
