// Device reports in JSON: what is accepted can be stored, read back and judged.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "test/fuzz/detect_report.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fleetward;
  return fuzz::one_report(detect::ReportFormat::kJson,
                          std::string_view(reinterpret_cast<const char*>(data), size));
}
