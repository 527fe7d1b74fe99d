#include "api/iot/detect.h"

namespace fleetward::api::iot {
namespace {

constexpr CharSet kViolationIdChars("a-zA-Z0-9-");
constexpr StringRule kAnyThingName{.min = 1, .max = 128};

// The filters that both listings share.
pipeline::ViolationFilter read_filter(Input& in) {
  pipeline::ViolationFilter filter;
  filter.thing = in.string_or("thingName", "", kAnyThingName);
  filter.profile = in.string_or("securityProfileName", "", kResourceName);
  filter.criteria =
      in.one_of_opt("behaviorCriteriaType", {"STATIC", "STATISTICAL", "MACHINE_LEARNING"}).value_or("");
  filter.suppressed = in.boolean_opt("listSuppressedAlerts");
  filter.verification =
      in.one_of_opt("verificationState", {"FALSE_POSITIVE", "BENIGN_POSITIVE", "TRUE_POSITIVE", "UNKNOWN"})
          .value_or("");
  return filter;
}

// Milliseconds become the seconds of the wire.
json::array to_wire(std::vector<json::object> documents) {
  json::array out;
  for (json::object& document : documents) {
    for (const char* name : {"violationStartTime", "lastViolationTime", "violationEventTime"}) {
      if (json::value* time = document.if_contains(name)) {
        *time = Timestamp{json::int_or(document, name, 0)}.seconds();
      }
    }
    out.push_back(std::move(document));
  }
  return out;
}

json::object answer(std::string_view member, Result<pipeline::QueryPage<json::object>> page,
                    const std::string& operation) {
  json::object out{{member, to_wire(std::move(page->entries))}};
  if (!page->next.empty()) out["nextToken"] = encode_page_token(operation, page->next);
  return out;
}

ApiResult<json::object> list_active(const DetectDependencies& d, const http::Call&,
                                    const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const pipeline::ViolationFilter filter = read_filter(in);
  const Page page = read_detect_page(in, "ListActiveViolations");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.iot.store.snapshot();
  if (!filter.profile.empty() && snapshot->get(d.tables.profiles).find(filter.profile) == nullptr) {
    return not_found(kIotStyle, "The security profile " + filter.profile + " does not exist");
  }
  if (!filter.thing.empty() && snapshot->get(d.iot.tables.things).find(filter.thing) == nullptr) {
    auto known = d.queries.knows_thing(filter.thing);  // a device that is not registered
    if (!known) return refuse(kIotStyle, known.error());
    if (!*known) return not_found(kIotStyle, "The thing " + filter.thing + " does not exist");
  }
  auto found = d.queries.active(filter, page.after, page.limit);
  if (!found) return refuse(kIotStyle, found.error());
  return answer("activeViolations", std::move(found), page.operation);
}

ApiResult<json::object> list_events(const DetectDependencies& d, const http::Call&,
                                    const json::object& arguments) {
  Input in(arguments, kIotStyle);
  pipeline::ViolationFilter filter = read_filter(in);
  filter.from = read_time(in, "startTime");
  filter.to = read_time(in, "endTime");
  const Page page = read_detect_page(in, "ListViolationEvents");
  if (in.ok() && filter.to < filter.from) in.fail("endTime", "must not be before startTime");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  // What is beyond the time of keeping may not be erased yet.
  const Timestamp now = d.iot.clock.now();
  filter.from = std::max({filter.from, now - d.limits.violations_kept, Timestamp{0}});
  filter.to = std::clamp(filter.to, Timestamp{0}, now + Duration{24LL * 3600 * 1000});
  auto found = d.queries.events(filter, page.after, page.limit);
  if (!found) return refuse(kIotStyle, found.error());
  return answer("violationEvents", std::move(found), page.operation);
}

ApiResult<json::object> put_verification(const DetectDependencies& d, const http::Call&,
                                         const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string id = in.string("violationId", {.min = 1, .max = 128, .chars = &kViolationIdChars});
  pipeline::Verification verification;
  verification.state =
      in.one_of("verificationState", {"FALSE_POSITIVE", "BENIGN_POSITIVE", "TRUE_POSITIVE", "UNKNOWN"});
  verification.description =
      in.string_or("verificationStateDescription", "", {.max = 1000, .check = check_printable});
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  if (auto ok = d.queries.verify(id, verification, d.iot.clock.now()); !ok) {
    // The operation documents no ResourceNotFoundException.
    if (ok.error().code == ErrorCode::kNotFound) return refuse(kIotStyle, ok.error().message);
    return refuse(kIotStyle, ok.error());
  }
  return json::object{};
}

}  // namespace

std::vector<http::Operation> violation_operations(const DetectDependencies& d) {
  return detect_operations_of(
      d, {{{"ListActiveViolations",
            "GET",
            "/active-violations",
            {"thingName", "securityProfileName", "behaviorCriteriaType", "listSuppressedAlerts:bool",
             "verificationState", "nextToken", "maxResults:int"},
            "*",
            nullptr},
           list_active},
          {{"ListViolationEvents",
            "GET",
            "/violation-events",
            {"startTime", "endTime", "thingName", "securityProfileName", "behaviorCriteriaType",
             "listSuppressedAlerts:bool", "verificationState", "nextToken", "maxResults:int"},
            "*",
            nullptr},
           list_events},
          {{"PutVerificationStateOnViolation",
            "POST",
            "/violations/verification-state/{violationId}",
            {},
            "*",
            nullptr},
           put_verification}});
}

}  // namespace fleetward::api::iot
