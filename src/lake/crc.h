#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace fleetward::lake {

// A reflected CRC with all-ones start and end (CRC-32C, CRC-64/NVME), eight bytes a step; and the combination
// of the CRCs of two neighbouring pieces. `kPolynomial` is bit-reversed.
template <typename T, T kPolynomial>
class Crc {
 public:
  void update(std::string_view bytes) {
    const char* p = bytes.data();
    size_t left = bytes.size();
    T crc = crc_;
    while (left >= 8) {
      uint64_t word;
      std::memcpy(&word, p, 8);
      if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
      word ^= static_cast<uint64_t>(crc);
      crc = 0;
      for (size_t i = 0; i < 8; ++i) crc ^= kTables[7 - i][(word >> (8 * i)) & 0xff];
      p += 8;
      left -= 8;
    }
    for (; left > 0; --left, ++p) {
      crc = kTables[0][(crc ^ static_cast<uint8_t>(*p)) & 0xff] ^ (crc >> 8);
    }
    crc_ = crc;
  }
  T value() const { return static_cast<T>(~crc_); }

  // The CRC of a piece with CRC `first` followed by one of `second_bytes` bytes with CRC `second`.
  static T combine(T first, T second, uint64_t second_bytes) {
    return multiply(x_to_the_8(second_bytes), first) ^ second;
  }

 private:
  static constexpr int kBits = sizeof(T) * 8;
  using Tables = std::array<std::array<T, 256>, 8>;

  static constexpr Tables make_tables() {
    Tables tables{};
    for (unsigned i = 0; i < 256; ++i) {
      T crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ kPolynomial : crc >> 1;
      tables[0][i] = crc;
    }
    for (size_t k = 1; k < 8; ++k) {
      for (size_t i = 0; i < 256; ++i) {
        tables[k][i] = tables[0][tables[k - 1][i] & 0xff] ^ (tables[k - 1][i] >> 8);
      }
    }
    return tables;
  }
  static constexpr Tables kTables = make_tables();

  // Product of two polynomials modulo the CRC's; the highest bit is the coefficient of x^0.
  static T multiply(T a, T b) {
    T product = 0;
    for (T bit = T{1} << (kBits - 1); bit != 0; bit >>= 1) {
      if ((a & bit) != 0) product ^= b;
      b = (b & 1) != 0 ? (b >> 1) ^ kPolynomial : b >> 1;
    }
    return product;
  }
  // x^(8n) by squaring.
  static T x_to_the_8(uint64_t n) {
    T result = T{1} << (kBits - 1);
    T square = T{1} << (kBits - 1 - 8);
    for (; n != 0; n >>= 1) {
      if ((n & 1) != 0) result = multiply(result, square);
      square = multiply(square, square);
    }
    return result;
  }

  T crc_ = static_cast<T>(~T{0});
};

using Crc32 = Crc<uint32_t, 0xedb88320u>;
using Crc32c = Crc<uint32_t, 0x82f63b78u>;
using Crc64Nvme = Crc<uint64_t, 0x9a6c9329ac4bc9b5u>;

}  // namespace fleetward::lake
