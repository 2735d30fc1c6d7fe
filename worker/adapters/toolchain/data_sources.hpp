#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "worker/ports/sandbox.hpp"

namespace cambrian::worker {

/// Finds the data that judges need and checks them, each file once: a digest is remembered until
/// size or time of change differ. Threads: any.
class DataSources {
 public:
  /// `folders` are the values for ${NAME} at the start of a path.
  explicit DataSources(std::map<std::string, std::string> folders) : folders_(std::move(folders)) {}

  /// Where the judge's data lie, ready to be mounted read-only at /data/NAME. Errors: unavailable
  /// when something is missing, not readable or damaged; the message names it and says how to
  /// get it.
  Result<std::vector<Mount>> mounts(const std::vector<DataSource>& sources);
  /// Those of the data, and all of the configured folders, that lie below /usr, which every sandbox
  /// can see: to be hidden from candidates. Errors: unavailable when a name stands for nothing.
  Result<std::vector<std::filesystem::path>> hidden(const std::vector<DataSource>& sources) const;

 private:
  Result<std::string> resolve(const DataSource& source) const;
  Result<std::string> digest(const std::string& path);
  Result<std::string> file_digest(const std::string& path);

  std::map<std::string, std::string> folders_;
  std::mutex mutex_;                          // Guards known_.
  std::map<std::string, std::string> known_;  // Digest by path, size and time of change.
};

}  // namespace cambrian::worker
