#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "app/config_keys.h"

// How tables of configuration keys are written down; private to config_*.cc.
namespace fleetward::app {

inline constexpr int64_t kKiB = 1 << 10;
inline constexpr int64_t kMiB = 1 << 20;
inline constexpr int64_t kGiB = 1 << 30;

// "90s" -> 90'000 milliseconds; "4KiB" -> 4096 bytes. nullopt: no number, unknown unit, or an overflow.
std::optional<int64_t> parse_duration(std::string_view text);
std::optional<int64_t> parse_size(std::string_view text);
// In the largest unit that divides the value.
std::string print_duration(Duration value);
std::string print_size(int64_t bytes);
std::string print_texts(const std::vector<std::string>& texts);

// Adds keys of one section; each call names the member it fills, whose default comes from a fresh T.
template <typename T>
class KeyList {
 public:
  KeyList(std::vector<KeyOf<T>>& out, std::string section) : out_(out), section_(std::move(section)) {}

  // The reference tells the defaults that another set of them has, under this name.
  void beside(const char* name, T other) {
    other_name_ = name;
    other_ = std::move(other);
  }

  // The keys that follow belong to tables of this type.
  void only(const char* type) { only_ = type; }

  template <typename Member>
  void text(const char* name, Member member, const char* help, Status (*check)(std::string_view) = nullptr) {
    add(
        name, help, "string", "", [=](T& config) { return '"' + member(config) + '"'; },
        [=](T& config, const ConfigValue& v) -> Status {
          if (v.kind != Kind::kText) return wrong("must be a string");
          if (check != nullptr) {
            if (auto ok = check(v.text); !ok) return ok;
          }
          member(config) = v.text;
          return {};
        });
  }

  // One of a few words, each for a value.
  template <typename Value, typename Member>
  void choice(const char* name, Member member, std::initializer_list<std::pair<const char*, Value>> words,
              const char* help) {
    const std::vector<std::pair<std::string, Value>> known(words.begin(), words.end());
    std::string all;
    for (size_t i = 0; i < known.size(); ++i) {
      all += (i == 0 ? "" : i + 1 == known.size() ? " or " : ", ") + known[i].first;
    }
    const auto print = [=](T& config) {
      const auto found = std::find_if(known.begin(), known.end(),
                                      [&](const auto& word) { return word.second == member(config); });
      return '"' + (found == known.end() ? std::string() : found->first) + '"';
    };
    add(name, help, "string", all, print, [=](T& config, const ConfigValue& v) -> Status {
      for (const auto& [word, value] : known) {
        if (v.kind != Kind::kText || v.text != word) continue;
        member(config) = value;
        return {};
      }
      return wrong("must be " + all);
    });
  }

  template <typename Member>
  void flag(const char* name, Member member, const char* help) {
    add(
        name, help, "boolean", "", [=](T& config) { return member(config) ? "true" : "false"; },
        [=](T& config, const ConfigValue& v) -> Status {
          if (v.kind != Kind::kBoolean) return wrong("must be true or false");
          member(config) = v.boolean;
          return {};
        });
  }

  template <typename Member>
  void texts(const char* name, Member member, const char* help) {
    add(
        name, help, "list of strings", "", [=](T& config) { return print_texts(member(config)); },
        [=](T& config, const ConfigValue& v) -> Status {
          if (v.kind != Kind::kTexts) return wrong("must be a list of strings");
          member(config) = v.texts;
          return {};
        });
  }

  template <typename Member>
  void number(const char* name, Member member, int64_t min, int64_t max, const char* help) {
    const std::string range = std::to_string(min) + " to " + std::to_string(max);
    add(
        name, help, "integer", range, [=](T& config) { return std::to_string(member(config)); },
        [=](T& config, const ConfigValue& v) -> Status {
          if (v.kind != Kind::kInteger) return wrong("must be a whole number");
          if (v.integer < min || v.integer > max) return wrong("must be " + range);
          member(config) = static_cast<std::remove_reference_t<decltype(member(config))>>(v.integer);
          return {};
        });
  }

  template <typename Member>
  void duration(const char* name, Member member, Duration min, Duration max, const char* help) {
    const std::string range = print_duration(min) + " to " + print_duration(max);
    add(
        name, help, "duration", range, [=](T& config) { return '"' + print_duration(member(config)) + '"'; },
        [=](T& config, const ConfigValue& v) -> Status {
          const auto value = v.kind == Kind::kText ? parse_duration(v.text) : std::nullopt;
          if (!value) return wrong("must be a duration with its unit (ms, s, m, h or d), such as \"5m\"");
          if (*value < min.count() || *value > max.count()) return wrong("must be " + range);
          member(config) = Duration{*value};
          return {};
        });
  }

  template <typename Member>
  void size(const char* name, Member member, int64_t min, int64_t max, const char* help) {
    const std::string range = print_size(min) + " to " + print_size(max);
    add(
        name, help, "size", range,
        [=](T& config) { return '"' + print_size(static_cast<int64_t>(member(config))) + '"'; },
        [=](T& config, const ConfigValue& v) -> Status {
          const auto value = v.kind == Kind::kText ? parse_size(v.text) : std::nullopt;
          if (!value) return wrong("must be a size with its unit (B, KiB, MiB or GiB), such as \"64MiB\"");
          if (*value < min || *value > max) return wrong("must be " + range);
          member(config) = static_cast<std::remove_reference_t<decltype(member(config))>>(*value);
          return {};
        });
  }

 private:
  using Kind = ConfigValue::Kind;

  static tl::unexpected<Error> wrong(const std::string& what) {
    return fail(ErrorCode::kInvalidArgument, what);
  }
  // `print`: the member's value, for the reference.
  template <typename Print, typename Set>
  void add(const char* name, std::string help, const char* type, std::string range, Print print, Set set) {
    std::string fallback = print(defaults_);
    if (other_) {
      const std::string other = print(*other_);
      if (other != fallback) help += " With `" + other_name_ + "`: `" + other + "`.";
    }
    out_.push_back({section_, name, std::move(help), type, std::move(range), std::move(fallback),
                    std::move(set), only_});
  }

  std::vector<KeyOf<T>>& out_;
  std::string section_, only_;
  T defaults_;
  std::string other_name_;
  std::optional<T> other_;
};

}  // namespace fleetward::app
