#include "broker/websocket.h"

#include <cstdint>
#include <cstdlib>
#include <string>

// Any bytes, whole and cut in two where the first of them says: the same messages and the same end; what is
// sent back is framed within its bounds.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using fleetward::broker::WebSocket;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t cut = bytes.empty() ? 0 : data[0] % bytes.size();
  WebSocket whole, halves;
  std::string once, twice;
  const auto state = whole.feed(bytes, once);
  halves.feed(bytes.substr(0, cut), twice);
  if (halves.feed(bytes.substr(cut), twice) != state || once != twice) std::abort();
  if (once.size() > bytes.size()) std::abort();
  std::string out = once.substr(0, 300);
  const size_t before = out.size();
  whole.wrap(out);
  if (out.size() > before + 10 + 127) std::abort();
  whole.append_close(out);
  if (whole.must_answer()) std::abort();
  return 0;
}
