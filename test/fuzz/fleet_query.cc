#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "registry/query_set.h"

// A query of fleet indexing over a few things. A query that was accepted finds the same through the index of
// required terms as without it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fleetward::registry;  // NOLINT
  const auto query = FleetQuery::parse({reinterpret_cast<const char*>(data), size});
  if (!query) return 0;
  const QuerySet set({{"group", {}, *query}});
  const Thing things[] = {
      {"pump-1", "id-1", "Pump", {{"temp", "80"}, {"serialNumber", "ABCD"}, {"site", "a/b@c"}}},
      {"pump-2", "id-2", "", {{"temp", "-3.5e1"}, {"model", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"}}},
      {"x", "id-3", "valve", {}},
  };
  const std::vector<std::string> groups[] = {{"north", "Plant"}, {}, {"north-2"}};
  const Connectivity states[] = {
      {true, {1557651600000}, {}}, {false, {1557700000000}, "CONNECTION_LOST"}, {}};
  for (size_t i = 0; i < 3; ++i) {
    for (const Connectivity* connectivity : {&states[i], static_cast<const Connectivity*>(nullptr)}) {
      const ThingDocument document{things[i], groups[i], connectivity};
      if ((*query)->matches(document) != !set.match(document).empty()) std::abort();
    }
  }
  return 0;
}
