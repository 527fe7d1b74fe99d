#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace fleetward::http {

// SHA-256 of bytes that arrive in pieces. One thread.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void update(std::string_view bytes);
  // Lower-case hex. Once.
  std::string finish_hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fleetward::http
