#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "lake/database.h"
#include "lake/errors.h"

namespace fleetward::lake {

// The store's facts in SQLite (schema: README). Thread safe.
class Index {
 public:
  // Numbers kept with every commit; see ContentFiles.
  struct Watermarks {
    uint64_t next_id = 1;
    uint64_t clean_below = 1;
  };

  // kInvalidArgument: written in another format.
  static StoreResult<std::unique_ptr<Index>> open(const std::string& path);
  ~Index();
  // Asked once for each commit, before it begins. Set before the first write.
  void set_watermarks(std::function<Watermarks()> watermarks) { watermarks_ = std::move(watermarks); }
  Watermarks stored_watermarks();

  // Runs `change` in a transaction and makes it durable. Changes of several threads share one transaction
  // (each in a savepoint) and one sync; they run one after the other. An error of `change`, or one its
  // statements met, undoes it alone. `change` may run on another caller's thread.
  using Change = std::function<StoreStatus(Connection&)>;
  StoreStatus write(const Change& change);

  // A connection with a snapshot of everything committed so far, for reading; gives itself back.
  class Read {
   public:
    Read(Index& index, std::unique_ptr<Connection> connection);
    ~Read();
    Read(Read&&) = default;
    Connection& operator*() { return *connection_; }
    Connection* operator->() { return connection_.get(); }

   private:
    Index& index_;
    std::unique_ptr<Connection> connection_;
  };
  StoreResult<Read> read();

 private:
  struct Pending {
    const Change* change;
    StoreStatus status;
    bool done = false;
  };
  explicit Index(std::string path) : path_(std::move(path)) {}
  void run_group(const std::vector<Pending*>& group);
  void run_one(Pending& pending);
  StoreStatus finish_group();

  const std::string path_;
  std::unique_ptr<Connection> writer_;
  std::function<Watermarks()> watermarks_;

  std::mutex mutex_;
  std::condition_variable group_done_;
  std::vector<Pending*> waiting_;
  bool writing_ = false;

  std::mutex readers_mutex_;
  std::vector<std::unique_ptr<Connection>> idle_readers_;
};

}  // namespace fleetward::lake
