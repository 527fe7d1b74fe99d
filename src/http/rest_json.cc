#include "http/rest_json.h"

#include <algorithm>
#include <tuple>

#include "core/encoding.h"
#include "core/text.h"

namespace fleetward::http {
namespace {

std::vector<std::string_view> split_path(std::string_view path) {
  std::vector<std::string_view> out;
  if (path.starts_with('/')) path.remove_prefix(1);
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    out.push_back(path.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

json::value typed(std::string_view text, Binding::Type type) {
  if (type == Binding::Type::kInteger) {
    if (const auto n = parse_number<int64_t>(text)) return *n;
  }
  if (type == Binding::Type::kTimestamp) {
    if (const auto n = parse_number<double>(text)) return *n;
  }
  if (type == Binding::Type::kBoolean && (text == "true" || text == "false")) return text == "true";
  return boost::json::string(text.data(), text.size());
}

const Binding* find_binding(const Operation& operation, Binding::From from, std::string_view wire) {
  for (const Binding& binding : operation.bindings) {
    if (binding.from == from && binding.wire == wire) return &binding;
  }
  return nullptr;
}

void bind_query(const Operation& operation, const RequestHead& head, json::object& out) {
  for (const QueryParameter& parameter : head.query) {
    if (parameter.name.starts_with("X-Amz-")) continue;  // of a presigned URL
    const Binding* binding = find_binding(operation, Binding::From::kQuery, parameter.name);
    const std::string& member = binding == nullptr ? parameter.name : binding->member;
    if (binding != nullptr && binding->type == Binding::Type::kStringList) {
      json::value& list = out[member];
      if (!list.is_array()) list = json::array();
      list.get_array().emplace_back(parameter.value);
      continue;
    }
    out[member] = typed(parameter.value, binding == nullptr ? Binding::Type::kString : binding->type);
  }
}

}  // namespace

RestRouter::RestRouter(const std::vector<Operation>& operations) {
  for (size_t i = 0; i < operations.size(); ++i) {
    if (operations[i].uri.empty()) continue;
    Route route{operations[i].method, {}, i};
    for (const std::string_view piece : split_path(operations[i].uri)) {
      if (piece.starts_with('{') && piece.ends_with("+}")) {
        route.segments.push_back({Segment::Kind::kGreedy, std::string(piece.substr(1, piece.size() - 3))});
      } else if (piece.starts_with('{') && piece.ends_with('}')) {
        route.segments.push_back({Segment::Kind::kLabel, std::string(piece.substr(1, piece.size() - 2))});
      } else {
        route.segments.push_back({Segment::Kind::kLiteral, std::string(piece)});
      }
    }
    routes_.push_back(std::move(route));
  }
  std::sort(routes_.begin(), routes_.end(), [](const Route& a, const Route& b) {
    const size_t shared = std::min(a.segments.size(), b.segments.size());
    for (size_t i = 0; i < shared; ++i) {
      if (a.segments[i].kind != b.segments[i].kind) return a.segments[i].kind < b.segments[i].kind;
    }
    return std::tuple(a.segments.size(), a.operation) < std::tuple(b.segments.size(), b.operation);
  });
}

std::optional<RestRouter::Match> RestRouter::match(std::string_view method, std::string_view raw_path) const {
  const auto pieces = split_path(raw_path);
  for (const Route& route : routes_) {
    if (route.method != method) continue;
    Match found{route.operation, {}};
    size_t at = 0;
    bool fits = true;
    for (const Segment& segment : route.segments) {
      if (at >= pieces.size()) {
        fits = false;
        break;
      }
      std::string_view piece = pieces[at++];
      if (segment.kind == Segment::Kind::kGreedy) {
        piece = raw_path.substr(static_cast<size_t>(piece.data() - raw_path.data()));
        at = pieces.size();
      }
      auto text = percent_decode(piece);
      fits = text && (segment.kind == Segment::Kind::kLiteral ? *text == segment.text : !text->empty());
      if (!fits) break;
      if (segment.kind != Segment::Kind::kLiteral) found.labels.emplace_back(segment.text, std::move(*text));
    }
    if (fits && at == pieces.size()) return found;
  }
  return std::nullopt;
}

ApiResult<json::object> parse_json_body(std::string_view body) {
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) return json::object();
  auto value = json::parse(body, {.bytes_max = Body::kTextBytesMax});
  if (!value) {
    return api_fail(400, "SerializationException", "The body is not JSON: " + value.error().message);
  }
  if (!value->is_object()) {
    return api_fail(400, "SerializationException", "The body must be one JSON object.");
  }
  return std::move(value->get_object());
}

ApiResult<json::object> bind_rest_json(const Operation& operation,
                                       const std::vector<std::pair<std::string, std::string>>& labels,
                                       const RequestHead& head, std::string_view body) {
  json::object bound;
  bind_query(operation, head, bound);
  for (const auto& [label, text] : labels) {
    const Binding* binding = find_binding(operation, Binding::From::kPath, label);
    bound[binding == nullptr ? label : binding->member] =
        typed(text, binding == nullptr ? Binding::Type::kString : binding->type);
  }
  for (const Binding& binding : operation.bindings) {
    if (binding.from != Binding::From::kHeader || !head.headers.has(binding.wire)) continue;
    bound[binding.member] = typed(head.headers.get(binding.wire), binding.type);
  }
  if (operation.raw_payload) return bound;

  auto arguments = parse_json_body(body);
  if (!arguments) return arguments;
  for (auto& entry : bound) {
    if (arguments->contains(entry.key())) {
      return api_fail(400, "SerializationException",
                      "The member '" + std::string(entry.key()) + "' does not belong in the body.");
    }
    arguments->emplace(entry.key(), std::move(entry.value()));
  }
  return arguments;
}

}  // namespace fleetward::http
