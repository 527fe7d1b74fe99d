#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace fleetward {

// IP addresses and networks: "192.0.2.7", "10.0.0.0/8", "2001:db8::/32". Immutable.
class AddressList {
 public:
  AddressList() = default;
  // kInvalidArgument names what is none.
  static Result<AddressList> parse(const std::vector<std::string>& texts);
  // `ip` as SocketAddress has it. What is no address is in no list.
  bool contains(std::string_view ip) const;
  bool empty() const { return networks_.empty(); }

 private:
  struct Network {
    std::array<uint8_t, 16> bytes{};
    int family = 0;
    int bits = 0;
  };
  std::vector<Network> networks_;
};

}  // namespace fleetward
