#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace cambrian::tasks {

/// A task folder as the tests need it, read from its task.yaml.
struct Task {
  std::filesystem::path folder;
  std::string runtime;
  std::vector<std::string> evolve;
  std::vector<std::string> candidate_run;
  std::vector<std::string> judge_sources;
  std::vector<std::string> judge_run;
  std::string judge_ready;
  /// Data source name to path on this machine.
  std::map<std::string, std::string> data;
  std::map<std::string, double> parameters;
};

Task load_task(const std::filesystem::path& folder);

/// How to start one side of an evaluation, and in which folder.
struct Command {
  std::vector<std::string> words;
  std::filesystem::path folder;
};

/// Compiles as a worker does, by Clang with the SDK's headers and archives, into `work`. `source`
/// replaces the evolvable file; empty takes the seed. Throws std::runtime_error with the compiler's
/// words.
Command build_candidate(const Task& task, const std::filesystem::path& source,
                        const std::filesystem::path& work);
Command build_judge(const Task& task, const std::filesystem::path& work);

struct Request {
  std::uint64_t seed = 1;
  std::string split = "validation";
  /// Replace the task's own.
  std::map<std::string, double> parameters = {};
  std::chrono::seconds run_time{120};
  /// Shares of the training at which the judge asks.
  std::vector<double> rungs = {};
  /// Asks for the training to be saved at the first progress from this step on, and ends everything
  /// then. 0: never.
  std::int64_t interrupt_at_step = 0;
  /// What an interrupted evaluation left, to go on from. Empty: from the start.
  std::string checkpoint = {};
};

struct Report {
  /// The judge's outcome, or `infrastructure` where it ended without a result.
  std::string outcome = "infrastructure";
  std::map<std::string, double> metrics;
  std::string diagnostics;
  std::string behaviour_digest;
  std::vector<std::string> events;
  /// What the judge made of the answers, by rung.
  std::map<int, double> rungs;
  std::chrono::duration<double> duration{0};
  /// The judge's frame, where the evaluation was interrupted and could be saved; the outcome is
  /// `interrupted` then.
  std::string checkpoint;
};

/// Plays the worker's part of the protocol: starts judge and candidate as plain processes, without
/// a sandbox, and waits for the result.
Report evaluate(const Task& task, const Command& judge, const Command& candidate,
                const Request& request);

/// A folder below the system's temporary folder that removes itself.
class WorkFolder {
 public:
  WorkFolder();
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace cambrian::tasks
