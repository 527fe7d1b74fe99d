// Profiles, reports, observations, ticks and crashes in any order, as commands of test/model/fleet.h, one a
// line: whatever they say, a violation begins once and ends once.
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "test/model/fleet.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fleetward;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  model::Fleet fleet;
  std::set<std::string> open;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const auto command = json::parse(line);
    if (!command || !command->is_object()) continue;
    if (json::string_or(command->get_object(), "op") == "fleet") open.clear();
    const json::object answer = fleet.run(command->get_object());
    const json::array* events = json::find_array(answer, "events");
    if (events == nullptr) continue;
    for (const json::value& event : *events) {
      const std::string id(json::string_or(event.get_object(), "id"));
      const bool begins = json::string_or(event.get_object(), "type") == "in-alarm";
      if (begins ? !open.insert(id).second : open.erase(id) == 0) __builtin_trap();
    }
  }
  return 0;
}
