#pragma once

#include <filesystem>
#include <string>

#include "common/base/result.hpp"

namespace cambrian::cli::dev {

/// Where everything of one environment is.
struct Layout {
  std::filesystem::path directory;  ///< Absolute.
  std::filesystem::path run;        ///< Sockets and address files; short, owned by the user, 0700.

  std::filesystem::path data() const { return directory / "postgres"; }
  std::filesystem::path logs() const { return directory / "logs"; }
  std::filesystem::path state_file() const { return directory / "state.json"; }
  std::filesystem::path lock_file() const { return directory / "supervisor.lock"; }
  std::filesystem::path log_of(const std::string& service) const {
    return logs() / (service + ".log");
  }
  std::filesystem::path address_file(const std::string& service) const {
    return run / (service + ".address");
  }
};

/// Names the files; touches nothing. A socket's path may have 107 bytes only: where the folder's
/// own name is too long, `run` is /tmp/cambrian-UID-HASH.
Layout make_layout(const std::filesystem::path& directory);

/// Creates the folders. Errors: unavailable with path and reason; conflict when somebody else owns
/// `run`; exhausted when the disk has less than 200 MB left.
Status create_folders(const Layout& layout);

}  // namespace cambrian::cli::dev
