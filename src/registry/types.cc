#include "registry/types.h"

#include <array>

namespace fleetward::registry {
namespace {

struct StatusName {
  CertificateStatus status;
  std::string_view name;
};
constexpr std::array kStatusNames = {
    StatusName{CertificateStatus::kActive, "ACTIVE"},
    StatusName{CertificateStatus::kInactive, "INACTIVE"},
    StatusName{CertificateStatus::kRevoked, "REVOKED"},
    StatusName{CertificateStatus::kPendingTransfer, "PENDING_TRANSFER"},
    StatusName{CertificateStatus::kRegisterInactive, "REGISTER_INACTIVE"},
    StatusName{CertificateStatus::kPendingActivation, "PENDING_ACTIVATION"},
};

}  // namespace

std::string_view to_string(CertificateStatus status) {
  for (const StatusName& row : kStatusNames) {
    if (row.status == status) return row.name;
  }
  return "INACTIVE";
}

std::optional<CertificateStatus> parse_certificate_status(std::string_view text) {
  for (const StatusName& row : kStatusNames) {
    if (row.name == text) return row.status;
  }
  return std::nullopt;
}

const PolicyVersion* Policy::find(int number) const {
  for (const PolicyVersion& version : versions) {
    if (version.number == number) return &version;
  }
  return nullptr;
}

}  // namespace fleetward::registry
