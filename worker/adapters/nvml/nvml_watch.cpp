#include "worker/adapters/nvml/nvml_watch.hpp"

#include <poll.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>

#include "common/log/log.hpp"

namespace cambrian::worker {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kStepMilliseconds = 50;
constexpr std::int64_t kMemorySlackBytes = std::int64_t{128} << 20;
constexpr unsigned kProcessesMax = 256;
constexpr int kAncestorsMax = 64;
constexpr int kEventsMax = 64;
// XIDs that a program causes by itself: graphics and MMU faults, and its channels being ended.
constexpr std::array<unsigned long long, 5> kProgramErrors = {13, 31, 43, 45, 68};

// Nothing where there is no such process.
std::optional<pid_t> parent_of(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return std::nullopt;
  // The name, in brackets, may hold anything.
  const std::size_t bracket = text.rfind(')');
  if (bracket == std::string::npos || bracket + 4 > text.size()) return std::nullopt;
  return std::atoi(text.c_str() + bracket + 4);
}

bool is_ours(pid_t process) {
  for (int i = 0; i < kAncestorsMax && process > 1; ++i) {
    const auto parent = parent_of(process);
    if (!parent) return false;
    if (*parent == getpid()) return true;
    process = *parent;
  }
  return false;
}

std::string mebibytes(std::int64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

}  // namespace

Result<std::unique_ptr<NvmlWatch>> NvmlWatch::open(const std::vector<std::string>& gpus,
                                                   const NvmlOptions& options) {
  CAMBRIAN_TRY(nvml::Library library, nvml::load(options.library));
  std::unique_ptr<NvmlWatch> watch(new NvmlWatch(std::move(library), options.patience));
  if (watch->library_.make_event_set != nullptr && watch->library_.wait_event != nullptr &&
      watch->library_.register_events != nullptr &&
      watch->library_.make_event_set(&watch->events_) != nvml::kSuccess) {
    watch->events_ = nullptr;
  }
  for (const std::string& id : gpus) {
    CAMBRIAN_TRY(watch->gpus_[id], watch->look_at(id));
  }
  return watch;
}

Result<NvmlWatch::Gpu> NvmlWatch::look_at(const std::string& id) {
  Gpu gpu;
  if (const int code = library_.get_handle(id.c_str(), &gpu.device); code != nvml::kSuccess) {
    return fail(Errc::unavailable,
                "GPU does not answer: id=" + id + " error=" + library_.error_text(code));
  }
  if (library_.get_whole == nullptr ||
      library_.get_whole(gpu.device, &gpu.whole) != nvml::kSuccess) {
    gpu.whole = gpu.device;
  }
  CAMBRIAN_TRY(gpu.memory_idle, memory_of(gpu));
  CAMBRIAN_TRY(const auto processes, processes_of(gpu));
  gpu.processes_idle = {processes.begin(), processes.end()};
  gpu.ecc_errors = ecc_errors_of(gpu);
  // Several instances have one GPU; to register it again changes nothing.
  if (events_ != nullptr) library_.register_events(gpu.whole, nvml::kXidEvent, events_);
  return gpu;
}

Result<std::int64_t> NvmlWatch::memory_of(const Gpu& gpu) const {
  nvml::Memory memory;
  const int code = library_.get_memory(gpu.device, &memory);
  if (code == nvml::kSuccess) return static_cast<std::int64_t>(memory.used);
  return fail(Errc::unavailable, std::string("GPU does not answer: ") + library_.error_text(code));
}

Result<std::vector<unsigned>> NvmlWatch::processes_of(const Gpu& gpu) const {
  std::array<nvml::Process, kProcessesMax> listed;
  unsigned count = kProcessesMax;
  const int code = library_.get_processes(gpu.device, &count, listed.data());
  std::vector<unsigned> processes;
  if (code != nvml::kSuccess && code != nvml::kInsufficientSize) {
    return fail(Errc::unavailable,
                std::string("GPU does not answer: ") + library_.error_text(code));
  }
  for (unsigned i = 0; i < std::min(count, kProcessesMax); ++i) processes.push_back(listed[i].pid);
  return processes;
}

unsigned long long NvmlWatch::ecc_errors_of(const Gpu& gpu) const {
  unsigned long long count = 0;
  if (library_.get_ecc_errors == nullptr) return 0;
  const int code =
      library_.get_ecc_errors(gpu.whole, nvml::kUncorrectedErrors, nvml::kSinceDriverStart, &count);
  return code == nvml::kSuccess ? count : 0;
}

Result<std::int64_t> NvmlWatch::memory_used(const std::string& gpu) {
  const auto found = gpus_.find(gpu);
  if (found == gpus_.end()) return fail(Errc::not_found, "GPU is not watched: id=" + gpu);
  return memory_of(found->second);
}

// Notes what happened since it was called last.
void NvmlWatch::take_events() {
  if (events_ == nullptr) return;
  const std::lock_guard lock(mutex_);
  for (int i = 0; i < kEventsMax; ++i) {
    nvml::Event event;
    if (library_.wait_event(events_, &event, 0) != nvml::kSuccess) return;
    const bool is_programs = std::ranges::find(kProgramErrors, event.data) != kProgramErrors.end();
    if (event.type != nvml::kXidEvent || is_programs) continue;
    for (auto& [id, gpu] : gpus_) {
      if (gpu.whole == event.device) gpu.xid = event.data;
    }
  }
}

std::string NvmlWatch::find_trouble(const std::string& gpu) {
  const auto found = gpus_.find(gpu);
  if (found == gpus_.end()) return "it is not watched";
  take_events();
  const std::string left = leftover(found->second, gpu);
  return left.empty() ? hardware_trouble(found->second) : left;
}

// Kills what is ours, and waits for what goes.
std::string NvmlWatch::leftover(Gpu& gpu, const std::string& id) {
  const auto deadline = Clock::now() + patience_;
  while (true) {
    const auto processes = processes_of(gpu);
    const auto used = memory_of(gpu);
    if (!processes || !used) return (processes ? used.error() : processes.error()).message;
    std::string left;
    bool is_foreign = false;
    for (const unsigned number : *processes) {
      const auto process = static_cast<pid_t>(number);
      if (gpu.processes_idle.contains(number)) continue;
      is_foreign = !is_ours(process) && parent_of(process);
      left = is_foreign ? "another program uses it: pid=" : "a process did not leave it: pid=";
      left += std::to_string(number);
      if (is_foreign) break;
      if (!is_ours(process)) continue;
      log::warn("gpu_process_killed", {{"gpu", id}, {"pid", number}});
      kill(process, SIGKILL);
    }
    if (left.empty() && *used > gpu.memory_idle + kMemorySlackBytes) {
      left = "its memory was not given back: used=" + mebibytes(*used) +
             " before=" + mebibytes(gpu.memory_idle);
    }
    if (left.empty()) gpu.memory_idle = std::min(gpu.memory_idle, *used);
    if (left.empty() || is_foreign || Clock::now() > deadline) return left;
    poll(nullptr, 0, kStepMilliseconds);
  }
}

std::string NvmlWatch::hardware_trouble(const Gpu& gpu) const {
  if (const std::lock_guard lock(mutex_); gpu.xid != 0) {
    return "error of the hardware or driver: XID=" + std::to_string(gpu.xid);
  }
  if (const auto errors = ecc_errors_of(gpu); errors > gpu.ecc_errors) {
    return "its memory had errors that were not corrected: " +
           std::to_string(errors - gpu.ecc_errors);
  }
  unsigned corrected = 0, uncorrected = 0, is_pending = 0, has_failed = 0;
  if (library_.get_remapped_rows != nullptr &&
      library_.get_remapped_rows(gpu.whole, &corrected, &uncorrected, &is_pending, &has_failed) ==
          nvml::kSuccess) {
    if (has_failed != 0) return "a row of its memory could not be replaced";
    if (is_pending != 0) return "a row of its memory is to be replaced: reset the GPU";
  }
  int is_retirement_pending = 0;
  if (library_.get_retirement_pending != nullptr &&
      library_.get_retirement_pending(gpu.whole, &is_retirement_pending) == nvml::kSuccess &&
      is_retirement_pending != 0) {
    return "pages of its memory are to be retired: reset the GPU";
  }
  return "";
}

}  // namespace cambrian::worker
