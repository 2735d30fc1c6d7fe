#include "cli/commands/local_evaluation.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/commands/event_stream.hpp"
#include "cli/output/table.hpp"
#include "cli/output/text.hpp"
#include "cli/paths.hpp"
#include "common/task/task_folder.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace cambrian::cli {
namespace {

constexpr std::size_t kOutputBytesMax = std::size_t{4} << 20;

using Json = nlohmann::ordered_json;

std::string timing_line(const Json& timings) {
  std::string text;
  for (const char* name : {"compile", "start", "first_step", "train", "judge", "total"}) {
    if (!timings.contains(name) || !timings[name].is_number()) continue;
    const auto time = std::chrono::duration<double>(timings[name].get<double>());
    text += std::string(text.empty() ? "" : ", ") + name + " " +
            format_duration(std::chrono::duration_cast<std::chrono::milliseconds>(time));
  }
  return text;
}

/// The worker's result for people. Absent members are left out: a newer worker may differ.
std::string describe(const Json& result) {
  std::vector<Field> fields{{"outcome", result.value("outcome", "")}};
  if (result.contains("metrics") && result["metrics"].is_object()) {
    for (const auto& metric : result["metrics"].items()) {
      if (metric.value().is_number()) {
        fields.push_back({metric.key(), format_number(metric.value().get<double>())});
      }
    }
  }
  if (result.contains("timings")) fields.push_back({"timings", timing_line(result["timings"])});
  std::string text = format_fields(fields);
  const std::string diagnostics = result.value("diagnostics", "");
  if (!diagnostics.empty()) text += "diagnostics\n" + printable_lines(diagnostics) + "\n";
  const std::string log = result.value("log", "");
  if (!log.empty()) text += "output of the candidate\n" + printable_lines(log) + "\n";
  return text;
}

/// A folder stands for all evolvable files below it.
Result<std::vector<std::string>> source_arguments(const LocalEvaluation& evaluation,
                                                  const task::LoadedTask& loaded) {
  std::error_code error;
  if (!std::filesystem::is_directory(evaluation.source, error)) {
    if (std::filesystem::exists(evaluation.source, error)) return std::vector{evaluation.source};
    return fail(Errc::not_found, "no such file: " + evaluation.source);
  }
  std::vector<std::string> arguments;
  for (const std::string& path : loaded.bundle.manifest().candidate().evolve()) {
    const auto file = std::filesystem::path(evaluation.source) / path;
    if (std::filesystem::exists(file, error)) arguments.push_back(path + "=" + file.string());
  }
  if (!arguments.empty()) return arguments;
  return fail(Errc::not_found,
              "the folder has none of the task's evolvable files: " + evaluation.source);
}

std::vector<std::string> worker_command(const LocalEvaluation& evaluation,
                                        const std::vector<std::string>& sources) {
  std::vector<std::string> command{(program_folder() / "cambrian-worker").string(),
                                   "evaluate",
                                   evaluation.folder,
                                   "--json",
                                   "--seed",
                                   std::to_string(evaluation.seed),
                                   "--evaluator",
                                   evaluation.evaluator};
  for (const std::string& source : sources) command.insert(command.end(), {"--source", source});
  if (evaluation.is_sealed) command.insert(command.end(), {"--split", "sealed"});
  for (const std::string& parameter : evaluation.parameters) {
    command.insert(command.end(), {"--set", parameter});
  }
  return command;
}

/// What a program writes until it has ended, at most kOutputBytesMax. Closes the pipe's end.
std::string read_output(int pipe_end, pid_t pid, std::stop_token stop) {
  const std::stop_callback end_it(std::move(stop), [pid] { kill(pid, SIGTERM); });
  std::string text;
  std::array<char, 65536> buffer{};
  while (text.size() < kOutputBytesMax) {
    const ssize_t size = read(pipe_end, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  close(pipe_end);  // Who writes more than that ends by SIGPIPE.
  // Its number stays its own until the caller has waited for it: nobody else gets the signal.
  siginfo_t info{};
  while (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
  return text;
}

}  // namespace

Result<ProgramOutput> run_program(const std::vector<std::string>& command, std::stop_token stop) {
  std::array<int, 2> pipe_ends{};
  if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) {
    return fail(Errc::internal, std::string("cannot make a pipe: ") + std::strerror(errno));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
  // An InterruptScope of ours blocks signals; the program must get them.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  std::vector<std::string> copy = command;
  std::vector<char*> arguments;
  for (std::string& word : copy) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t pid = 0;
  const int error =
      posix_spawn(&pid, command[0].c_str(), &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close(pipe_ends[1]);
  if (error != 0) {
    close(pipe_ends[0]);
    return fail(Errc::not_found, "cannot start " + command[0] + ": " + std::strerror(error));
  }
  ProgramOutput output;
  output.text = read_output(pipe_ends[0], pid, std::move(stop));
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  constexpr int kSignalBase = 128;
  output.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : kSignalBase + WTERMSIG(status);
  return output;
}

int run_local(Session& session, const LocalEvaluation& evaluation) {
  const auto reading = task::read_task_folder(evaluation.folder);
  if (!reading) return session.fail(reading.error());
  if (!reading->task) {
    session.note(reading->document.render({.color = session.terminal().err.has_color}));
    return to_int(ExitCode::invalid_spec);
  }
  std::vector<std::string> sources;
  if (!evaluation.source.empty()) {
    auto found = source_arguments(evaluation, *reading->task);
    if (!found) return session.fail(found.error());
    sources = std::move(*found);
  }
  const InterruptScope interrupt;
  const auto output = run_program(worker_command(evaluation, sources), interrupt.token());
  if (interrupt.is_interrupted()) return to_int(ExitCode::interrupted);
  if (!output) {
    return session.fail(ExitCode::failure, output.error().message,
                        "build it with: scripts/dev ninja -C build/release cambrian-worker");
  }
  const Json result = Json::parse(output->text, nullptr, false);
  if (!result.is_object() || !result.contains("outcome")) {
    return session.fail(ExitCode::failure, "the worker did not evaluate: exit code " +
                                               std::to_string(output->exit_code));
  }
  if (session.is_document()) {
    session.print_object(result);
  } else if (session.format() == Format::name) {
    session.print(result.value("outcome", "") + "\n");
  } else {
    session.print(describe(result));
  }
  return result["outcome"] == "infrastructure"
             ? session.fail(ExitCode::failure, "the worker or the judge failed, not the candidate",
                            "see: " + program_call() + " doctor")
             : to_int(ExitCode::ok);
}

}  // namespace cambrian::cli
