#include "api/input.h"

#include <cmath>
#include <deque>
#include <set>

#include "core/encoding.h"
#include "core/text.h"

namespace fleetward::api {
namespace {

constexpr size_t kShownBytesMax = 128;  // of a refused value in a message
constexpr size_t kTagsMax = 50;

size_t code_points(std::string_view text) {
  size_t n = 0;
  for (const char c : text) n += (static_cast<uint8_t>(c) & 0xC0) != 0x80;
  return n;
}

std::string_view view(const json::string& s) {
  return {s.data(), s.size()};
}

std::string shown(const json::value& v) {
  std::string text = v.is_string() ? std::string(view(v.get_string())) : json::serialize(v);
  if (text.size() > kShownBytesMax) {
    size_t end = kShownBytesMax;
    while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80) --end;
    text = text.substr(0, end) + "...";
  }
  return "'" + text + "'";
}

// As a part of a JSON pointer.
std::string escaped(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '~' || c == '/') {
      out += c == '~' ? "~0" : "~1";
    } else {
      out += c;
    }
  }
  return out;
}

std::optional<int64_t> as_integer(const json::value& v, bool text_scalars) {
  if (v.is_int64()) return v.get_int64();
  if (v.is_double()) {
    const double d = v.get_double();
    if (std::trunc(d) == d && std::abs(d) < 9e15) return static_cast<int64_t>(d);
  }
  if (text_scalars && v.is_string()) return parse_number<int64_t>(view(v.get_string()));
  return std::nullopt;
}

std::optional<double> as_number(const json::value& v, bool text_scalars) {
  if (v.is_int64()) return static_cast<double>(v.get_int64());
  if (v.is_uint64()) return static_cast<double>(v.get_uint64());
  if (v.is_double()) return v.get_double();
  if (text_scalars && v.is_string()) return parse_number<double>(view(v.get_string()));
  return std::nullopt;
}

// Days from the civil date to 1970-01-01 (Howard Hinnant's public-domain formula).
int64_t days_from_civil(int64_t y, int64_t m, int64_t d) {
  y -= m <= 2;
  const int64_t era = (y >= 0 ? y : y - 399) / 400;
  const int64_t year_of_era = y - era * 400;
  const int64_t day_of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

}  // namespace

std::optional<Timestamp> parse_iso8601(std::string_view text) {
  const auto digits = [&](size_t at, size_t count) -> int64_t {
    if (at + count > text.size()) return -1;
    int64_t n = 0;
    for (const char c : text.substr(at, count)) {
      if (c < '0' || c > '9') return -1;
      n = n * 10 + (c - '0');
    }
    return n;
  };
  const int64_t year = digits(0, 4), month = digits(5, 2), day = digits(8, 2);
  const int64_t hour = digits(11, 2), minute = digits(14, 2), second = digits(17, 2);
  if (text.size() < 20 || year < 0 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 ||
      hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 || text[4] != '-' ||
      text[7] != '-' || (text[10] != 'T' && text[10] != ' ') || text[13] != ':' || text[16] != ':') {
    return std::nullopt;
  }
  int64_t ms = (((days_from_civil(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000;
  size_t at = 19;
  if (text[at] == '.') {
    int64_t scale = 100;
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10) {
      ms += (text[at] - '0') * scale;
    }
  }
  const std::string_view zone = text.substr(at);
  if (zone == "Z") return Timestamp{ms};
  const int64_t zone_hour = digits(at + 1, 2), zone_minute = digits(at + 4, 2);
  if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':' || zone_hour < 0 ||
      zone_minute < 0) {
    return std::nullopt;
  }
  const int64_t shift = (zone_hour * 60 + zone_minute) * 60'000;
  return Timestamp{zone[0] == '+' ? ms - shift : ms + shift};
}

struct Input::Node {
  std::string path;     // for people: "behaviors[0].criteria"
  std::string pointer;  // RFC 6901: "/behaviors/0/criteria"
  const json::object* value;
  std::set<std::string, std::less<>> read;
};

struct Input::State {
  const ServiceStyle& style;
  std::optional<http::ApiError> error;
  std::deque<Node> nodes;  // stable addresses
};

Input::Input(const json::object& arguments, const ServiceStyle& style)
    : state_(std::make_shared<State>(State{style, std::nullopt, {}})) {
  state_->nodes.push_back({"", "", &arguments, {}});
  node_ = &state_->nodes.back();
}

const std::string& Input::path() const {
  return node_->path;
}
const json::object& Input::value() const {
  return *node_->value;
}
bool Input::ok() const {
  return !state_->error;
}

std::string Input::path_of(std::string_view name) const {
  return node_->path.empty() ? std::string(name) : node_->path + "." + std::string(name);
}

void Input::fail_at(const std::string& path, std::string_view value_shown, std::string_view reason) {
  if (state_->error) return;
  std::string message;
  if (state_->style.sns_wording) {
    message = "Invalid parameter: " + path + " Reason: " + std::string(reason);
  } else if (value_shown.empty()) {
    message = path + ": " + std::string(reason);
  } else {
    message = "1 validation error detected: Value " + std::string(value_shown) + " at '" + path +
              "' failed to satisfy constraint: " + std::string(reason);
  }
  const auto& name = state_->style.invalid;
  state_->error = http::ApiError{name.status, std::string(name.name), std::move(message), {}};
}

void Input::fail(std::string_view name, std::string_view reason) {
  fail_at(path_of(name), "", reason);
}

const json::value* Input::take(std::string_view name, bool required) {
  node_->read.emplace(name);
  const json::value* v = json::find(*node_->value, name);
  if (v != nullptr && v->is_null()) v = nullptr;
  if (v == nullptr && required) fail_at(path_of(name), "null", "Member must not be null");
  return ok() ? v : nullptr;
}

std::string Input::pointer_of(std::string_view name) const {
  return node_->pointer + "/" + escaped(name);
}

Input Input::child(std::string path, std::string pointer, const json::object& value) {
  state_->nodes.push_back({std::move(path), std::move(pointer), &value, {}});
  return Input(state_, &state_->nodes.back());
}
Input Input::child(std::string_view name, const json::object& value) {
  return child(path_of(name), pointer_of(name), value);
}
Input Input::child(std::string_view name, size_t index, const json::object& value) {
  const std::string number = std::to_string(index);
  return child(path_of(name) + "[" + number + "]", pointer_of(name) + "/" + number, value);
}

bool Input::check_string(const std::string& path, std::string_view text, const StringRule& rule) {
  const auto refuse_text = [&](std::string_view reason) {
    fail_at(path, shown(json::value(boost::json::string_view(text.data(), text.size()))), reason);
    return false;
  };
  const size_t length = code_points(text);
  if (length < rule.min) {
    return refuse_text("Member must have length greater than or equal to " + std::to_string(rule.min));
  }
  if (length > rule.max) {
    return refuse_text("Member must have length less than or equal to " + std::to_string(rule.max));
  }
  if (rule.chars != nullptr && !rule.chars->contains_all(text)) {
    return refuse_text("Member must satisfy regular expression pattern: [" + std::string(rule.chars->text()) +
                       "]+");
  }
  if (rule.check != nullptr) {
    if (auto fine = rule.check(text); !fine) return refuse_text(fine.error().message);
  }
  return true;
}

std::optional<std::string> Input::text_of(const std::string& path, const json::value& v,
                                          const StringRule& rule) {
  if (!v.is_string()) {
    fail_at(path, shown(v), "Member must be a string");
    return std::nullopt;
  }
  const std::string_view text = view(v.get_string());
  if (!check_string(path, text, rule)) return std::nullopt;
  return std::string(text);
}

std::string Input::string(std::string_view name, const StringRule& rule) {
  const json::value* v = take(name, true);
  return v == nullptr ? std::string() : text_of(path_of(name), *v, rule).value_or("");
}

std::optional<std::string> Input::string_opt(std::string_view name, const StringRule& rule) {
  const json::value* v = take(name, false);
  return v == nullptr ? std::nullopt : text_of(path_of(name), *v, rule);
}

std::string Input::string_or(std::string_view name, std::string_view fallback, const StringRule& rule) {
  return string_opt(name, rule).value_or(std::string(fallback));
}

std::optional<std::string> Input::one_of_opt(std::string_view name,
                                             std::initializer_list<std::string_view> allowed) {
  auto text = string_opt(name);
  if (!text) return std::nullopt;
  std::string list;
  for (const std::string_view option : allowed) {
    if (option == *text) return text;
    list += (list.empty() ? "" : ", ") + std::string(option);
  }
  fail_at(path_of(name), shown(json::value(boost::json::string_view(text->data(), text->size()))),
          "Member must satisfy enum value set: [" + list + "]");
  return std::nullopt;
}

std::string Input::one_of(std::string_view name, std::initializer_list<std::string_view> allowed) {
  if (take(name, true) == nullptr) return {};
  return one_of_opt(name, allowed).value_or("");
}

std::optional<std::string> Input::blob_opt(std::string_view name, size_t bytes_max) {
  auto text = string_opt(name);
  if (!text) return std::nullopt;
  auto bytes = from_base64(*text);
  if (!bytes) {
    fail(name, "Member must be base64");
    return std::nullopt;
  }
  if (bytes->size() > bytes_max) {
    fail(name, "Member must have at most " + std::to_string(bytes_max) + " bytes");
    return std::nullopt;
  }
  return std::move(*bytes);
}

std::string Input::blob(std::string_view name, size_t bytes_max) {
  if (take(name, true) == nullptr) return {};
  return blob_opt(name, bytes_max).value_or("");
}

std::optional<int64_t> Input::integer_opt(std::string_view name, int64_t min, int64_t max) {
  const json::value* v = take(name, false);
  if (v == nullptr) return std::nullopt;
  const auto n = as_integer(*v, state_->style.text_scalars);
  if (!n) {
    fail_at(path_of(name), shown(*v), "Member must be an integer");
  } else if (*n < min) {
    fail_at(path_of(name), shown(*v),
            "Member must have value greater than or equal to " + std::to_string(min));
  } else if (*n > max) {
    fail_at(path_of(name), shown(*v), "Member must have value less than or equal to " + std::to_string(max));
  } else {
    return n;
  }
  return std::nullopt;
}

int64_t Input::integer(std::string_view name, int64_t min, int64_t max) {
  if (take(name, true) == nullptr) return 0;
  return integer_opt(name, min, max).value_or(0);
}

int64_t Input::integer_or(std::string_view name, int64_t fallback, int64_t min, int64_t max) {
  return integer_opt(name, min, max).value_or(fallback);
}

std::optional<double> Input::number_opt(std::string_view name) {
  const json::value* v = take(name, false);
  if (v == nullptr) return std::nullopt;
  const auto n = as_number(*v, state_->style.text_scalars);
  if (!n) fail_at(path_of(name), shown(*v), "Member must be a number");
  return n;
}

double Input::number(std::string_view name) {
  if (take(name, true) == nullptr) return 0;
  return number_opt(name).value_or(0);
}

std::optional<bool> Input::boolean_opt(std::string_view name) {
  const json::value* v = take(name, false);
  if (v == nullptr) return std::nullopt;
  if (v->is_bool()) return v->get_bool();
  if (state_->style.text_scalars && v->is_string()) {
    const std::string_view text = view(v->get_string());
    if (text == "true") return true;
    if (text == "false") return false;
  }
  fail_at(path_of(name), shown(*v), "Member must be a boolean");
  return std::nullopt;
}

bool Input::boolean(std::string_view name) {
  if (take(name, true) == nullptr) return false;
  return boolean_opt(name).value_or(false);
}

bool Input::boolean_or(std::string_view name, bool fallback) {
  return boolean_opt(name).value_or(fallback);
}

std::optional<Timestamp> Input::timestamp_opt(std::string_view name) {
  const json::value* v = take(name, false);
  if (v == nullptr) return std::nullopt;
  constexpr double kSecondsMax = 253402300800.0;  // the year 10000
  if (const auto n = as_number(*v, false); n && *n >= 0 && *n < kSecondsMax) {
    return Timestamp{static_cast<int64_t>(std::llround(*n * 1000))};
  }
  if (v->is_string()) {
    if (auto t = parse_iso8601(view(v->get_string()))) return t;
  }
  fail_at(path_of(name), shown(*v), "Member must be a timestamp");
  return std::nullopt;
}

Timestamp Input::timestamp(std::string_view name) {
  if (take(name, true) == nullptr) return {};
  return timestamp_opt(name).value_or(Timestamp{});
}

const json::array* Input::take_array(std::string_view name, bool required, size_t count_min,
                                     size_t count_max) {
  static const json::array kEmpty;
  const json::value* v = take(name, required);
  if (v == nullptr) return nullptr;
  const bool empty_text =
      state_->style.text_scalars && v->is_string() && v->get_string().empty();  // Query: "Tags="
  if (!v->is_array() && !empty_text) {
    fail_at(path_of(name), shown(*v), "Member must be a list");
    return nullptr;
  }
  const json::array& list = empty_text ? kEmpty : v->get_array();
  if (list.size() < count_min) {
    fail_at(path_of(name), shown(*v),
            "Member must have length greater than or equal to " + std::to_string(count_min));
    return nullptr;
  }
  if (list.size() > count_max) {
    fail_at(path_of(name), shown(*v),
            "Member must have length less than or equal to " + std::to_string(count_max));
    return nullptr;
  }
  return &list;
}

std::vector<std::string> Input::strings(std::string_view name, size_t count_min, size_t count_max,
                                        const StringRule& each) {
  std::vector<std::string> out;
  const json::array* list = take_array(name, true, count_min, count_max);
  if (list == nullptr) return out;
  for (size_t i = 0; i < list->size(); ++i) {
    auto text = text_of(path_of(name) + "[" + std::to_string(i) + "]", (*list)[i], each);
    if (!text) return {};
    out.push_back(std::move(*text));
  }
  return out;
}

std::optional<std::vector<std::string>> Input::strings_opt(std::string_view name, size_t count_max,
                                                           const StringRule& each) {
  if (take(name, false) == nullptr) return std::nullopt;
  return strings(name, 0, count_max, each);
}

std::optional<std::map<std::string, std::string>> Input::string_map_opt(std::string_view name,
                                                                        size_t count_max,
                                                                        const StringRule& keys,
                                                                        const StringRule& values) {
  const json::value* v = take(name, false);
  if (v == nullptr) return std::nullopt;
  if (state_->style.text_scalars && v->is_string() && v->get_string().empty()) {
    return std::map<std::string, std::string>();
  }
  if (!v->is_object()) {
    fail_at(path_of(name), shown(*v), "Member must be a map");
    return std::nullopt;
  }
  if (v->get_object().size() > count_max) {
    fail(name, "Member must have at most " + std::to_string(count_max) + " entries");
    return std::nullopt;
  }
  std::map<std::string, std::string> out;
  for (const auto& entry : v->get_object()) {
    const std::string key(entry.key());
    if (!check_string(path_of(name) + " key", key, keys)) return std::nullopt;
    auto text = text_of(path_of(name) + "." + key, entry.value(), values);
    if (!text) return std::nullopt;
    out.emplace(key, std::move(*text));
  }
  return out;
}

std::map<std::string, std::string> Input::string_map(std::string_view name, size_t count_max,
                                                     const StringRule& keys, const StringRule& values) {
  if (take(name, true) == nullptr) return {};
  return string_map_opt(name, count_max, keys, values).value_or(std::map<std::string, std::string>());
}

std::vector<Tag> Input::tags(std::string_view name) {
  std::vector<Tag> out;
  std::set<std::string, std::less<>> keys;
  for (Input& entry : objects_opt(name, kTagsMax)) {
    Tag tag{entry.string("Key", {.min = 1, .max = 128}), entry.string_or("Value", "", {.max = 256})};
    if (!keys.insert(tag.key).second) entry.fail("Key", "Duplicate tag keys found");
    out.push_back(std::move(tag));
  }
  return ok() ? out : std::vector<Tag>();
}

std::optional<Input> Input::object_opt(std::string_view name) {
  const json::value* v = take(name, false);
  if (v == nullptr) return std::nullopt;
  if (!v->is_object()) {
    fail_at(path_of(name), shown(*v), "Member must be a structure");
    return std::nullopt;
  }
  return child(name, v->get_object());
}

Input Input::object(std::string_view name) {
  static const json::object kNothing;
  take(name, true);
  auto found = object_opt(name);
  return found ? *found : child(name, kNothing);
}

std::vector<Input> Input::objects(std::string_view name, size_t count_min, size_t count_max) {
  std::vector<Input> out;
  const json::array* list = take_array(name, true, count_min, count_max);
  if (list == nullptr) return out;
  for (size_t i = 0; i < list->size(); ++i) {
    if (!(*list)[i].is_object()) {
      fail_at(path_of(name) + "[" + std::to_string(i) + "]", shown((*list)[i]), "Member must be a structure");
      return {};
    }
    out.push_back(child(name, i, (*list)[i].get_object()));
  }
  return out;
}

std::vector<Input> Input::objects_opt(std::string_view name, size_t count_max) {
  if (take(name, false) == nullptr) return {};
  return objects(name, 0, count_max);
}

std::vector<std::pair<std::string, Input>> Input::object_map(std::string_view name, size_t count_max) {
  std::vector<std::pair<std::string, Input>> out;
  const json::value* v = take(name, false);
  if (v == nullptr) return out;
  if (!v->is_object() || v->get_object().size() > count_max) {
    fail_at(path_of(name), shown(*v), "Member must be a map of at most " + std::to_string(count_max));
    return out;
  }
  for (const auto& entry : v->get_object()) {
    const std::string key(entry.key());
    if (!entry.value().is_object()) {
      fail_at(path_of(name) + "." + key, shown(entry.value()), "Member must be a structure");
      return {};
    }
    out.emplace_back(key, child(path_of(name) + "." + key, pointer_of(name) + "/" + escaped(key),
                                entry.value().get_object()));
  }
  return out;
}

const json::value* Input::raw(std::string_view name) {
  return take(name, false);
}

bool Input::has(std::string_view name) const {
  const json::value* v = json::find(*node_->value, name);
  return v != nullptr && !v->is_null();
}

Page Input::page(std::string_view operation, std::string_view token_member, std::string_view limit_member,
                 size_t limit_default, size_t limit_max) {
  Page out;
  out.operation = operation;
  out.limit = static_cast<size_t>(
      integer_or(limit_member, static_cast<int64_t>(limit_default), 1, static_cast<int64_t>(limit_max)));
  if (const auto token = string_opt(token_member); token && !token->empty()) {
    auto after = decode_page_token(operation, *token);
    if (!after) {
      fail(token_member, "the token is invalid or belongs to another operation");
    } else {
      out.after = std::move(*after);
    }
  }
  return out;
}

void Input::unsupported(std::string_view name) {
  node_->read.emplace(name);
  if (has(name)) fail(name, "this member is not supported by this release");
}

void Input::accept_unused(std::string_view name) {
  node_->read.emplace(name);
}

void Input::known(std::span<const Shape> members) {
  for (const Shape& shape : members) {
    for (const auto& member : *node_->value) {
      const std::string_view name = member.key();
      if (shape.name != "*" && shape.name != name) continue;
      node_->read.emplace(name);
      if (shape.members.empty()) continue;
      const json::value& v = member.value();
      if (const json::object* structure = v.if_object()) child(name, *structure).known(shape.members);
      const json::array* list = v.if_array();
      for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
        if (const json::object* one = (*list)[i].if_object()) child(name, i, *one).known(shape.members);
      }
    }
  }
}

http::ApiResult<void> Input::finish() const {
  if (state_->error) return tl::unexpected<http::ApiError>(*state_->error);
  std::string first;
  std::vector<std::string> unknown;
  for (Node& node : state_->nodes) {
    for (const auto& member : *node.value) {
      const std::string_view key = member.key();
      if (member.value().is_null() || node.read.find(key) != node.read.end()) continue;
      const Input at(state_, &node);
      if (unknown.empty()) first = at.path_of(key);
      unknown.push_back(at.pointer_of(key));
    }
  }
  if (unknown.empty()) return {};
  auto error = refuse(state_->style, "Unknown or unsupported member: " + first).value();
  error.unknown_members = std::move(unknown);
  return tl::unexpected<http::ApiError>(std::move(error));
}

}  // namespace fleetward::api
