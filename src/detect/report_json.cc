#include <cstring>

#include <simdjson.h>

#include "detect/report_sources.h"
#include "detect/report_walk.h"

namespace fleetward::detect::internal {
namespace {

// A value of simdjson's DOM. The DOM (not On-Demand) because it validates the whole document before the first
// value is used, so that a report is accepted or refused as a whole.
class JsonNode {
 public:
  explicit JsonNode(simdjson::dom::element element) : element_(element) {}

  bool is_object() const { return element_.type() == simdjson::dom::element_type::OBJECT; }
  bool is_array() const { return element_.type() == simdjson::dom::element_type::ARRAY; }
  bool number(Number& out) const {
    switch (element_.type()) {
      case simdjson::dom::element_type::INT64: {
        int64_t value = 0;
        if (element_.get(value) != simdjson::SUCCESS) return false;
        out.whole = true;
        out.negative = value < 0;
        out.magnitude = value < 0 ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value);
        out.value = static_cast<double>(value);
        return true;
      }
      case simdjson::dom::element_type::UINT64: {
        if (element_.get(out.magnitude) != simdjson::SUCCESS) return false;
        out.whole = true;
        out.value = static_cast<double>(out.magnitude);
        return true;
      }
      case simdjson::dom::element_type::DOUBLE: {
        double value = 0;
        if (element_.get(value) != simdjson::SUCCESS) return false;
        out = number_of(value);
        return true;
      }
      default:
        return false;
    }
  }
  bool string(std::string_view& out) const { return element_.get(out) == simdjson::SUCCESS; }
  template <typename F>
  bool members(F each) const {
    simdjson::dom::object object;
    if (element_.get(object) != simdjson::SUCCESS) return false;
    for (const simdjson::dom::key_value_pair field : object) {
      if (!each(field.key, JsonNode(field.value))) return false;
    }
    return true;
  }
  template <typename F>
  bool elements(F each) const {
    simdjson::dom::array array;
    if (element_.get(array) != simdjson::SUCCESS) return false;
    for (const simdjson::dom::element element : array) {
      if (!each(JsonNode(element))) return false;
    }
    return true;
  }

 private:
  simdjson::dom::element element_;
};

}  // namespace

struct JsonReports::State {
  simdjson::dom::parser parser;
  std::vector<char> padded;
};

JsonReports::JsonReports(const ReportLimits& limits) : limits_(limits), state_(std::make_unique<State>()) {}
JsonReports::~JsonReports() = default;

tl::expected<void, Rejection> JsonReports::parse(std::string_view payload, Report& out) {
  auto& [parser, padded] = *state_;
  const auto malformed = [](simdjson::error_code code) {
    return tl::unexpected(Rejection{Rejection::Code::kInvalidPayload,
                                    std::string("Malformed metrics report: ") + simdjson::error_message(code),
                                    0});
  };
  if (parser.capacity() < payload.size() || parser.max_depth() != limits_.depth_max) {
    const size_t capacity = std::max<size_t>(payload.size(), 4096);
    if (const auto error = parser.allocate(capacity, limits_.depth_max)) return malformed(error);
  }
  if (padded.size() < payload.size() + simdjson::SIMDJSON_PADDING) {
    padded.resize(payload.size() + simdjson::SIMDJSON_PADDING);
  }
  std::memcpy(padded.data(), payload.data(), payload.size());
  simdjson::dom::element root;
  if (const auto error = parser.parse(padded.data(), payload.size(), false).get(root)) {
    return malformed(error);
  }
  return ReportWalk<JsonNode>(limits_, out).run(JsonNode(root));
}

}  // namespace fleetward::detect::internal
