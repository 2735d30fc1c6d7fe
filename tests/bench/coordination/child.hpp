#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cambrian::bench {

/// A program that runs beside this one, its output in a file, and that ends with this object.
class Child {
 public:
  Child(const std::vector<std::string>& command, const std::string& log_path);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  bool has_ended();
  /// Waits for its end and returns its exit code, or -1 after a signal.
  int wait();

 private:
  pid_t pid_ = -1;
  int status_ = 0;
};

/// The whole file; empty when there is none.
std::string read_text(const std::string& path);

/// A number of /proc/PID/status, in bytes: VmRSS or VmHWM.
std::int64_t memory_of(pid_t pid, const std::string& field);

}  // namespace cambrian::bench
