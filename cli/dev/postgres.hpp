#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/dev/layout.hpp"
#include "common/base/result.hpp"

namespace cambrian::cli::dev {

/// The private PostgreSQL of an environment. It listens on a Unix socket in a folder that only the
/// user can enter, so it needs no password.
///
/// PostgreSQL refuses to run as root. Root therefore starts it in a user namespace in which it is
/// somebody else: its files stay root's own. Where namespaces are not allowed (a plain container),
/// it runs as the user postgres or nobody, who then owns the data folder.
class Postgres {
 public:
  /// Looks for the programs: PATH first, then /usr/lib/postgresql/17/bin and newer or older ones
  /// from 15 on. Errors: not_found with the package to install; conflict as root when neither way
  /// works, with what to do.
  static Result<Postgres> find(const Layout& layout);

  /// Makes the data folder and the database, once. A folder that was begun and not finished is made
  /// anew. Takes about two seconds. Errors: unavailable with the last lines of initdb.
  Status create_if_missing() const;

  /// Before each start: ends a server of this data folder that has lost its supervisor, and removes
  /// a pid file that names a process which is not a PostgreSQL.
  Status clean_up() const;

  /// The command line of the server.
  std::vector<std::string> server_command() const;

  /// The server accepts connections: it writes so into its pid file.
  bool is_ready() const;

  /// Folder of its programs.
  const std::filesystem::path& programs() const { return programs_; }

  /// For libpq.
  std::string connection_string() const;

 private:
  explicit Postgres(const Layout& layout) : layout_(layout) {}

  std::vector<std::string> as_owner(std::vector<std::string> command) const;
  Status choose_owner();
  Status give_to_owner(const std::filesystem::path& folder) const;
  Status run_step(const std::vector<std::string>& command) const;

  Layout layout_;
  std::filesystem::path programs_;
  /// What stands before each command so that it does not run as root.
  std::vector<std::string> prefix_;
  /// The other user who owns the data folder; empty: this user.
  std::string owner_;
};

}  // namespace cambrian::cli::dev
