#pragma once

#include <filesystem>
#include <string>
#include <vector>

/// The command line as a user runs it, against a real local environment.
namespace cambrian::cli::testing {

/// What a run of `cambrian` gave.
struct Run {
  int code = 0;
  std::string out;
  std::string err;
};

/// A folder that goes away with the test.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Writes a file and gives its path.
  std::string write(const std::string& name, const std::string& text) const;

 private:
  std::filesystem::path path_;
};

/// An environment of `dev up` in its own folder; ended at the end. Fails the test when it does not
/// come up.
class Environment {
 public:
  Environment();
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  /// Runs `cambrian` with these arguments against it.
  Run run(const std::vector<std::string>& arguments) const;
  /// Starts it in the background with stdout and stderr in one file; the number of the process.
  pid_t start(const std::vector<std::string>& arguments, const std::filesystem::path& output) const;
  /// Runs it on a terminal of that size until it ends, and gives what it wrote.
  std::string run_on_terminal(const std::vector<std::string>& arguments, int rows,
                              int columns) const;
  /// The process of a service as `dev status` shows it.
  pid_t pid_of(const std::string& service) const;
  /// Waits until every service is ready again. False after 30 s.
  bool wait_until_ready() const;
  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  Folder folder_;
};

/// The one environment that most tests share.
Environment& shared_environment();

/// Exit code of a process that `start` began; -1 when it does not end in time.
int wait_for_exit(pid_t pid, int seconds);

/// A campaign over online-bin-packing.
std::string campaign_text(const std::string& name, int evaluations);

std::string read_file(const std::filesystem::path& path);

}  // namespace cambrian::cli::testing
