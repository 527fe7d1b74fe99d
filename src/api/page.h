#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "state/map.h"

namespace fleetward::api {

// One page of a listing: the key after which it starts (empty: from the front) and its size.
struct Page {
  std::string operation;
  std::string after;
  size_t limit = 0;
};

// Opaque to clients: the last key shown and a checksum over it and the operation, in base64. Not a secret: it
// tells a mangled or foreign token from ours, authorization does not rest on it.
std::string encode_page_token(std::string_view operation, std::string_view last_key);
// nullopt for a token that encode_page_token did not make for this operation.
std::optional<std::string> decode_page_token(std::string_view operation, std::string_view token);

// Walks the entries of `map` whose key starts with `prefix`, from the page's start. `emit(entry)` answers
// whether it added the entry to the answer (filters answer false). Answers the token of the next page, empty
// if this was the last.
template <typename T, typename Emit>
std::string list_page(const state::Map<T>& map, std::string_view prefix, const Page& page, Emit&& emit) {
  const std::string begin = page.after.empty() ? std::string(prefix) : page.after + '\0';
  size_t shown = 0;
  std::string last, next;
  map.visit_from(begin, [&](const typename state::Map<T>::Entry& entry) {
    if (std::string_view(entry.key).substr(0, prefix.size()) != prefix) return false;
    if (shown == page.limit) {
      next = encode_page_token(page.operation, last);
      return false;
    }
    if (emit(entry)) {
      ++shown;
      last = entry.key;
    }
    return true;
  });
  return next;
}

}  // namespace fleetward::api
