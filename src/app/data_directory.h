#pragma once

#include <string>

#include "core/result.h"

namespace fleetward::app {

// The directory that holds everything a server keeps; one process at a time.
//
//   format            "3": the version of everything in it. It rises with a change that the rooms' own
//                     versions of records do not cover; who finds another one refuses
//   lock              held (flock) while a server runs
//   credentials       the root access key, AWS shared-credentials format, 0600
//   endpoints.json    the real addresses of the running server
//   pki/ state.db log/ lake/ sns/ spool/   the rooms' own; state.db.acknowledged is core/high_water.h's
class DataDirectory {
 public:
  // Creates it if it is missing or empty. kConflict: another process holds it; kInvalidArgument: of
  // another format, or a directory with other things in it; kCorrupt: a piece of it is gone; kUnavailable:
  // the disk refuses. With `accept_loss` the log may be gone: it is begun anew.
  static Result<DataDirectory> open(const std::string& path, bool accept_loss = false);
  DataDirectory(DataDirectory&& other) noexcept;
  DataDirectory& operator=(DataDirectory&&) = delete;
  ~DataDirectory();

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  DataDirectory(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::string path_;
  int lock_;
};

}  // namespace fleetward::app
