// Evaluates one source of a task without a worker and without a sandbox, for measurements:
//   task-evaluate TASK_DIR [--source FILE] [--split sealed] [--seed N] [--repeat N] [NAME=VALUE]...
#include <cstdio>
#include <exception>
#include <string>

#include "tests/tasks/harness.hpp"

int main(int argc, char** argv) {
  using namespace cambrian::tasks;
  try {
    if (argc < 2) throw std::runtime_error("usage: task-evaluate TASK_DIR [OPTION]...");
    const Task task = load_task(std::filesystem::absolute(argv[1]));
    Request request;
    std::filesystem::path source;
    int repeats = 1;
    for (int i = 2; i < argc; ++i) {
      const std::string word = argv[i];
      const auto next = [&] { return ++i < argc ? std::string(argv[i]) : std::string(); };
      if (word == "--source")
        source = next();
      else if (word == "--split")
        request.split = next();
      else if (word == "--seed")
        request.seed = std::stoull(next());
      else if (word == "--repeat")
        repeats = std::stoi(next());
      else if (const auto at = word.find('='); at != std::string::npos)
        request.parameters[word.substr(0, at)] = std::stod(word.substr(at + 1));
      else
        throw std::runtime_error("unknown option: " + word);
    }
    const WorkFolder work;
    const Command judge = build_judge(task, work.path());
    const Command candidate = build_candidate(task, source, work.path());
    for (int i = 0; i < repeats; ++i, ++request.seed) {
      const Report report = evaluate(task, judge, candidate, request);
      std::printf("%s seconds=%.2f", report.outcome.c_str(), report.duration.count());
      for (const auto& [name, value] : report.metrics) std::printf(" %s=%.6g", name.c_str(), value);
      std::printf(" digest=%.8s %s\n", report.behaviour_digest.c_str(), report.diagnostics.c_str());
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
