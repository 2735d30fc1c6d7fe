// Control groups: of the kernel where this machine has the controllers, and in a made-up tree for
// what is written where.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <csignal>
#include <fstream>
#include <functional>
#include <sstream>

#include "worker/adapters/sandbox/control_groups.hpp"
#include "worker/adapters/sandbox/probe.hpp"

namespace {

namespace fs = std::filesystem;
using namespace cambrian::worker;
using Catch::Matchers::ContainsSubstring;

std::string read(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// A tree that looks like the kernel's, with files where the kernel would have files: version 2
/// with these controllers.
class MadeUp {
 public:
  explicit MadeUp(const std::string& controllers) {
    fs::remove_all(root_);
    fs::create_directories(root_);
    write("mountinfo", "30 20 0:26 / " + path("fs").string() +
                           " rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
    write("own", "0::/service\n");
    write("fs/service/cgroup.controllers", controllers + "\n");
  }
  ~MadeUp() { fs::remove_all(root_); }
  MadeUp(const MadeUp&) = delete;
  MadeUp& operator=(const MadeUp&) = delete;

  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  fs::path path(const std::string& inner) const { return root_ / inner; }
  std::string text(const std::string& inner) const { return read(root_ / inner); }
  GroupSources sources() const { return {root_ / "mountinfo", root_ / "own"}; }

 private:
  fs::path root_ = fs::temp_directory_path() / ("cambrian-groups-" + std::to_string(getpid()));
};

/// The groups of this machine; null where it has none that the test could use.
std::unique_ptr<ControlGroups> groups_of_machine() {
  auto groups = ControlGroups::open();
  if (!groups) {
    SKIP(
        "no control groups with the controllers memory and pids can be made on this machine, so "
        "the kernel's limits were not tried: " +
        groups.error().message);
  }
  return std::move(*groups);
}

/// The exit status of a child that enters the group and then does something.
int run_in(const ControlGroup& group, const std::function<int()>& program) {
  const pid_t child = fork();
  if (child == 0) {
    for (const Descriptor& door : group.doors()) {
      if (write(door.get(), "0", 1) != 1) _exit(100);
    }
    _exit(program());
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return status;
}

std::vector<fs::path> folders_of_workers() {
  std::vector<fs::path> found;
  const auto places = find_group_places({});
  if (!places) return found;
  for (const fs::path& folder : places->folders()) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("cambrian-sandboxes-" + std::to_string(getpid()) + "-")) {
        found.push_back(entry.path());
      }
    }
  }
  return found;
}

}  // namespace

TEST_CASE("control groups: version 2 is written in the kernel's words", "[integration][worker]") {
  const MadeUp tree("cpuset cpu io memory pids");
  auto groups = ControlGroups::open(tree.sources());
  REQUIRE(groups);
  CHECK((*groups)->text() == "control group v2: memory, processes, processor");
  CHECK((*groups)->door_count() == 1);
  CHECK(tree.text("fs/service/cgroup.subtree_control") == "+memory +pids +cpu");
  const std::string own = "fs/service/cambrian-sandboxes-" + std::to_string(getpid()) + "-0/";
  CHECK(tree.text(own + "cgroup.subtree_control") == "+memory +pids +cpu");

  auto group = (*groups)->make({.memory_bytes = 1 << 30, .processes = 7, .cores = 2});
  REQUIRE(group);
  CHECK(tree.text(own + "0/memory.max") == "1073741824");
  CHECK(tree.text(own + "0/memory.swap.max") == "0");
  CHECK(tree.text(own + "0/memory.oom.group") == "1");
  CHECK(tree.text(own + "0/pids.max") == "7");
  CHECK(tree.text(own + "0/cpu.max") == "200000 100000");
  CHECK(tree.text(own + "0/cpu.weight") == "200");
  REQUIRE((*group)->doors().size() == 1);

  CHECK_FALSE((*group)->events().is_memory_exceeded);
  tree.write(own + "0/memory.events", "low 0\nhigh 0\nmax 9\noom 1\noom_kill 0\n");
  tree.write(own + "0/pids.events", "max 0\n");
  CHECK_FALSE((*group)->events().is_memory_exceeded);
  CHECK_FALSE((*group)->events().are_processes_exceeded);
  tree.write(own + "0/memory.events", "low 0\nhigh 0\nmax 9\noom 1\noom_kill 2\n");
  tree.write(own + "0/pids.events", "max 3\n");
  CHECK((*group)->events().is_memory_exceeded);
  CHECK((*group)->events().are_processes_exceeded);

  // No limit on the processor where none is asked for.
  const auto free = (*groups)->make({.memory_bytes = 1 << 20, .processes = 1, .cores = 0});
  REQUIRE(free);
  CHECK_FALSE(fs::exists(tree.path(own + "1/cpu.max")));
}

TEST_CASE("control groups: a worker in a group of its own uses the one around it",
          "[integration][worker]") {
  const MadeUp tree("memory pids");
  tree.write("own", "0::/service/cambrian-worker\n");
  fs::create_directories(tree.path("fs/service/cambrian-worker"));
  const auto places = find_group_places(tree.sources());
  REQUIRE(places);
  CHECK(places->is_unified);
  CHECK(places->memory == tree.path("fs/service"));
  CHECK(places->cpu.empty());
}

TEST_CASE("control groups: version 1 takes over where version 2 has no controllers",
          "[integration][worker]") {
  const MadeUp tree("hugetlb");
  const auto mount = [&tree](const std::string& name, const std::string& root) {
    return "31 20 0:27 " + root + " " + tree.path(name).string() + " rw - cgroup cgroup rw," +
           name + "\n";
  };
  tree.write("mountinfo", tree.text("mountinfo") + mount("memory", "/") + mount("pids", "/box") +
                              mount("cpu,cpuacct", "/"));
  tree.write("own", "0::/service\n9:memory:/box/one\n8:pids:/box/one\n1:cpu,cpuacct:/\n");
  for (const char* folder : {"memory/box/one", "pids/one", "cpu,cpuacct"}) {
    fs::create_directories(tree.path(folder));
  }
  auto groups = ControlGroups::open(tree.sources());
  REQUIRE(groups);
  CHECK((*groups)->door_count() == 3);
  const auto group = (*groups)->make({.memory_bytes = 1 << 30, .processes = 7, .cores = 2});
  REQUIRE(group);
  const std::string inner = "/cambrian-sandboxes-" + std::to_string(getpid()) + "-0/0/";
  CHECK(tree.text("memory/box/one" + inner + "memory.limit_in_bytes") == "1073741824");
  CHECK(tree.text("memory/box/one" + inner + "memory.memsw.limit_in_bytes") == "1073741824");
  CHECK(tree.text("pids/one" + inner + "pids.max") == "7");
  CHECK(tree.text("cpu,cpuacct" + inner + "cpu.cfs_quota_us") == "200000");
  CHECK(tree.text("cpu,cpuacct" + inner + "cpu.shares") == "2048");
  tree.write("memory/box/one" + inner + "memory.oom_control",
             "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
  CHECK((*group)->events().is_memory_exceeded);
}

TEST_CASE("control groups: without controllers, the reason is told", "[integration][worker]") {
  const MadeUp tree("hugetlb");
  const auto groups = ControlGroups::open(tree.sources());
  REQUIRE_FALSE(groups);
  CHECK(groups.error().code == cambrian::Errc::not_found);
  CHECK_THAT(groups.error().message, ContainsSubstring("memory and pids"));
}

TEST_CASE("control groups: the kernel ends who needs too much memory", "[integration][worker]") {
  const auto groups = groups_of_machine();
  auto group = groups->make({.memory_bytes = 32 << 20, .processes = 8, .cores = 1});
  REQUIRE(group);
  const auto use = [](std::size_t bytes) {
    return [bytes] {
      std::string memory(bytes, 'x');
      return memory[bytes / 2] == 'x' ? 0 : 1;
    };
  };
  CHECK(run_in(**group, use(8 << 20)) == 0);
  CHECK_FALSE((*group)->events().is_memory_exceeded);
  const int status = run_in(**group, use(64 << 20));
  CHECK(WIFSIGNALED(status));
  CHECK((*group)->events().is_memory_exceeded);
}

TEST_CASE("control groups: the kernel refuses a process too many, and says so",
          "[integration][worker]") {
  const auto groups = groups_of_machine();
  auto group = groups->make({.memory_bytes = 32 << 20, .processes = 2, .cores = 0});
  REQUIRE(group);
  const auto start = [](int count) {
    return [count] {
      int refused = 0;
      for (int i = 0; i < count; ++i) {
        const pid_t child = fork();
        if (child == 0) pause();
        if (child < 0) ++refused;
      }
      return refused;
    };
  };
  CHECK(WEXITSTATUS(run_in(**group, start(1))) == 0);
  CHECK_FALSE((*group)->events().are_processes_exceeded);
  // The first one is still there, and whoever starts counts, too.
  CHECK(WEXITSTATUS(run_in(**group, start(2))) == 2);
  CHECK((*group)->events().are_processes_exceeded);
}

TEST_CASE("control groups: nobody outlives the group, and no group the worker",
          "[integration][worker]") {
  auto groups = groups_of_machine();
  auto group = groups->make({.memory_bytes = 32 << 20, .processes = 8, .cores = 0});
  REQUIRE(group);
  int pipe_ends[2];
  REQUIRE(pipe(pipe_ends) == 0);
  CHECK(run_in(**group, [&] {
          if (fork() == 0) pause();
          return 0;
        }) == 0);
  close(pipe_ends[1]);
  char byte = 0;
  group->reset();
  // The child had the other end.
  CHECK(read(pipe_ends[0], &byte, 1) == 0);
  close(pipe_ends[0]);
  CHECK_FALSE(folders_of_workers().empty());
  groups.reset();
  CHECK(folders_of_workers().empty());
}

TEST_CASE("control groups: what a killed worker left is removed by the next one",
          "[integration][worker]") {
  groups_of_machine();
  const pid_t worker = fork();
  if (worker == 0) {
    auto groups = ControlGroups::open();
    auto group = groups ? (*groups)->make({.memory_bytes = 32 << 20, .processes = 8, .cores = 0})
                        : cambrian::fail(groups.error());
    if (!group) _exit(1);
    raise(SIGKILL);
  }
  int status = 0;
  REQUIRE(waitpid(worker, &status, 0) == worker);
  REQUIRE(WIFSIGNALED(status));
  const auto places = find_group_places({});
  REQUIRE(places);
  const std::string name = "cambrian-sandboxes-" + std::to_string(worker) + "-0";
  CHECK(fs::exists(places->memory / name / "0"));
  const auto living = ControlGroups::open();
  REQUIRE(living);
  for (const fs::path& folder : places->folders()) CHECK_FALSE(fs::exists(folder / name));
  // Of one that lives, nothing is.
  const auto other = ControlGroups::open();
  REQUIRE(other);
  CHECK((*living)->make({.memory_bytes = 32 << 20, .processes = 8, .cores = 0}));
}

TEST_CASE("control groups: a sandbox runs in one, and its limits are told apart",
          "[integration][worker]") {
  const SandboxProbe probe = probe_sandbox(CAMBRIAN_BINARY_DIR "/bin");
  if (probe.level != SandboxLevel::strict) {
    std::string why;
    for (const std::string& missing : probe.missing) why += missing + "; ";
    SKIP("no control groups on this machine, so sandboxes were not tried in one: " + why);
  }
  const auto run = [&probe](const std::string& script, int processes) {
    SandboxCommand command;
    command.arguments = {"/usr/bin/python3", "-c", script};
    command.wall_time = std::chrono::seconds(30);
    command.memory_bytes = 64 << 20;
    command.processes = processes;
    auto ended = run_to_end(*probe.sandbox, command, {});
    REQUIRE(ended);
    REQUIRE(ended->first.was_started);
    REQUIRE(ended->first.group);
    INFO(ended->second);
    return ended->first;
  };
  // Buffers of sockets are nobody's pages: only the kernel counts them.
  const std::string fill =
      "import socket\nkept = []\n"
      "for _ in range(120):\n"
      "    kept += socket.socketpair()\n"
      "    for one in kept[-2:]:\n"
      "        one.setblocking(False)\n"
      "        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)\n"
      "        try:\n            while True: one.send(b'x' * 65536)\n"
      "        except BlockingIOError: pass\n";
  const ProcessExit calm = run("print('on')", 8);
  CHECK(calm.exit_code == 0);
  CHECK_FALSE(calm.is_memory_exceeded);
  CHECK_FALSE(calm.group->are_processes_exceeded);
  const std::string touch =
      "import mmap\nm = mmap.mmap(-1, 96 << 20)\n"
      "for i in range(0, 96 << 20, 4096): m[i] = 1\n";
  const ProcessExit greedy = run(touch, 8);
  CHECK(greedy.group->is_memory_exceeded);
  CHECK(greedy.is_memory_exceeded);
  CHECK(greedy.memory_peak_bytes >= 64 << 20);
  // One that is not the first process: the others do not go on for long.
  const ProcessExit child = run("import os, time\nif os.fork() == 0:\n    " +
                                    std::string("import mmap\n    m = mmap.mmap(-1, 96 << 20)\n    "
                                                "for i in range(0, 96 << 20, 4096): m[i] = 1\n"
                                                "time.sleep(60)\n"),
                                8);
  CHECK(child.is_memory_exceeded);
  CHECK_FALSE(child.is_wall_time_exceeded);
  const ProcessExit hidden = run(fill, 8);
  CHECK(hidden.group->is_memory_exceeded);

  const std::string start =
      "import os, time\nfor _ in range(COUNT):\n    if os.fork() == 0: "
      "time.sleep(60)\n";
  const auto count = [&start](const std::string& number) {
    std::string script = start;
    return script.replace(script.find("COUNT"), 5, number);
  };
  // As many as allowed is not too many.
  const ProcessExit full = run(count("3"), 4);
  CHECK(full.exit_code == 0);
  CHECK_FALSE(full.group->are_processes_exceeded);
  CHECK(run(count("4"), 4).group->are_processes_exceeded);
}
