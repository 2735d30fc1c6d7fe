#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace cambrian::test {

/// A private PostgreSQL in a temporary folder, on a Unix socket, that goes with this object and
/// with this process. Made for tests: nothing is synced to disk. As root it runs as an ordinary
/// user, as PostgreSQL insists. Every method throws std::runtime_error with the server's log when
/// it fails, and waits for half a minute at most.
class PrivatePostgres {
 public:
  PrivatePostgres();
  ~PrivatePostgres();
  PrivatePostgres(const PrivatePostgres&) = delete;
  PrivatePostgres& operator=(const PrivatePostgres&) = delete;

  /// One server for the whole test program; its databases are what tests make.
  static PrivatePostgres& shared();

  /// Makes an empty database with a name of its own and returns its connection string.
  std::string make_database();
  std::string connection(const std::string& database) const;

  /// A setting, `name=value`, from the next start on.
  void set(const std::string& setting) { settings_.push_back(setting); }
  void start();
  /// Ends every session at once (SIGINT), as a restart by an operator does.
  void stop();
  /// SIGKILL to the postmaster and all its children: as if the machine had crashed.
  void crash();
  /// Stops the postmaster and all its children where they are (SIGSTOP): connections stand, and
  /// nobody answers on them.
  void freeze();
  void thaw();

 private:
  void run_and_wait(const std::vector<std::string>& command) const;
  pid_t spawn(const std::vector<std::string>& command) const;
  std::string log() const;

  std::filesystem::path folder_;
  std::vector<std::string> settings_ = {"listen_addresses=", "fsync=off", "shared_buffers=16MB",
                                        "max_connections=100"};
  pid_t pid_ = -1;
  std::vector<pid_t> frozen_;
  int databases_ = 0;
};

}  // namespace cambrian::test
