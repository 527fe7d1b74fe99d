#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "identity/policy.h"
#include "registry/device_authorizer.h"

namespace fleetward::registry {

// Policy variables and condition keys of one connection (AWS names). Private to the device authorizer.
class ConnectionContext final : public identity::RequestContext {
 public:
  // `certificate` and `thing` may be null.
  ConnectionContext(const DeviceConnection& connection, const Certificate* certificate, const Thing* thing,
                    bool attached);
  std::span<const std::string> find(std::string_view key) const override;

 private:
  void add_certificate(const Certificate& certificate);
  void add_fields(const std::string& prefix, const CertificateFields& fields,
                  std::vector<std::string>& available);

  identity::MapContext values_;
  const Thing* thing_;
};

}  // namespace fleetward::registry
