#include "worker/adapters/sandbox/supervisor_record.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "worker/adapters/sandbox/supervisor.hpp"

namespace cambrian::worker {
namespace {

// Sums of these stay far from overflow, and no machine gets there.
constexpr Duration kCpuTimeMax = std::chrono::days(366);
constexpr std::int64_t kMemoryBytesMax = std::int64_t{1} << 50;

// Why the kernel does not execute a file, or does not find its interpreter.
bool is_about_file(int error) {
  constexpr std::array kErrors = {ENOENT, ENOTDIR, EISDIR, EACCES, ENOEXEC, ELIBBAD, ELOOP, EINVAL};
  return std::ranges::find(kErrors, error) != kErrors.end();
}

// Of its own folder. What lies elsewhere is this machine's.
bool is_variants(std::string_view program) {
  return program.starts_with("/program/") ||
         (!program.starts_with('/') && program.find('/') != std::string_view::npos);
}

}  // namespace

bool take_supervisor_record(std::string_view bytes, std::string_view program, ProcessExit& exit) {
  SupervisorRecord record;
  if (bytes.size() != sizeof record) return false;
  std::memcpy(&record, bytes.data(), sizeof record);
  switch (record.event) {
    case SupervisorEvent::started: exit.was_started = true; return true;
    case SupervisorEvent::exec_failed:
      exit.failure = "program did not start: program=" + std::string(program) +
                     " error=" + std::strerror(record.value);
      exit.is_program_unusable = is_variants(program) && is_about_file(record.value);
      return false;
    case SupervisorEvent::prepare_failed:
      exit.failure = std::string("walls were not put up: error=") + std::strerror(record.value);
      return false;
    case SupervisorEvent::ended: break;
    default: return false;
  }
  if (WIFEXITED(record.value)) exit.exit_code = WEXITSTATUS(record.value);
  if (WIFSIGNALED(record.value)) exit.signal = WTERMSIG(record.value);
  exit.is_memory_exceeded = record.is_memory_exceeded != 0;
  exit.is_disk_full = exit.is_disk_full || record.is_disk_full != 0;
  exit.processes_peak = std::max(record.processes_peak, 0);
  exit.cpu_time = std::clamp(Duration(record.cpu_nanoseconds), Duration{0}, kCpuTimeMax);
  exit.memory_peak_bytes = std::clamp<std::int64_t>(record.memory_peak_bytes, 0, kMemoryBytesMax);
  return false;
}

}  // namespace cambrian::worker
