// Reads commands of test/model/fleet.h, one JSON object a line, and prints the answer to each as one line.
#include <iostream>
#include <string>

#include "test/model/fleet.h"

int main() {
  using namespace fleetward;
  std::ios::sync_with_stdio(false);
  model::Fleet fleet;
  std::string line;
  while (std::getline(std::cin, line)) {
    auto command = json::parse(line);
    json::object answer;
    if (command && command->is_object()) {
      answer = fleet.run(command->get_object());
    } else {
      answer["error"] = command ? "not an object" : command.error().message;
    }
    std::cout << json::serialize(json::value(std::move(answer))) << '\n';
    if (std::cin.rdbuf()->in_avail() == 0) std::cout.flush();
  }
}
