#pragma once

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "api/page.h"
#include "core/time.h"
#include "state/map.h"

namespace fleetward::api::iot {

// Sorts like (created, key): 16 digits of milliseconds, then the key.
inline std::string creation_key(Timestamp created, std::string_view key) {
  char digits[24];
  std::snprintf(digits, sizeof digits, "%016lld", static_cast<long long>(created.ms));
  return digits + std::string(key);
}

// A page of rows, each with its creation_key, either way.
template <typename Value>
std::vector<Value> page_of_rows(std::vector<std::pair<std::string, Value>> rows, const Page& page,
                                bool ascending, std::string& next) {
  using Row = std::pair<std::string, Value>;
  std::erase_if(rows, [&](const Row& row) {
    return !page.after.empty() && (ascending ? row.first <= page.after : row.first >= page.after);
  });
  const auto before = [ascending](const Row& a, const Row& b) {
    return ascending ? a.first < b.first : a.first > b.first;
  };
  const size_t shown = std::min(page.limit, rows.size());
  std::partial_sort(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(shown), rows.end(), before);
  if (rows.size() > shown) next = encode_page_token(page.operation, rows[shown - 1].first);
  std::vector<Value> out;
  for (size_t i = 0; i < shown; ++i) out.push_back(std::move(rows[i].second));
  return out;
}

// A page of those values of a table for which `wanted` holds, in order of creation (then key), either way.
// Looks at the whole table.
template <typename T, typename Wanted>
std::vector<typename state::Map<T>::Value> page_by_creation(const state::Map<T>& map, const Page& page,
                                                            bool ascending, std::string& next,
                                                            Wanted&& wanted) {
  std::vector<std::pair<std::string, typename state::Map<T>::Value>> rows;
  map.visit_from("", [&](const auto& entry) {
    if (wanted(*entry.value)) rows.emplace_back(creation_key(entry.value->created, entry.key), entry.value);
    return true;
  });
  return page_of_rows(std::move(rows), page, ascending, next);
}
template <typename T>
std::vector<typename state::Map<T>::Value> page_by_creation(const state::Map<T>& map, const Page& page,
                                                            bool ascending, std::string& next) {
  return page_by_creation(map, page, ascending, next, [](const T&) { return true; });
}

}  // namespace fleetward::api::iot
