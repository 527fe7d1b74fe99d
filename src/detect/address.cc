#include "detect/address.h"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <cstring>

#include "core/text.h"

namespace fleetward::detect {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// Dotted quad, each part 0..255 without leading zeros. The common case, so without a copy.
bool parse_v4(std::string_view text, IpAddress& out) {
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), out.bytes.begin());
  const char* at = text.data();
  const char* const end = at + text.size();
  for (size_t part = 0; part < 4; ++part) {
    if (at == end) return false;
    if (*at == '0' && end - at > 1 && at[1] != '.') return false;
    const auto [next, error] = std::from_chars(at, end, out.bytes[12 + part]);
    if (error != std::errc() || next == at) return false;
    at = next;
    if (part < 3) {
      if (at == end || *at != '.') return false;
      ++at;
    }
  }
  return at == end;
}

bool parse_v6(std::string_view text, IpAddress& out) {
  char buffer[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof buffer || text.find('\0') != std::string_view::npos) return false;
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  return inet_pton(AF_INET6, buffer, out.bytes.data()) == 1;
}

// Adds one to the address; false if it was the highest.
bool increment(IpAddress& address) {
  for (size_t i = 16; i-- > 0;) {
    if (++address.bytes[i] != 0) return true;
  }
  return false;
}

}  // namespace

bool IpAddress::is_v4() const {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin());
}

std::string IpAddress::text() const {
  char buffer[INET6_ADDRSTRLEN];
  const bool v4 = is_v4();
  const void* from = v4 ? static_cast<const void*>(bytes.data() + 12) : bytes.data();
  return inet_ntop(v4 ? AF_INET : AF_INET6, from, buffer, sizeof buffer);
}

bool IpAddress::parse(std::string_view text, IpAddress& out) {
  return text.find(':') == std::string_view::npos ? parse_v4(text, out) : parse_v6(text, out);
}

bool IpAddress::parse_endpoint(std::string_view text, IpAddress& address, uint16_t& port) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  const auto number = parse_number<uint16_t>(text.substr(colon + 1));
  if (!number) return false;
  port = *number;
  std::string_view host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    return parse_v6(host.substr(1, host.size() - 2), address);
  }
  return parse(host, address);
}

Result<CidrSet> CidrSet::parse(const std::vector<std::string>& cidrs) {
  Ranges v4_ranges, v6_ranges;
  for (const std::string& cidr : cidrs) {
    const size_t slash = cidr.find('/');
    Range range;
    if (!IpAddress::parse(std::string_view(cidr).substr(0, slash), range.first)) {
      return fail(ErrorCode::kInvalidArgument, "'" + cidr + "' is not a CIDR");
    }
    bool v4 = cidr.find(':') == std::string::npos;
    unsigned prefix = v4 ? 32 : 128;
    if (slash != std::string::npos) {
      const char* const end = cidr.data() + cidr.size();
      const auto [next, error] = std::from_chars(cidr.data() + slash + 1, end, prefix);
      if (error != std::errc() || next != end || next == cidr.data() + slash + 1 ||
          prefix > (v4 ? 32U : 128U)) {
        return fail(ErrorCode::kInvalidArgument, "'" + cidr + "' is not a CIDR");
      }
    }
    if (v4) prefix += 96;
    // IPv4 in IPv6 form ("::ffff:192.0.2.0/120") is IPv4; "::/0" is IPv6 alone.
    if (!v4 && prefix >= 96 && range.first.is_v4()) v4 = true;
    range.last = range.first;
    for (unsigned bit = prefix; bit < 128; ++bit) {
      const auto mask = static_cast<uint8_t>(0x80U >> (bit % 8));
      range.first.bytes[bit / 8] &= static_cast<uint8_t>(~mask);
      range.last.bytes[bit / 8] |= mask;
    }
    (v4 ? v4_ranges : v6_ranges).push_back(range);
  }
  CidrSet set;
  set.v4_ = merge(std::move(v4_ranges));
  set.v6_ = merge(std::move(v6_ranges));
  return set;
}

CidrSet::Ranges CidrSet::merge(Ranges ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.first < b.first; });
  Ranges merged;
  for (const Range& range : ranges) {
    if (!merged.empty()) {
      IpAddress next = merged.back().last;
      if (!increment(next)) break;  // the last range reaches the end of the space
      if (range.first <= next) {
        merged.back().last = std::max(merged.back().last, range.last);
        continue;
      }
    }
    merged.push_back(range);
  }
  return merged;
}

bool CidrSet::contains(const IpAddress& address) const {
  const Ranges& ranges = address.is_v4() ? v4_ : v6_;
  const auto it = std::upper_bound(ranges.begin(), ranges.end(), address,
                                   [](const IpAddress& a, const Range& range) { return a < range.first; });
  return it != ranges.begin() && address <= std::prev(it)->last;
}

}  // namespace fleetward::detect
