#include "tests/tasks/harness.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "cambrian/frame.hpp"
#include "worker/evaluation/compile_command.hpp"

namespace cambrian::tasks {
namespace {

namespace fs = std::filesystem;

constexpr int kChildDescriptor = 3;

const fs::path kSdk = fs::path(CAMBRIAN_BINARY_DIR) / "share/cambrian/sdk";

// A child process that does not outlive this object.
class Child {
 public:
  Child() = default;
  Child(const Command& command, const std::vector<std::string>& environment, int descriptor,
        const fs::path& log) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, command.folder.c_str());
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (descriptor >= 0) posix_spawn_file_actions_adddup2(&actions, descriptor, kChildDescriptor);
    const int result = ::posix_spawnp(&pid_, command.words.front().c_str(), &actions, nullptr,
                                      pointers(command.words).data(), pointers(environment).data());
    posix_spawn_file_actions_destroy(&actions);
    if (result != 0) {
      throw std::runtime_error("cannot start " + command.words.front() + ": " + strerror(result));
    }
  }
  ~Child() { end(); }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&& other) noexcept {
    std::swap(pid_, other.pid_);
    return *this;
  }

  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  static std::vector<char*> pointers(const std::vector<std::string>& words) {
    std::vector<char*> out;
    for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
    out.push_back(nullptr);
    return out;
  }

  pid_t pid_ = -1;
};

std::string read_file(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// What is killed leaves its temporary files: in the work folder, which is removed.
std::vector<std::string> base_environment(const fs::path& work) {
  std::vector<std::string> environment = {"PATH=/usr/bin:/bin", "HOME=/nonexistent",
                                          "TMPDIR=" + work.string(),
                                          "PYTHONPATH=" + (kSdk / "python").string()};
  // Threads and kernels as in a worker's sandboxes, where the SDK lies elsewhere.
  for (const auto& [name, value] : worker::run_environment(1)) {
    if (name != "PYTHONPATH") environment.push_back(name + "=" + value);
  }
  return environment;
}

void compile(std::vector<std::string> words, const fs::path& work) {
  const fs::path log = work / "compile.log";
  Child compiler({std::move(words), work}, base_environment(work), -1, log);
  if (compiler.wait() != 0) throw std::runtime_error("does not compile: " + read_file(log));
}

std::vector<std::string> words_of(const YAML::Node& node) {
  return node ? node.as<std::vector<std::string>>() : std::vector<std::string>();
}

// The options under which the precompiled header was made; see CMakeLists.txt.
std::vector<std::string> torch_options() {
  return {"-O1",
          "-w",
          "-pthread",
          "-isystem",
          "/usr/include/torch/csrc/api/include",
          "-include-pch",
          CAMBRIAN_BINARY_DIR "/tests/torch_candidate.pch"};
}

// Everything between `begin` and the judge's result.
class Conversation {
 public:
  Conversation(const Task& task, const Command& judge, const Command& candidate,
               const Request& request)
      : task_(task), judge_(judge), candidate_(candidate), request_(request) {}

  Report run() {
    const auto start = Clock::now();
    deadline_ = start + request_.run_time + std::chrono::seconds(30);
    auto [ours, theirs] = make_socket_pair();
    Child judge(judge_, judge_environment(), theirs.get(), work_.path() / "judge.log");
    theirs = Descriptor();
    worker_ = Channel(std::move(ours));
    worker_.send(begin(), deadline_);
    try {
      while (step()) {
      }
      if (report_.outcome == "interrupted") {
        judge.end();
      } else if (judge.wait() != 0) {
        report_.outcome = "infrastructure";
      }
    } catch (const FrameError& error) {
      report_.diagnostics = error.what();
      judge.end();
    }
    report_.duration = Clock::now() - start;
    if (report_.outcome != "success") {
      report_.diagnostics += read_file(work_.path() / "judge.log");
      report_.diagnostics += read_file(work_.path() / "candidate.log");
    }
    return std::move(report_);
  }

 private:
  std::vector<std::string> judge_environment() {
    const fs::path data = work_.path() / "data";
    fs::create_directory(data);
    for (const auto& [name, path] : task_.data) fs::create_symlink(path, data / name);
    auto environment = base_environment(work_.path());
    environment.push_back("CAMBRIAN_FD=" + std::to_string(kChildDescriptor));
    environment.push_back("CAMBRIAN_TASK_DIR=" + task_.folder.string());
    environment.push_back("CAMBRIAN_DATA_DIR=" + data.string());
    return environment;
  }

  Message begin() const {
    JsonObject parameters;
    for (const auto& [name, value] : task_.parameters) parameters[name] = value;
    for (const auto& [name, value] : request_.parameters) parameters[name] = value;
    Message begin("begin");
    begin.members["seed"] = std::to_string(request_.seed);
    begin.members["split"] = request_.split;
    begin.members["parameters"] = std::move(parameters);
    begin.members["threads"] = 1;
    begin.members["device"] = "cpu";
    begin.members["run_seconds"] = static_cast<double>(request_.run_time.count());
    begin.members["rungs"] = JsonArray(request_.rungs.begin(), request_.rungs.end());
    if (!request_.checkpoint.empty()) {
      Message saved = from_bytes(request_.checkpoint);
      begin.members["checkpoint"] = std::move(saved.members);
      begin.tensors = std::move(saved.tensors);
    }
    return begin;
  }

  // Handles one message of the judge; false after the last one.
  bool step() {
    const Message message = worker_.receive(deadline_, {.descriptors = true});
    if (message.type == "find_kept") {
      worker_.send(Message("kept"), deadline_);
    } else if (message.type == "keep") {
      // Here every judge makes its own.
    } else if (message.type == "start_candidate") {
      start_candidate();
    } else if (message.type == "end_candidate") {
      running_.end();
    } else if (message.type == "event") {
      note_event(message);
      const auto step = message.members.find("step");
      const bool has_step = step != message.members.end() && step->second.integer();
      if (request_.interrupt_at_step > 0 && has_step && !has_asked_ &&
          *step->second.integer() >= request_.interrupt_at_step) {
        has_asked_ = true;
        worker_.send(Message("save"), deadline_);
      }
    } else if (message.type == "checkpoint" && has_asked_) {
      report_.outcome = "interrupted";
      if (!message.tensors.empty()) report_.checkpoint = to_bytes(message);
      return false;
    } else if (message.type == "result") {
      read_result(message);
      return false;
    } else {
      throw FrameError(FrameError::Kind::malformed, "unknown message of judge: " + message.type);
    }
    return true;
  }

  void note_event(const Message& event) {
    report_.events.push_back(event.text("name"));
    if (report_.events.back() != "rung") return;
    report_.rungs[static_cast<int>(event.integer("rung"))] = event.number("value");
  }

  void start_candidate() {
    auto [for_judge, for_candidate] = make_socket_pair();
    auto environment = base_environment(work_.path());
    environment.push_back("CAMBRIAN_FD=" + std::to_string(kChildDescriptor));
    running_ = Child(candidate_, environment, for_candidate.get(), work_.path() / "candidate.log");
    Message started("started");
    started.descriptors.push_back(std::move(for_judge));
    worker_.send(started, deadline_);
  }

  void read_result(const Message& result) {
    report_.outcome = result.text("outcome");
    report_.diagnostics = result.text("diagnostics");
    report_.behaviour_digest = result.text("behaviour_digest");
    for (const auto& [name, value] : *result.members.at("metrics").object()) {
      report_.metrics[name] = value.number().value();
    }
  }

  const Task& task_;
  const Command& judge_;
  const Command& candidate_;
  const Request& request_;
  WorkFolder work_;
  Deadline deadline_{};
  Channel worker_;
  Child running_;
  bool has_asked_ = false;
  Report report_;
};

}  // namespace

Task load_task(const std::filesystem::path& folder) {
  const YAML::Node yaml = YAML::LoadFile(folder / "task.yaml");
  Task task;
  task.folder = folder;
  task.runtime = yaml["candidate"]["runtime"].as<std::string>();
  task.evolve = words_of(yaml["candidate"]["evolve"]);
  task.candidate_run = words_of(yaml["candidate"]["run"]);
  task.judge_sources = words_of(yaml["judge"]["sources"]);
  task.judge_run = words_of(yaml["judge"]["run"]);
  if (yaml["judge"]["ready"]) task.judge_ready = yaml["judge"]["ready"].as<std::string>();
  for (const YAML::Node& data : yaml["data"]) {
    auto path = data["path"].as<std::string>();
    // The worker's configuration names the folder; here it is where the package puts it.
    if (const auto end = path.find('}'); path.starts_with("${") && end != std::string::npos) {
      throw std::runtime_error("no value for " + path.substr(0, end + 1));
    }
    task.data[data["name"].as<std::string>()] = path;
  }
  if (yaml["parameters"]) task.parameters = yaml["parameters"].as<std::map<std::string, double>>();
  return task;
}

Command build_candidate(const Task& task, const std::filesystem::path& source,
                        const std::filesystem::path& work) {
  const fs::path folder = work / "candidate";
  fs::copy(task.folder / "seed", folder, fs::copy_options::recursive);
  if (!source.empty()) {
    fs::copy_file(source, folder / task.evolve.front(), fs::copy_options::overwrite_existing);
  }
  if (task.runtime == "process") return {task.candidate_run, folder};
  std::vector<std::string> words = {"clang++-19",
                                    "-std=c++20",
                                    "-O2",
                                    "-fuse-ld=mold",
                                    "-I" + (kSdk / "include").string(),
                                    "-o",
                                    (work / "program").string()};
  const bool is_torch = task.runtime == "libtorch";
  if (is_torch) {
    for (const std::string& word : torch_options()) words.push_back(word);
  }
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".cpp") words.push_back(entry.path());
  }
  words.push_back(kSdk /
                  (is_torch ? "lib/libcambrian_torch_candidate.a" : "lib/libcambrian_candidate.a"));
  if (is_torch) words.insert(words.end(), {"-ltorch", "-ltorch_cpu", "-lc10"});
  compile(std::move(words), work);
  return {{(work / "program").string()}, work};
}

Command build_judge(const Task& task, const std::filesystem::path& work) {
  if (!task.judge_run.empty()) return {task.judge_run, task.folder};
  std::vector<std::string> words = {"clang++-19",
                                    "-std=c++20",
                                    "-O2",
                                    "-fuse-ld=mold",
                                    "-I" + (kSdk / "include").string(),
                                    "-o",
                                    (work / "judge").string()};
  for (const std::string& source : task.judge_sources) words.push_back(task.folder / source);
  if (!task.judge_ready.empty()) words.push_back(kSdk / "judges" / (task.judge_ready + ".cpp"));
  words.push_back(kSdk / "lib/libcambrian_judge.a");
  compile(std::move(words), work);
  return {{(work / "judge").string()}, work};
}

Report evaluate(const Task& task, const Command& judge, const Command& candidate,
                const Request& request) {
  return Conversation(task, judge, candidate, request).run();
}

WorkFolder::WorkFolder() {
  std::string pattern = fs::temp_directory_path() / "cambrian-task-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed: " + pattern);
  path_ = pattern;
}

WorkFolder::~WorkFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace cambrian::tasks
