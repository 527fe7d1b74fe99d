#pragma once

#include <cstdint>
#include <mutex>
#include <random>
#include <string>

namespace fleetward {

// Where random bytes come from. Thread safe.
class Random {
 public:
  virtual ~Random() = default;
  virtual std::string bytes(size_t count) = 0;

  // Random (version 4) UUID in lower case: "8c3b0d5e-....".
  std::string uuid();
  // `count` characters of `alphabet` (at most 256 of them), each equally likely.
  std::string text(size_t count, const std::string& alphabet);
};

// The operating system's entropy (OpenSSL's generator): keys, tokens, identifiers.
class SystemRandom final : public Random {
 public:
  std::string bytes(size_t count) override;
};

// For tests and simulations: the same seed gives the same bytes.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : engine_(seed) {}
  std::string bytes(size_t count) override;

 private:
  std::mutex mutex_;
  std::mt19937_64 engine_;
};

}  // namespace fleetward
