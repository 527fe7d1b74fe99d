#pragma once

#include "bench/load/options.h"
#include "bench/load/worker.h"

namespace fleetward::load {

struct Outcome {
  Counts counts;
  double seconds = 0;                  // measured
  double server_connection_bytes = 0;  // resident memory that all connections added, each
  double connect_seconds = 0;          // until all connections were accepted
  double server_cpu_s = 0;             // of --server-pid in the measured time; 0 if not given
  double own_cpu_s = 0;
};

void print_table(const Options& options, const Outcome& outcome);
void print_json(const Options& options, const Outcome& outcome);

}  // namespace fleetward::load
