// Records of the events stream, reports of the exports stream and things' states: any bytes are an error or
// usable.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "export/export_record.h"
#include "test/fuzz/detect_report.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fleetward;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  detect::Engine engine = fuzz::engine_for_all();
  detect::Effects effects;
  (void)engine.restore_thing("thing", bytes);
  detect::Event event;
  if (detect::decode_event(bytes, event)) {
    if (event.kind == detect::Event::Kind::kTick) {
      engine.tick(event.time, 1, 100, effects);
    } else {
      event.thing = "thing";
      engine.apply(event, 1, effects);
    }
  }
  (void)exporting::read_record(bytes, [](const exporting::Point& point) {
    std::string_view value = point.value;
    if (!detect::decode_value(value)) __builtin_trap();
  });
  return 0;
}
