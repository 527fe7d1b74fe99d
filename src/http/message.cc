#include "http/message.h"

#include <algorithm>

#include "core/encoding.h"
#include "core/text.h"

namespace fleetward::http {
namespace {

constexpr size_t kQueryParametersMax = 2000;

}  // namespace

void Headers::set(std::string_view name, std::string value) {
  std::erase_if(fields_, [&](const auto& field) { return equal_ignoring_case(field.first, name); });
  add(std::string(name), std::move(value));
}

std::string_view Headers::get(std::string_view name) const {
  for (const auto& [field, value] : fields_) {
    if (equal_ignoring_case(field, name)) return value;
  }
  return {};
}

bool Headers::has(std::string_view name) const {
  return std::any_of(fields_.begin(), fields_.end(),
                     [&](const auto& field) { return equal_ignoring_case(field.first, name); });
}

const QueryParameter* RequestHead::find_query(std::string_view name) const {
  for (const QueryParameter& parameter : query) {
    if (parameter.name == name) return &parameter;
  }
  return nullptr;
}

Result<std::vector<QueryParameter>> parse_query(std::string_view text) {
  std::vector<QueryParameter> out;
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(piece.size() + 1, text.size()));
    if (piece.empty()) continue;
    if (out.size() == kQueryParametersMax) {
      return fail(ErrorCode::kLimitExceeded,
                  "more than " + std::to_string(kQueryParametersMax) + " parameters");
    }
    const size_t equals = piece.find('=');
    const bool has_value = equals != std::string_view::npos;
    auto name = percent_decode(piece.substr(0, equals), true);
    auto value = percent_decode(has_value ? piece.substr(equals + 1) : std::string_view(), true);
    if (!name) return fail(name.error());
    if (!value) return fail(value.error());
    out.push_back({std::move(*name), std::move(*value), has_value});
  }
  return out;
}

Status parse_target(std::string_view target, RequestHead& head) {
  if (target.empty() || target[0] != '/') {
    return fail(ErrorCode::kMalformed, "the request target is not a path");
  }
  head.target = target;
  const size_t question = target.find('?');
  head.raw_path = target.substr(0, question);
  auto path = percent_decode(head.raw_path);
  if (!path) return fail(ErrorCode::kMalformed, "the path holds a bad escape");
  head.path = std::move(*path);
  head.query.clear();
  if (question == std::string_view::npos) return {};
  auto query = parse_query(target.substr(question + 1));
  if (!query) return fail(ErrorCode::kMalformed, "the query string is refused: " + query.error().message);
  head.query = std::move(*query);
  return {};
}

Upgrade Handler::upgrade(const RequestHead&) {
  Response response;
  response.status = 501;
  response.body = "no upgrade is possible here\n";
  return {std::move(response), {}};
}

Response Handler::refusal(const RequestHead&, Refusal why) {
  Response response;
  response.headers.add("Content-Type", "text/plain");
  switch (why) {
    case Refusal::kOverloaded:
      response.status = 503;
      response.body = "too many requests\n";
      break;
    case Refusal::kBodyTooLarge:
      response.status = 413;
      response.body = "the body is too large\n";
      break;
    case Refusal::kLengthRequired:
      response.status = 411;
      response.body = "a length is required\n";
      break;
    case Refusal::kFailed:
      response.status = 500;
      response.body = "internal error\n";
      break;
  }
  return response;
}

}  // namespace fleetward::http
