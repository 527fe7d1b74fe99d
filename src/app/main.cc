#include "app/commands.h"

int main(int argc, char** argv) {
  return fleetward::app::run(argc, argv);
}
