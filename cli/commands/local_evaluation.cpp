#include "cli/commands/local_evaluation.hpp"

#include <fcntl.h>
#include <google/protobuf/util/json_util.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>

#include "cli/commands/campaign_view.hpp"
#include "cli/output/table.hpp"
#include "cli/output/text.hpp"
#include "cli/paths.hpp"
#include "common/task/task_folder.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace cambrian::cli {
namespace {

constexpr std::size_t kOutputBytesMax = std::size_t{4} << 20;

std::string timing_line(const agent::v1::Timings& timings) {
  std::string text;
  const auto add = [&](bool is_there, const char* name, const google::protobuf::Duration& time) {
    if (!is_there) return;
    text +=
        std::string(text.empty() ? "" : ", ") + name + " " + format_duration(to_milliseconds(time));
  };
  add(timings.has_compile(), "compile", timings.compile());
  add(timings.has_start(), "start", timings.start());
  add(timings.has_first_step(), "first step", timings.first_step());
  add(timings.has_train(), "train", timings.train());
  add(timings.has_judge(), "judge", timings.judge());
  add(timings.has_total(), "total", timings.total());
  return text;
}

std::string describe(const agent::v1::EvaluationResult& result) {
  std::string text = "outcome      " + outcome_name(result.outcome()) +
                     (result.is_cached() ? " (cached)" : "") + "\n";
  const std::map<std::string, double> metrics(result.metrics().begin(), result.metrics().end());
  for (const auto& [name, value] : metrics) {
    text += "  " + name + std::string(name.size() < 11 ? 11 - name.size() : 1, ' ') +
            format_number(value) + "\n";
  }
  text += "timings      " + timing_line(result.timings()) + "\n";
  if (result.usage().memory_peak_bytes() > 0) {
    text += "memory       " + format_count(result.usage().memory_peak_bytes()) + " bytes\n";
  }
  if (!result.diagnostics().empty()) {
    text += "diagnostics\n" + printable_lines(result.diagnostics()) + "\n";
  }
  return text;
}

std::vector<std::string> worker_command(const LocalEvaluation& evaluation) {
  std::vector<std::string> command{(program_folder() / "cambrian-worker").string(),
                                   "evaluate",
                                   evaluation.folder,
                                   "--json",
                                   "--seed",
                                   std::to_string(evaluation.seed)};
  if (!evaluation.source.empty()) {
    command.insert(command.end(), {"--source", evaluation.source});
  }
  if (evaluation.is_sealed) command.insert(command.end(), {"--split", "sealed"});
  for (const std::string& parameter : evaluation.parameters) {
    command.insert(command.end(), {"--parameter", parameter});
  }
  return command;
}

}  // namespace

Result<ProgramOutput> run_program(const std::vector<std::string>& command) {
  std::array<int, 2> pipe_ends{};
  if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) {
    return fail(Errc::internal, std::string("cannot make a pipe: ") + std::strerror(errno));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
  std::vector<std::string> copy = command;
  std::vector<char*> arguments;
  for (std::string& word : copy) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t pid = 0;
  const int error =
      posix_spawn(&pid, command[0].c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(pipe_ends[1]);
  ProgramOutput output;
  std::array<char, 65536> buffer{};
  while (error == 0 && output.text.size() < kOutputBytesMax) {
    const ssize_t size = read(pipe_ends[0], buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    output.text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  close(pipe_ends[0]);
  if (error != 0) {
    return fail(Errc::not_found, "cannot start " + command[0] + ": " + std::strerror(error));
  }
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
  const auto output = run_program(worker_command(evaluation));
  if (!output) {
    return session.fail(ExitCode::failure, output.error().message,
                        "build it with: scripts/dev ninja -C build/release cambrian-worker");
  }
  agent::v1::EvaluationResult result;
  google::protobuf::util::JsonParseOptions options;
  // A newer worker may tell more.
  options.ignore_unknown_fields = true;
  if (!google::protobuf::util::JsonStringToMessage(output->text, &result, options).ok() ||
      result.outcome() == agent::v1::EVALUATION_OUTCOME_UNSPECIFIED) {
    return session.fail(ExitCode::failure, "the worker did not evaluate: exit code " +
                                               std::to_string(output->exit_code));
  }
  session.is_for_people() ? session.print(describe(result)) : session.print_document(result);
  return result.outcome() == agent::v1::EVALUATION_OUTCOME_INFRASTRUCTURE
             ? session.fail(ExitCode::failure, "the worker or the judge failed, not the candidate",
                            "see: cambrian doctor")
             : to_int(ExitCode::ok);
}

}  // namespace cambrian::cli
