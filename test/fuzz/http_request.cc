// The head of a request as text: target, query, SigV4 in both forms, REST-JSON routing and Query parameters.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/query_protocol.h"
#include "http/rest_json.h"
#include "http/sigv4.h"

namespace {

using namespace fleetward;

class NoKeys final : public http::CredentialLookup {
 public:
  std::optional<identity::Credentials> find(std::string_view) const override {
    return identity::Credentials{"secret", "", {}, {}};
  }
};

const http::RestRouter& router() {
  static const http::RestRouter made([] {
    std::vector<http::Operation> operations(3);
    operations[0].method = operations[1].method = operations[2].method = "POST";
    operations[0].uri = "/things/{thingName}/shadow";
    operations[1].uri = "/topics/{topic+}";
    operations[2].uri = "/things/special";
    return operations;
  }());
  return made;
}

std::string_view line(std::string_view& text) {
  const size_t end = text.find('\n');
  const std::string_view out = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  http::RequestHead head;
  head.method = "POST";
  if (!http::parse_target(line(text), head)) return 0;
  for (const char* name : {"Authorization", "X-Amz-Date", "X-Amz-Content-Sha256", "Host"}) {
    head.headers.add(name, std::string(line(text)));
  }
  const auto claim = http::parse_authentication(head);
  if (claim && *claim) {
    const NoKeys keys;
    // Nobody guesses a signature.
    if (http::verify(head, **claim, std::string(64, '0'), {"eu-west-1"}, keys, {1795503600000})) std::abort();
  }
  (void)router().match(head.method, head.raw_path);
  if (const auto arguments = http::query_arguments(head.query)) {
    (void)http::query_result_xml("X", "ns", *arguments, "id");
  }
  (void)http::parse_json_body(text);
  return 0;
}
