#pragma once

#include <memory>
#include <string>

#include "common/base/result.hpp"

/// What is used of NVIDIA's management library (NVML), declared as its nvml.h has it. The names and
/// layouts are its interface and do not change within a version suffix.
namespace cambrian::worker::nvml {

using Device = void*;
using EventSet = void*;

/// Of nvmlReturn_t.
enum Code : int { kSuccess = 0, kNotSupported = 3, kInsufficientSize = 7, kTimeout = 10 };

struct Memory {
  unsigned long long total = 0, free = 0, used = 0;
};

/// nvmlProcessInfo_t of version 2 and 3 of the call.
struct Process {
  unsigned pid = 0;
  unsigned long long memory_used = 0;
  unsigned gpu_instance = 0, compute_instance = 0;
};

struct Event {
  Device device = nullptr;
  unsigned long long type = 0, data = 0;
  unsigned gpu_instance = 0, compute_instance = 0;
};

inline constexpr int kUncorrectedErrors = 1;        // NVML_MEMORY_ERROR_TYPE_UNCORRECTED
inline constexpr int kSinceDriverStart = 0;         // NVML_VOLATILE_ECC
inline constexpr unsigned long long kXidEvent = 8;  // nvmlEventTypeXidCriticalError

/// The library, loaded and started. What a driver may lack is null then.
struct Library {
  std::shared_ptr<void> handle;  // Shared by whoever calls it: closed after the last one.
  int (*get_handle)(const char* uuid, Device*) = nullptr;
  int (*get_whole)(Device instance, Device*) = nullptr;
  int (*get_memory)(Device, Memory*) = nullptr;
  int (*get_processes)(Device, unsigned* count, Process*) = nullptr;
  int (*get_ecc_errors)(Device, int type, int counter, unsigned long long*) = nullptr;
  int (*get_remapped_rows)(Device, unsigned* corrected, unsigned* uncorrected, unsigned* is_pending,
                           unsigned* has_failed) = nullptr;
  int (*get_retirement_pending)(Device, int* is_pending) = nullptr;
  int (*make_event_set)(EventSet*) = nullptr;
  int (*register_events)(Device, unsigned long long types, EventSet) = nullptr;
  int (*wait_event)(EventSet, Event*, unsigned milliseconds) = nullptr;
  const char* (*error_text)(int code) = nullptr;
};

/// Errors: not_found when there is no such library, unavailable when it does not start, or lacks
/// what cannot be done without.
Result<Library> load(const std::string& path);

}  // namespace cambrian::worker::nvml
