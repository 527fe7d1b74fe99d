#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "registry/pki.h"

// What RegisterCertificate, CreateCertificateFromCsr and a TLS peer hand us.
namespace {

using namespace fleetward;            // NOLINT
using namespace fleetward::registry;  // NOLINT

const CertificateAuthority& authority() {
  static SystemRandom random;
  static const auto made = CertificateAuthority::create(random, {1767225600000});
  if (!made) std::abort();
  return *made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static SystemRandom random;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto facts = parse_certificate(text);
  const auto normal = normalize_certificate(text);
  if (facts.has_value() && normal) {
    const auto again = parse_certificate(*normal);
    if (!again || again->id != facts->id) std::abort();
    (void)check_signed_by(*normal, authority().certificate_pem());
  }
  (void)parse_certificate_der(text);
  const auto issued = authority().issue_from_request(text, random, {1767225600000});
  if (issued && !check_signed_by(issued->certificate_pem, authority().certificate_pem())) std::abort();
  return 0;
}
