#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/page.h"
#include "api/service_style.h"
#include "core/json.h"
#include "core/time.h"

namespace fleetward::api {

// A set of ASCII characters written as inside a regular expression's brackets: "a-zA-Z0-9:_-" ('-' stands for
// itself at the end). Built at compile time.
class CharSet {
 public:
  consteval CharSet(const char* ranges) : text_(ranges) {  // NOLINT: implicit on purpose
    for (const char* p = ranges; *p != 0; ++p) {
      if (p[1] == '-' && p[2] != 0) {
        for (int c = p[0]; c <= p[2]; ++c) set_[static_cast<size_t>(c)] = true;
        p += 2;
      } else {
        set_[static_cast<size_t>(*p)] = true;
      }
    }
  }
  constexpr bool contains(char c) const {
    return static_cast<unsigned char>(c) < 128 && set_[static_cast<size_t>(c)];
  }
  constexpr bool contains_all(std::string_view text) const {
    for (const char c : text) {
      if (!contains(c)) return false;
    }
    return true;
  }
  constexpr std::string_view text() const { return text_; }

 private:
  std::array<bool, 128> set_{};
  std::string_view text_;
};

inline constexpr CharSet kNameChars("a-zA-Z0-9:_-");         // things, groups, profiles, metrics
inline constexpr CharSet kIamNameChars("a-zA-Z0-9_+=,.@-");  // IAM names, IoT policies
inline constexpr CharSet kRuleNameChars("a-zA-Z0-9_");

// What a string must look like. Lengths are in characters (code points). Designated initializers:
// input.string("thingName", {.min = 1, .max = 128, .chars = &kNameChars}).
struct StringRule {
  size_t min = 0;
  size_t max = std::numeric_limits<size_t>::max();
  const CharSet* chars = nullptr;
  Status (*check)(std::string_view) = nullptr;  // a further test, e.g. an Identifier rule's
};

struct Tag {
  std::string key, value;
};

// The members of a structure that another room reads, for Input::known.
struct Shape {
  std::string_view name;  // "*": every member, whatever it is called
  // Those of the structure, or of each structure in the list, that it holds; none: it may hold anything.
  std::span<const Shape> members = {};
};

// Reads the arguments of one operation, remembering the first thing that is wrong. Readers answer an empty
// value once anything failed, so that an operation reads everything in a row and then asks finish():
//
//   Input in(arguments, kIotStyle);
//   const std::string name = in.string("thingName", kThingName);
//   const auto type = in.string_opt("thingTypeName", kThingName);
//   if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
//
// Members that nobody read are refused by finish() (nothing a client asks for is ignored silently); JSON null
// counts as absent. An installation that wants them ignored, as AWS does, has the dispatcher leave out what
// the refusal names (http::ApiError::unknown_members): an operation must have changed nothing before it.
// Handles of nested objects share the state of the first and must not outlive `arguments`. One thread.
class Input {
 public:
  Input(const json::object& arguments, const ServiceStyle& style);

  std::string string(std::string_view name, const StringRule& rule = {});
  std::optional<std::string> string_opt(std::string_view name, const StringRule& rule = {});
  std::string string_or(std::string_view name, std::string_view fallback, const StringRule& rule = {});
  std::string one_of(std::string_view name, std::initializer_list<std::string_view> allowed);
  std::optional<std::string> one_of_opt(std::string_view name,
                                        std::initializer_list<std::string_view> allowed);
  // Standard base64 of at most `bytes_max` bytes, decoded.
  std::string blob(std::string_view name, size_t bytes_max);
  std::optional<std::string> blob_opt(std::string_view name, size_t bytes_max);

  int64_t integer(std::string_view name, int64_t min, int64_t max);
  std::optional<int64_t> integer_opt(std::string_view name, int64_t min, int64_t max);
  int64_t integer_or(std::string_view name, int64_t fallback, int64_t min, int64_t max);
  double number(std::string_view name);
  std::optional<double> number_opt(std::string_view name);
  bool boolean(std::string_view name);
  std::optional<bool> boolean_opt(std::string_view name);
  bool boolean_or(std::string_view name, bool fallback);
  // Epoch seconds (a number) or ISO 8601 text.
  Timestamp timestamp(std::string_view name);
  std::optional<Timestamp> timestamp_opt(std::string_view name);

  std::vector<std::string> strings(std::string_view name, size_t count_min, size_t count_max,
                                   const StringRule& each = {});
  std::optional<std::vector<std::string>> strings_opt(std::string_view name, size_t count_max,
                                                      const StringRule& each = {});
  std::map<std::string, std::string> string_map(std::string_view name, size_t count_max,
                                                const StringRule& keys = {}, const StringRule& values = {});
  std::optional<std::map<std::string, std::string>> string_map_opt(std::string_view name, size_t count_max,
                                                                   const StringRule& keys = {},
                                                                   const StringRule& values = {});
  // [{"Key":..,"Value":..}]: at most 50, keys distinct, 1..128, values 0..256. Absent: empty.
  std::vector<Tag> tags(std::string_view name = "tags");

  // A nested object or list of objects. Missing although required: an Input over nothing.
  Input object(std::string_view name);
  std::optional<Input> object_opt(std::string_view name);
  std::vector<Input> objects(std::string_view name, size_t count_min, size_t count_max);
  std::vector<Input> objects_opt(std::string_view name, size_t count_max);  // absent: empty
  // A map whose values are objects: ("key", object) pairs in order. Absent: empty.
  std::vector<std::pair<std::string, Input>> object_map(std::string_view name, size_t count_max);
  // The value as it is, nullptr if absent; marks it as read.
  const json::value* raw(std::string_view name);
  bool has(std::string_view name) const;  // does not mark it as read
  // Marks these members, and theirs, as read: what else is in those structures is refused by finish().
  void known(std::span<const Shape> members);

  // The token and the limit of a list operation. `operation` binds the token to it.
  Page page(std::string_view operation, std::string_view token_member, std::string_view limit_member,
            size_t limit_default, size_t limit_max);

  // A documented member that this release does not have: refused if it is there, naming it.
  void unsupported(std::string_view name);
  // A documented member without meaning here (clientRequestToken): read and dropped knowingly.
  void accept_unused(std::string_view name);

  // Records an error about a member (path + reason), unless one is recorded already.
  void fail(std::string_view name, std::string_view reason);
  bool ok() const;
  http::ApiResult<void> finish() const;

  // "behaviors[2].criteria" of this object; empty at the top.
  const std::string& path() const;
  const json::object& value() const;

 private:
  struct Node;
  struct State;
  Input(std::shared_ptr<State> state, Node* node) : state_(std::move(state)), node_(node) {}

  const json::value* take(std::string_view name, bool required);
  Input child(std::string path, std::string pointer, const json::object& value);
  Input child(std::string_view name, const json::object& value);                // the member
  Input child(std::string_view name, size_t index, const json::object& value);  // its element
  std::string path_of(std::string_view name) const;
  std::string pointer_of(std::string_view name) const;
  void fail_at(const std::string& path, std::string_view shown, std::string_view reason);
  bool check_string(const std::string& path, std::string_view text, const StringRule& rule);
  std::optional<std::string> text_of(const std::string& path, const json::value& v, const StringRule& rule);
  const json::array* take_array(std::string_view name, bool required, size_t count_min, size_t count_max);

  std::shared_ptr<State> state_;
  Node* node_;
};

// "2026-11-24T07:00:00Z", with an optional fraction and "Z" or "+hh:mm".
std::optional<Timestamp> parse_iso8601(std::string_view text);

}  // namespace fleetward::api
