#pragma once

#include <cstdint>

/// What the worker and the first process of a sandbox agree on. Both come from one build, on one
/// machine, so the records travel as they lie in memory over a socket that keeps their borders.
namespace cambrian::worker {

/// Descriptors of a sandboxed process tree. The socket is kept open for the program, the control
/// socket only for the supervisor.
inline constexpr int kProgramSocket = 3;
inline constexpr int kControlSocket = 4;
inline constexpr int kSeccompProgram = 5;
/// The first of the descriptors by which the program enters its control group.
inline constexpr int kFirstGroupDoor = 6;
inline constexpr int kGroupDoorsMax = 3;

/// Limits for the supervisor, as its first arguments: name=value, in any order, then "--", then
/// the command. All are decimal integers.
///   uid        user to become, -1 to stay
///   socket     1: descriptor 3 belongs to the program
///   memory     bytes that all processes together may have resident
///   data, address, file, stack, files, processes, cpu   resource limits of each process
///   inodes     files and folders that the writable folders in memory may hold together
///   groups     descriptors of control groups, from kFirstGroupDoor, that the program enters
///   landlock   0: none, 1: restrict the program, 2: the same, but it may read all of /proc

/// Where a sandbox shows cambrian-sandbox-init.
inline constexpr const char* kSupervisorTarget = "/supervisor";

/// Folders in memory (tmpfs) that the program may write into. Their pages count as its memory.
inline constexpr const char* kWritableFolders[] = {"/tmp", "/dev/shm"};

/// LibTorch's libraries complain without a boot id. Programs find another id at each reading there,
/// so that it tells nothing of the host.
inline constexpr const char* kBootId = "/proc/sys/kernel/random/boot_id";
inline constexpr const char* kRandomId = "/proc/sys/kernel/random/uuid";

enum class SupervisorEvent : std::int32_t {
  started = 1,      ///< The program runs.
  exec_failed = 2,  ///< `value` is the errno.
  ended = 3,        ///< The tree is gone; everything below is set.
  /// Limits or walls could not be put up; `value` is the errno.
  prepare_failed = 4,
};

struct SupervisorRecord {
  SupervisorEvent event = SupervisorEvent::started;
  std::int32_t value = 0;  ///< Wait status of the program.
  std::int32_t processes_peak = 0;
  std::uint8_t was_stopped = 0;
  std::uint8_t is_memory_exceeded = 0;
  std::uint8_t is_disk_full = 0;
  std::uint8_t reserved = 0;
  std::int64_t cpu_nanoseconds = 0;
  std::int64_t memory_peak_bytes = 0;
};

}  // namespace cambrian::worker
