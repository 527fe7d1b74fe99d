// Functions on text: cutting, searching, regular expressions, digests.
#include <algorithm>
#include <array>
#include <openssl/evp.h>

#include <re2/re2.h>

#include "core/encoding.h"
#include "rules/function.h"

namespace fleetward::rules {
namespace {

Value boolean(bool b) {
  return Value(json::value(b));
}
Value integer(size_t n) {
  return Value(json::value(static_cast<int64_t>(n)));
}

// Only ASCII letters change case; others stay as they are (docs/decisions/041).
template <char First, char Last, int Shift>
Value change_case(Scope& scope, Arguments a) {
  auto text = text_argument(a[0]);
  if (!text) return {};
  for (char& c : *text) {
    if (c >= First && c <= Last) c = static_cast<char>(c + Shift);
  }
  return new_text(scope, *text);
}

template <bool Left, bool Right>
Value trimmed(Scope& scope, Arguments a) {
  const auto text = text_argument(a[0]);
  if (!text) return {};
  constexpr std::string_view kBlank = " \t";
  std::string_view view = *text;
  if (Left) view.remove_prefix(std::min(view.find_first_not_of(kBlank), view.size()));
  if (Right) view = view.substr(0, view.find_last_not_of(kBlank) + 1);
  return new_text(scope, view);
}

// Adds n spaces (the service does not pad to a width).
template <bool Left>
Value padded(Scope& scope, Arguments a) {
  const auto text = text_argument(a[0]);
  const auto count = truncated_argument(a[1]);
  if (!text || !count) return {};
  const std::string blanks(static_cast<size_t>(std::clamp<int64_t>(*count, 0, 1000)), ' ');
  return new_text(scope, Left ? blanks + *text : *text + blanks);
}

Value concat(Scope& scope, Arguments a) {
  if (a.empty()) return {};
  if (a.size() == 1) return std::move(a[0]);
  const bool any_array =
      std::any_of(a.begin(), a.end(), [](const Value& v) { return v.if_array() != nullptr; });
  if (any_array) {
    json::array out;
    for (Value& v : a) {
      if (v.is_undefined()) continue;
      json::value part = copy_out(scope, std::move(v));
      if (json::array* elements = part.if_array()) {
        for (json::value& element : *elements) out.push_back(std::move(element));
      } else {
        out.push_back(std::move(part));
      }
    }
    return Value(json::value(std::move(out)));
  }
  const bool any_text =
      std::any_of(a.begin(), a.end(), [](const Value& v) { return v.if_string() != nullptr; });
  if (!any_text) return {};
  std::string out;
  for (const Value& v : a) {
    const auto text = text_argument(v);
    if (!text) return {};
    out += *text;
  }
  return new_text(scope, out);
}

Value chr(Scope& scope, Arguments a) {
  const auto code = truncated_argument(a[0]);
  if (!code || *code < 0 || *code > 127) return {};
  return new_text(scope, std::string(1, static_cast<char>(*code)));
}

Value endswith(Scope&, Arguments a) {
  const auto text = text_argument(a[0]), end = text_argument(a[1]);
  return text && end ? boolean(text->ends_with(*end)) : Value();
}
Value startswith(Scope&, Arguments a) {
  const auto text = text_argument(a[0]), begin = text_argument(a[1]);
  return text && begin ? boolean(text->starts_with(*begin)) : Value();
}

Value indexof(Scope&, Arguments a) {
  const auto text = text_argument(a[0]), part = text_argument(a[1]);
  if (!text || !part) return {};
  const size_t at = text->find(*part);
  if (at == std::string::npos) return Value(json::value(int64_t{-1}));
  return integer(character_count(std::string_view(*text).substr(0, at)));
}

Value length(Scope&, Arguments a) {
  const auto text = text_argument(a[0]);
  return text ? integer(character_count(*text)) : Value();
}
Value numbytes(Scope&, Arguments a) {
  const auto text = text_argument(a[0]);
  return text ? integer(text->size()) : Value();
}

Value replace(Scope& scope, Arguments a) {
  const auto text = text_argument(a[0]), from = text_argument(a[1]), to = text_argument(a[2]);
  if (!text || !from || !to) return {};
  if (from->empty()) return new_text(scope, *text);
  std::string out;
  size_t at = 0;
  while (true) {
    const size_t found = text->find(*from, at);
    out.append(*text, at, found - at);
    if (found == std::string::npos || !scope.charge(to->size() + 1)) break;
    out += *to;
    at = found + from->size();
  }
  return new_text(scope, out);
}

Value substring(Scope& scope, Arguments a) {
  const auto text = text_argument(a[0]);
  const auto from = truncated_argument(a[1]);
  const auto to = a.size() > 2 ? truncated_argument(a[2]) : std::optional<int64_t>(INT64_MAX);
  if (!text || !from || !to) return {};
  const auto clamped = [&](int64_t index) {
    return index < 0 ? size_t{0} : byte_offset(*text, static_cast<size_t>(index));
  };
  const size_t begin = clamped(*from), end = clamped(*to);
  return new_text(scope,
                  begin >= end ? std::string_view() : std::string_view(*text).substr(begin, end - begin));
}

Value regexp_matches(Scope& scope, Arguments a, const re2::RE2& regex) {
  const auto text = text_argument(a[0]);
  if (!text || !scope.charge(text->size())) return {};
  return boolean(re2::RE2::PartialMatch(*text, regex));
}

Value regexp_substr(Scope& scope, Arguments a, const re2::RE2& regex) {
  const auto text = text_argument(a[0]);
  if (!text || !scope.charge(text->size())) return {};
  re2::StringPiece found;
  if (!regex.Match(*text, 0, text->size(), re2::RE2::UNANCHORED, &found, 1)) return {};
  return new_text(scope, std::string_view(found.data(), found.size()));
}

constexpr int kGroupsMax = 10;  // $0..$9

// Java's replacement text: $1 is a group, a backslash makes the next character plain.
void append_replacement(std::string_view replacement, std::span<const re2::StringPiece> groups,
                        std::string& out) {
  for (size_t i = 0; i < replacement.size(); ++i) {
    const char c = replacement[i];
    const char following = i + 1 < replacement.size() ? replacement[i + 1] : '\0';
    if (c == '\\' && following != '\0') {
      out += following;
      ++i;
    } else if (c == '$' && following >= '0' && following <= '9') {
      const auto group = static_cast<size_t>(following - '0');
      if (group < groups.size()) out.append(groups[group].data(), groups[group].size());
      ++i;
    } else {
      out += c;
    }
  }
}

Value regexp_replace(Scope& scope, Arguments a, const re2::RE2& regex) {
  const auto text = text_argument(a[0]), replacement = text_argument(a[2]);
  if (!text || !replacement) return {};
  std::array<re2::StringPiece, kGroupsMax> groups;
  const int count = std::min(regex.NumberOfCapturingGroups() + 1, kGroupsMax);
  std::string out;
  size_t at = 0;
  while (at <= text->size() &&
         regex.Match(*text, at, text->size(), re2::RE2::UNANCHORED, groups.data(), count)) {
    const auto begin = static_cast<size_t>(groups[0].data() - text->data());
    const size_t grown = out.size();
    out.append(*text, at, begin - at);
    append_replacement(*replacement, std::span(groups).first(static_cast<size_t>(count)), out);
    // A search costs as much as the text it passes over.
    if (!scope.charge(out.size() - grown + begin - at + 32)) return {};
    at = begin + groups[0].size();
    if (groups[0].empty()) {
      if (at == text->size()) return new_text(scope, out);
      const size_t next = at + byte_offset(std::string_view(*text).substr(at), 1);
      out.append(*text, at, next - at);
      at = next;
    }
  }
  out.append(*text, std::min(at, text->size()), std::string::npos);
  return new_text(scope, out);
}

template <const EVP_MD* (*Algorithm)()>
Value digest(Scope& scope, Arguments a) {
  const auto text = text_argument(a[0]);
  if (!text || !scope.charge(text->size())) return {};
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned size = 0;
  if (EVP_Digest(text->data(), text->size(), out.data(), &size, Algorithm(), nullptr) != 1) return {};
  return new_text(scope, to_hex(std::string_view(reinterpret_cast<const char*>(out.data()), size)));
}

constexpr Function kFunctions[] = {
    {"chr", 1, 1, false, chr, nullptr},
    {"concat", 0, kAnyCount, false, concat, nullptr},
    {"endswith", 2, 2, false, endswith, nullptr},
    {"indexof", 2, 2, true, indexof, nullptr},
    {"length", 1, 1, true, length, nullptr},
    {"lower", 1, 1, false, change_case<'A', 'Z', 'a' - 'A'>, nullptr},
    {"lpad", 2, 2, false, padded<true>, nullptr},
    {"ltrim", 1, 1, false, trimmed<true, false>, nullptr},
    {"md5", 1, 1, false, digest<EVP_md5>, nullptr},
    {"numbytes", 1, 1, true, numbytes, nullptr},
    {"regexp_matches", 2, 2, false, nullptr, regexp_matches},
    {"regexp_replace", 3, 3, false, nullptr, regexp_replace},
    {"regexp_substr", 2, 2, false, nullptr, regexp_substr},
    {"replace", 3, 3, false, replace, nullptr},
    {"rpad", 2, 2, false, padded<false>, nullptr},
    {"rtrim", 1, 1, false, trimmed<false, true>, nullptr},
    {"sha1", 1, 1, false, digest<EVP_sha1>, nullptr},
    {"sha224", 1, 1, false, digest<EVP_sha224>, nullptr},
    {"sha256", 1, 1, false, digest<EVP_sha256>, nullptr},
    {"sha384", 1, 1, false, digest<EVP_sha384>, nullptr},
    {"sha512", 1, 1, false, digest<EVP_sha512>, nullptr},
    {"startswith", 2, 2, false, startswith, nullptr},
    {"substring", 2, 3, false, substring, nullptr},
    {"trim", 1, 1, false, trimmed<true, true>, nullptr},
    {"upper", 1, 1, false, change_case<'a', 'z', 'A' - 'a'>, nullptr},
};

}  // namespace

std::span<const Function> string_functions() {
  return kFunctions;
}

}  // namespace fleetward::rules
