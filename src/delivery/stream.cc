#include "delivery/stream.h"

namespace fleetward::delivery {

std::string_view to_string(StreamStatus status) {
  switch (status) {
    case StreamStatus::kCreating:
      return "CREATING";
    case StreamStatus::kActive:
      return "ACTIVE";
    case StreamStatus::kDeleting:
      return "DELETING";
  }
  return "";
}

const Stream* find_active(const state::Snapshot& snapshot, const Tables& tables, std::string_view name) {
  const Stream* stream = snapshot.get(tables.streams).find(name);
  return stream != nullptr && stream->status == StreamStatus::kActive ? stream : nullptr;
}

log::Partition records_of(const Stream& stream) {
  return {"records/" + stream.id, 0};
}

void append(log::Batch& batch, const Stream& stream, std::string record, Timestamp now) {
  batch.append(records_of(stream), std::move(record), now);
}

}  // namespace fleetward::delivery
