#include "core/address_list.h"

#include <gtest/gtest.h>

namespace fleetward {
namespace {

TEST(AddressList, HoldsAddressesAndNetworks) {
  const auto list = AddressList::parse({"192.0.2.7", "10.0.0.0/8", "172.16.0.0/12", "2001:db8::/33", "::1"});
  ASSERT_TRUE(list) << list.error().message;
  for (const char* in : {"192.0.2.7", "10.255.255.255", "172.31.0.1", "2001:db8:7fff::1", "::1"}) {
    EXPECT_TRUE(list->contains(in)) << in;
  }
  for (const char* out : {"192.0.2.8", "11.0.0.0", "172.32.0.0", "2001:db8:8000::1", "::2", "", "x",
                          "10.0.0.0/8", "10.0.0.1 and much, much more than fits into an address"}) {
    EXPECT_FALSE(list->contains(out)) << out;
  }
  EXPECT_TRUE(AddressList::parse({"0.0.0.0/0"})->contains("203.0.113.9"));
  EXPECT_FALSE(AddressList::parse({"0.0.0.0/0"})->contains("::1"));
  EXPECT_FALSE(AddressList().contains("::1"));
}

TEST(AddressList, NamesWhatIsNone) {
  for (const char* bad :
       {"", "localhost", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0/8", "::/129", "/8"}) {
    const auto list = AddressList::parse({"10.0.0.1", bad});
    ASSERT_FALSE(list) << bad;
    EXPECT_NE(list.error().message.find("'" + std::string(bad) + "'"), std::string::npos);
  }
}

}  // namespace
}  // namespace fleetward
