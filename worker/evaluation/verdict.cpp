#include "worker/evaluation/verdict.hpp"

#include <array>
#include <cmath>
#include <csignal>
#include <utility>

namespace cambrian::worker {
namespace {

// How the runtimes say that an allocation was refused.
constexpr std::array<std::string_view, 6> kAllocationFailures = {
    "std::bad_alloc", "can't allocate memory",  "MemoryError",
    "out of memory",  "Cannot allocate memory", "failed to allocate"};

// Part of the memory limit from which a crash counts as a refused allocation.
constexpr double kMemoryNearRatio = 0.9;

bool says_allocation_failed(std::string_view text) {
  for (const std::string_view phrase : kAllocationFailures) {
    if (text.find(phrase) != std::string_view::npos) return true;
  }
  return false;
}

std::string_view signal_name(int signal) {
  switch (signal) {
    case SIGABRT: return "abort";
    case SIGBUS: return "bus error";
    case SIGFPE: return "arithmetic error";
    case SIGILL: return "illegal instruction";
    case SIGKILL: return "killed";
    case SIGSEGV: return "segmentation fault";
    case SIGSYS: return "forbidden system call";
    case SIGXCPU: return "processor time limit";
    case SIGXFSZ: return "file size limit";
    default: return "signal";
  }
}

bool is_near_memory_limit(const ProcessExit& exit, const Limits& limits) {
  return static_cast<double>(exit.memory_peak_bytes) >=
         kMemoryNearRatio * static_cast<double>(limits.memory_bytes);
}

bool had_too_many_processes(const ProcessExit& exit, const Limits& limits) {
  if (exit.group) return exit.group->are_processes_exceeded;
  // Nobody says whether one more was refused.
  return exit.processes_peak >= limits.processes;
}

// The outcome that the worker's own observations name, if they name one.
std::optional<std::pair<Outcome, std::string>> observed(const ProcessExit& exit,
                                                        const Limits& limits) {
  const std::string memory = std::to_string(limits.memory_bytes >> 20) + " MiB";
  if (exit.is_memory_exceeded) {
    return {{Outcome::out_of_memory, "used more memory than allowed: " + memory}};
  }
  if (exit.is_gpu_memory_exceeded) {
    return {{Outcome::resource_exceeded, "used more memory of a GPU than allowed: " +
                                             std::to_string(limits.gpu_memory_bytes >> 20) +
                                             " MiB"}};
  }
  if (exit.is_output_exceeded) {
    return {{Outcome::resource_exceeded, "printed more than allowed"}};
  }
  // Before the time: a fork bomb runs until its time is over, and whose clock ends it is chance.
  if (had_too_many_processes(exit, limits)) {
    return {{Outcome::resource_exceeded, "started more processes and threads than allowed: " +
                                             std::to_string(limits.processes)}};
  }
  if (exit.is_wall_time_exceeded) {
    return {{Outcome::timeout,
             "ran longer than allowed: " + std::to_string(limits.run_time.count() / 1000) + " s"}};
  }
  if (exit.signal == SIGXCPU) {
    return {{Outcome::timeout, "used more processor time than allowed"}};
  }
  if (exit.signal == SIGXFSZ) {
    return {{Outcome::resource_exceeded, "wrote a larger file than allowed"}};
  }
  // Of a process that we ended ourselves, the signal says nothing.
  if (!exit.was_stopped && exit.signal && is_near_memory_limit(exit, limits)) {
    return {{Outcome::out_of_memory, "used more memory than allowed: " + memory}};
  }
  if (exit.is_disk_full) {
    return {{Outcome::resource_exceeded,
             "filled its disk: " + std::to_string(limits.disk_bytes >> 20) + " MiB"}};
  }
  return std::nullopt;
}

void prepend(std::string& diagnostics, const std::string& reason) {
  diagnostics = diagnostics.empty() ? reason : reason + "\n" + diagnostics;
}

}  // namespace

Verdict refine_verdict(Verdict verdict, const ProcessExit& exit, const Limits& limits,
                       std::string_view log) {
  if (verdict.outcome != Outcome::crash && verdict.outcome != Outcome::timeout) return verdict;
  if (exit.is_program_unusable) {
    verdict.outcome = Outcome::crash;
    prepend(verdict.diagnostics, "the candidate " + describe_exit(exit));
    return verdict;
  }
  if (!exit.was_started) {
    verdict.outcome = Outcome::infrastructure;
    prepend(verdict.diagnostics, "the sandbox did not start: " + exit.failure);
    return verdict;
  }
  if (const auto seen = observed(exit, limits)) {
    verdict.outcome = seen->first;
    prepend(verdict.diagnostics, "the candidate " + seen->second);
    return verdict;
  }
  if (verdict.outcome == Outcome::timeout) return verdict;
  if (says_allocation_failed(verdict.diagnostics) || says_allocation_failed(log)) {
    verdict.outcome = Outcome::out_of_memory;
  }
  const bool ended_by_itself = exit.signal || exit.exit_code.value_or(0) != 0;
  if (ended_by_itself && !(exit.was_stopped && exit.signal == SIGKILL)) {
    prepend(verdict.diagnostics, "the candidate " + describe_exit(exit));
  }
  return verdict;
}

Verdict check_plausible(Verdict verdict, const std::vector<Objective>& objectives) {
  if (verdict.outcome != Outcome::success) {
    verdict.metrics.clear();
    return verdict;
  }
  const auto refuse = [&](Outcome outcome, std::string reason) {
    verdict.outcome = outcome;
    verdict.metrics.clear();
    verdict.diagnostics = std::move(reason);
    return verdict;
  };
  for (const auto& [name, value] : verdict.metrics) {
    if (!std::isfinite(value)) {
      return refuse(Outcome::not_finite, "a metric is not finite: metric=" + name);
    }
  }
  for (const Objective& objective : objectives) {
    const auto found = verdict.metrics.find(objective.metric);
    if (found == verdict.metrics.end()) {
      return refuse(Outcome::infrastructure,
                    "the judge did not report an objective: metric=" + objective.metric);
    }
    const double value = found->second;
    if ((objective.minimum && value < *objective.minimum) ||
        (objective.maximum && value > *objective.maximum)) {
      return refuse(Outcome::bad_output, "a metric lies outside of its honest range: metric=" +
                                             objective.metric + " value=" + std::to_string(value));
    }
  }
  return verdict;
}

Outcome classify_build_failure(const ProcessExit& exit) {
  if (exit.is_program_unusable) return Outcome::compile_error;
  if (!exit.was_started) return Outcome::infrastructure;
  if (exit.is_wall_time_exceeded || exit.signal == SIGXCPU) return Outcome::timeout;
  if (exit.is_memory_exceeded) return Outcome::out_of_memory;
  if (exit.is_output_exceeded || exit.signal == SIGXFSZ) return Outcome::resource_exceeded;
  return Outcome::compile_error;
}

std::string_view limit_hit(const ProcessExit& exit, const Limits& limits) {
  const auto seen = observed(exit, limits);
  if (!seen) return "";
  if (seen->first == Outcome::timeout) return "time";
  if (seen->first == Outcome::out_of_memory) return "memory";
  if (exit.is_gpu_memory_exceeded) return "gpu_memory";
  if (exit.is_output_exceeded) return "output";
  return exit.is_disk_full || exit.signal == SIGXFSZ ? "disk" : "processes";
}

std::string describe_exit(const ProcessExit& exit) {
  if (!exit.was_started) return "did not start: " + exit.failure;
  if (exit.signal) {
    return "ended by signal " + std::to_string(*exit.signal) + " (" +
           std::string(signal_name(*exit.signal)) + ")";
  }
  return "ended with exit code " + std::to_string(exit.exit_code.value_or(-1));
}

}  // namespace cambrian::worker
