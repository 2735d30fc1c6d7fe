// The warm evaluator against the plain compiler: same source, task and seed, same everything.
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "common/task/task_folder.hpp"
#include "support.hpp"
#include "worker/adapters/grpc/convert.hpp"

namespace {

using namespace cambrian::worker;
using namespace cambrian::worker::test;
using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

constexpr const char* kSource = CAMBRIAN_SOURCE_DIR;

/// A worker with warm evaluators beside the plain one; both share the cache.
Workshop& warm_workshop() {
  workshop();
  static const auto opened = [] {
    Places places;
    places.programs = CAMBRIAN_BINARY_DIR "/bin";
    places.sdk = CAMBRIAN_BINARY_DIR "/share/cambrian/sdk";
    places.cache = test_folder() / "cache";
    places.evaluator = EvaluatorPath::warm;
    return Workshop::open(places);
  }();
  if (!opened) FAIL(opened.error().message);
  return **opened;
}

bool has_warm_evaluator() { return fs::exists(CAMBRIAN_BINARY_DIR "/bin/cambrian-evaluator"); }

std::shared_ptr<const Task> shipped_task(const std::string& name) {
  auto loaded = cambrian::task::load_task_folder(std::string(kSource) + "/tasks/" + name);
  if (!loaded) FAIL(loaded.error().message);
  auto task = from_proto(loaded->bundle, loaded->digest, std::move(loaded->contents));
  if (!task) FAIL(task.error().message);
  return *task;
}

std::string read(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

EvaluationRequest request_of(const std::shared_ptr<const Task>& task, const std::string& source,
                             const std::map<std::string, double>& settings = {}) {
  EvaluationRequest request;
  request.task = task;
  request.sources = {{task->manifest.candidate.evolve.at(0), source}};
  request.parameters = task->manifest.parameters;
  for (const auto& [name, value] : settings) request.parameters[name] = value;
  return request;
}

EvaluationResult run_on(Workshop& on, const EvaluationRequest& request) {
  auto result = on.evaluator().evaluate(request, {}, [](auto, auto) {});
  if (!result) FAIL(result.error().message);
  return *result;
}

void wait_for(WarmKind kind) {
  REQUIRE(warm_workshop().warm_templates()->wait_ready(kind, std::chrono::minutes(15), {}));
}

std::map<std::string, double> without_times(std::map<std::string, double> metrics) {
  std::erase_if(metrics, [](const auto& metric) { return metric.first.ends_with("_seconds"); });
  return metrics;
}

// Whether a process that failed has ended before it is killed depends on the machine.
std::string without_exit(const std::string& diagnostics) {
  const bool has_exit = diagnostics.starts_with("the candidate ended with exit code");
  return has_exit ? diagnostics.substr(diagnostics.find('\n') + 1) : diagnostics;
}

// Both ways, and everything that must be equal.
EvaluationResult compare(const EvaluationRequest& request) {
  const EvaluationResult warm = run_on(warm_workshop(), request);
  const EvaluationResult plain = run_on(workshop(), request);
  INFO("warm: " << warm.diagnostics << warm.log << "\nplain: " << plain.diagnostics << plain.log);
  CHECK(warm.path == EvaluatorPath::warm);
  CHECK(plain.path == EvaluatorPath::compile);
  CHECK(to_string(warm.outcome) == to_string(plain.outcome));
  CHECK(without_times(warm.metrics) == without_times(plain.metrics));
  CHECK(warm.behaviour_digest == plain.behaviour_digest);
  CHECK(without_exit(warm.diagnostics) == without_exit(plain.diagnostics));
  CHECK(warm.result_key == plain.result_key);
  return warm;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  if (at == std::string::npos) FAIL("not in the seed: " << from);
  return text.replace(at, from.size(), to);
}

// What a program can learn about the walls around it, one line each.
constexpr const char* kLooking = R"cpp(
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <linux/capability.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include "priority.hpp"
  static void look() {
    for (int i = 0; i < 1024; ++i)
      if (fcntl(i, F_GETFD) >= 0) std::printf("descriptor %d\n", i);
    for (int limit : {RLIMIT_DATA, RLIMIT_AS, RLIMIT_FSIZE, RLIMIT_STACK, RLIMIT_NOFILE,
                      RLIMIT_NPROC, RLIMIT_CPU, RLIMIT_CORE, RLIMIT_MSGQUEUE}) {
      rlimit value{};
      getrlimit(static_cast<__rlimit_resource>(limit), &value);
      std::printf("limit %d %llu %llu\n", limit, (unsigned long long)value.rlim_cur,
                  (unsigned long long)value.rlim_max);
    }
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    syscall(SYS_capget, &header, data);
    std::printf("capabilities %u %u %u\n", data[0].effective, data[0].permitted, data[1].permitted);
    std::printf("root %d privileges %d seccomp %d dumpable %d process %d parent %d\n",
                getuid() == 0, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_SECCOMP),
                prctl(PR_GET_DUMPABLE), getpid(), getppid());
    std::printf("mount %d unshare %d\n", mount("none", "/tmp", "tmpfs", 0, nullptr) == 0,
                unshare(CLONE_NEWUSER) == 0);
    char name[64] = "";
    gethostname(name, sizeof name);
    std::printf("host %s groups %d\n", name, getgroups(0, nullptr));
    for (const char* path : {"/etc/passwd", "/root", "/home", "/proc/1/environ", "/proc/1/maps",
                             "/proc/self/mountinfo", "/proc/self/environ", "/proc/2/status",
                             "/usr/share/datasets", "/sys", "/sdk/include", "/dev/null", "/work"}) {
      std::printf("open %s %d\n", path, open(path, O_RDONLY) >= 0);
    }
    for (const char* path :
         {"/file", "/usr/file", "/sdk/file", "/tmp/file", "/dev/shm/file", "/etc/file"}) {
      std::printf("create %s %d\n", path, open(path, O_CREAT | O_WRONLY, 0600) >= 0);
    }
    std::string ids[2];
    for (std::string& id : ids) std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), id);
    std::printf("boot id %zu %d\n", ids[0].size(), ids[0] == ids[1]);
    struct statvfs disk{};
    statvfs("/tmp", &disk);
    std::printf("disk %llu\n", (unsigned long long)(disk.f_blocks * disk.f_frsize));
    for (const char* key : {"CAMBRIAN_FD", "OMP_NUM_THREADS", "HOME", "PATH", "USER", "TMPDIR",
                            "PYTHONPATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES"}) {
      const char* value = std::getenv(key);
      std::printf("%s=%s\n", key, value == nullptr ? "(none)" : value);
    }
    std::fflush(stdout);
  }
  std::vector<double> priority(double, const std::vector<double>& bins) {
    static const int once = (look(), 0);
    return std::vector<double>(bins.size(), once);
  }
)cpp";

// What a judge in Python can learn about itself and the walls around it. It gives no verdict, so
// that the end of its output is in the diagnostics.
constexpr const char* kLookingJudge = R"py(
import os, socket, sys, threading
import cambrian_sdk

def outcome(act, *arguments):
    try:
        act(*arguments)
        return "yes"
    except OSError as error:
        return type(error).__name__

print(sys.argv, __name__, __file__, os.getcwd(), len(threading.enumerate()))
print(sorted(os.listdir("/task")), [outcome(os.fstat, fd) for fd in range(9)])
for name in sorted(os.environ):
    print(name, os.environ[name])
for folder in ("/usr/share/datasets", "/usr/share/cambrian", "/usr/local/share/cambrian"):
    print(folder, os.path.isdir(folder) and sorted(os.listdir(folder)))
print(cambrian_sdk.__file__)
for path in ("/task/file", "/sdk/file", "/file", "/tmp/file"):
    print(path, outcome(open, path, "w"))
print(outcome(socket.create_connection, ("127.0.0.1", 22), 1), outcome(os.setuid, 0))
print(outcome(open, "/proc/self/mem"), outcome(os.unlink, "/usr/bin/env"), os.cpu_count())
raise RuntimeError("no verdict")
)py";

}  // namespace

TEST_CASE("warm evaluator: plain C++ gives the same metrics, messages and outcomes",
          "[integration]") {
  if (!has_warm_evaluator()) SKIP("built without libclang");
  const auto task = shipped_task("online-bin-packing");
  const std::string folder = std::string(kSource) + "/tasks/online-bin-packing/";
  const std::string seed = read(folder + "seed/priority.cpp");
  const std::map<std::string, double> small = {{"items", 500}, {"instances", 2}};
  wait_for(WarmKind::cpp);

  for (const auto& entry : fs::directory_iterator(folder + "seeds")) {
    INFO(entry.path());
    CHECK(compare(request_of(task, read(entry.path()), small)).outcome == Outcome::success);
  }
  CHECK(compare(request_of(task, seed, small)).outcome == Outcome::success);
  const auto outcome = [&](const std::string& source) {
    INFO(source);
    return compare(request_of(task, source, small)).outcome;
  };
  const std::string head =
      "#include \"priority.hpp\"\n#include <stdexcept>\n#include <cmath>\n"
      "std::vector<double> priority(double item, const std::vector<double>& bins) {\n";
  CHECK(outcome(head + "  return undeclared(item, bins);\n}\n") == Outcome::compile_error);
  CHECK(outcome(head + "  return {item};\n}}\n") == Outcome::compile_error);
  CHECK(outcome("#include \"nowhere.hpp\"\n" + head + "  return bins;\n}\n") ==
        Outcome::compile_error);
  CHECK(outcome(head + "  throw std::runtime_error(\"no idea\");\n}\n") == Outcome::crash);
  CHECK(outcome(
            head +
            "  std::vector<double> y(bins.size());\n  for (auto& v : y) v = "
            "std::sqrt(item) / (1 + std::exp(-item));\n  y[0] = std::nan(\"\"); return y;\n}\n") !=
        Outcome::success);
  // A program's end is the same: static objects go, and what was written gets out.
  const auto over = compare(
      request_of(task,
                 "#include <cstdio>\n#include <iostream>\n#include <stdexcept>\n"
                 "static struct Over { ~Over() { std::puts(\"over\"); } } over;\n" +
                     head +
                     "  std::ios::sync_with_stdio(false);\n  std::cout << \"half a line\";\n"
                     "  throw std::runtime_error(\"no idea\");\n}\n",
                 small));
  CHECK_THAT(over.log, ContainsSubstring("half a line"));
  CHECK_THAT(over.log, ContainsSubstring("over"));
  const std::string own_main =
      "#include <cstdio>\n#include <cstdlib>\n"
      "int main(int count, char** words) {\n"
      "  std::printf(\"%d %s %d\\n\", count, words[0], words[1] == nullptr);\n"
      "  std::exit(3);\n}\n" +
      head + "  return bins;\n}\n";
  // Whether it ends before the judge greets it is chance, and so are the judge's words.
  const auto mine = request_of(task, own_main, small);
  for (Workshop* on : {&warm_workshop(), &workshop()}) {
    const EvaluationResult result = run_on(*on, mine);
    CHECK(result.outcome == Outcome::crash);
    CHECK(result.log == "1 /program/program 1\n");
  }
  // Static objects, thread-local ones and exceptions work in a loaded candidate, too.
  CHECK(outcome("#include <map>\n#include <string>\nstatic std::map<std::string, int> table = "
                "{{\"a\", 1}};\nthread_local std::vector<int> scratch(3);\n" +
                head +
                "  try { if (scratch.size() == 3) throw table.at(\"a\"); } catch (int) { "
                "scratch[0] = 1; }\n"
                "  return std::vector<double>(bins.size(), scratch[0]);\n}\n") == Outcome::success);
}

TEST_CASE("warm evaluator: nothing that is needed is taken for unused", "[integration]") {
  if (!has_warm_evaluator()) SKIP("built without libclang");
  wait_for(WarmKind::cpp);
  // What only a constructor, an attribute, a table or the function itself refers to.
  const EvaluationResult reached = compare(request_of(
      shipped_task("online-bin-packing"),
      "#include \"priority.hpp\"\n#include <cstdio>\n#include <map>\n"
      "inline int even(int n);\n"
      "inline int odd(int n) { return n == 0 ? 0 : even(n - 1); }\n"
      "inline int even(int n) { return n == 0 ? 1 : odd(n - 1); }\n"
      "struct Shape { virtual ~Shape() = default; virtual int side() { return even(8); } };\n"
      "inline std::map<int, Shape> shapes = {{1, Shape()}};\n"
      "__attribute__((constructor)) static void first() { std::puts(\"first\"); }\n"
      "extern \"C\" int one() { return 1; }\n"
      "extern \"C\" int two() __attribute__((alias(\"one\")));\n"
      "std::vector<double> priority(double item, const std::vector<double>& bins) {\n"
      "  return std::vector<double>(bins.size(), item * shapes.at(1).side() * two());\n}\n",
      {{"items", 500}, {"instances", 2}}));
  CHECK(reached.outcome == Outcome::success);
  // Nothing flushes it but its end of line, and a candidate that has answered is ended.
  CHECK_THAT(reached.log, ContainsSubstring("first"));
}

TEST_CASE("warm evaluator: what it is not sure of, the compiler decides", "[integration]") {
  if (!has_warm_evaluator()) SKIP("built without libclang");
  const auto task = shipped_task("online-bin-packing");
  wait_for(WarmKind::cpp);
  const std::string head = "#include \"priority.hpp\"\n";
  const std::string body =
      "std::vector<double> priority(double, const std::vector<double>& bins) {\n"
      "  return std::vector<double>(bins.size());\n}\n";
  for (const std::string& source :
       {head + body + "int value;\nvalue = 3;\n",
        head + "double missing(double);\n" +
            replaced(body, "bins.size());", "bins.size(), missing(1));"),
        head + "std::vector<double> priority(double);\n"}) {
    INFO(source);
    const auto request = request_of(task, source);
    const EvaluationResult warm = run_on(warm_workshop(), request);
    const EvaluationResult plain = run_on(workshop(), request);
    CHECK(warm.path == EvaluatorPath::compile);
    CHECK(warm.outcome == Outcome::compile_error);
    // The linker names object files that are called otherwise each time.
    CHECK(warm.diagnostics.substr(0, 40) == plain.diagnostics.substr(0, 40));
  }
}

TEST_CASE("warm evaluator: a candidate stands behind the same walls", "[integration]") {
  if (!has_warm_evaluator()) SKIP("built without libclang");
  const auto task = shipped_task("online-bin-packing");
  wait_for(WarmKind::cpp);
  const auto looking = request_of(task, kLooking, {{"items", 50}, {"instances", 1}});
  const auto result = compare(looking);
  CHECK(result.outcome == Outcome::success);
  CHECK(result.log == run_on(workshop(), looking).log);
  CHECK_THAT(result.log, ContainsSubstring("descriptor 3\nlimit"));
  CHECK_THAT(result.log, ContainsSubstring("capabilities 0 0 0"));
  CHECK_THAT(result.log, ContainsSubstring("root 0 privileges 1 seccomp 2"));
  CHECK_THAT(result.log, ContainsSubstring("mount 0 unshare 0"));
  CHECK_THAT(result.log, ContainsSubstring("open /etc/passwd 0"));
  CHECK_THAT(result.log, ContainsSubstring("create /usr/file 0"));
  CHECK_THAT(result.log, ContainsSubstring("boot id 36 0"));
}

TEST_CASE("warm evaluator: one that is killed is replaced, and nobody waits for it",
          "[integration]") {
  if (!has_warm_evaluator()) SKIP("built without libclang");
  const auto task = shipped_task("online-bin-packing");
  wait_for(WarmKind::cpp);
  WarmTemplates& templates = *warm_workshop().warm_templates();
  std::shared_ptr<WarmServers> sick = templates.find(WarmKind::cpp);
  REQUIRE(sick != nullptr);
  // As a sick one looks like: forks in a row that did not start.
  sick->failures = 1000;
  const std::weak_ptr<WarmServers> old = sick;
  sick.reset();
  for (int i = 0; i < 1000 && old.lock(); ++i) poll(nullptr, 0, 10);
  CHECK(!old.lock());
  // The next one may be as sick, and takes a core to start: it has to wait some seconds.
  poll(nullptr, 0, 4000);
  CHECK(templates.find(WarmKind::cpp) == nullptr);
  const std::string source =
      "#include \"priority.hpp\"\n// Never built before.\n"
      "std::vector<double> priority(double, const std::vector<double>& bins) { return bins; }\n";
  CHECK(run_on(warm_workshop(), request_of(task, source)).outcome == Outcome::success);
  wait_for(WarmKind::cpp);
  const auto again = run_on(warm_workshop(), request_of(task, source + "// And once more.\n"));
  CHECK(again.outcome == Outcome::success);
  CHECK(again.path == EvaluatorPath::warm);
}

TEST_CASE("warm evaluator: nobody waits for a library that is not in the cache", "[integration]") {
  if (!has_warm_evaluator()) SKIP("built without libclang");
  const auto task = shipped_task("online-bin-packing");
  wait_for(WarmKind::cpp);
  const auto request = request_of(
      task,
      "#include \"priority.hpp\"\n// Built here, and found by the other worker.\n"
      "std::vector<double> priority(double, const std::vector<double>& bins) { return bins; }\n",
      {{"items", 50}, {"instances", 1}});
  REQUIRE(run_on(warm_workshop(), request).path == EvaluatorPath::warm);
  // The programs of the cache without what they are loaded on top of.
  const fs::path cache = test_folder() / "cache-without-library";
  fs::create_directories(cache);
  fs::copy(test_folder() / "cache/entries", cache / "entries", fs::copy_options::recursive);
  const auto library = warm_workshop().toolchain().find_warm_library(
      warm_workshop().toolchain().compile_options(false));
  REQUIRE(library);
  fs::remove_all(cache / "entries" / library->path().filename());
  Places places;
  places.programs = CAMBRIAN_BINARY_DIR "/bin";
  places.sdk = CAMBRIAN_BINARY_DIR "/share/cambrian/sdk";
  places.cache = cache;
  places.evaluator = EvaluatorPath::warm;
  const auto other = Workshop::open(places);
  REQUIRE(other);
  const auto result = run_on(**other, request);
  INFO(result.diagnostics);
  CHECK(result.outcome == Outcome::success);
  CHECK(result.path == EvaluatorPath::compile);
}

TEST_CASE("warm evaluator: a fork that does not run is an error, and there is another way",
          "[integration]") {
  if (!has_warm_evaluator()) SKIP("built without libclang");
  wait_for(WarmKind::cpp);
  const auto servers = warm_workshop().warm_templates()->find(WarmKind::cpp);
  REQUIRE(servers != nullptr);
  const std::string archive = write_archive({});
  const Descriptor file(memfd_create("archive", MFD_CLOEXEC));
  REQUIRE(write(file.get(), archive.data(), archive.size()) ==
          static_cast<ssize_t>(archive.size()));
  SandboxCommand command;
  command.arguments = {"/program/program.so"};
  const auto forked =
      servers->host->fork(command, {.archive = file.get(), .folder = "/no/such/folder"});
  REQUIRE_FALSE(forked);
  CHECK(forked.error().code == cambrian::Errc::unavailable);
  CHECK_THAT(forked.error().message, ContainsSubstring("/no/such/folder"));
}

TEST_CASE("warm evaluator: LibTorch gives the same metrics bit for bit", "[integration][slow]") {
  if (!has_warm_evaluator()) SKIP("built without libclang");
  if (!workshop().toolchain().has_libtorch()) SKIP("no LibTorch here");
  const auto task = shipped_task("mnist1d");
  const std::string folder = std::string(kSource) + "/tasks/mnist1d/";
  wait_for(WarmKind::libtorch);
  const std::map<std::string, double> few = {{"steps", 12}, {"train_seconds", 200}};
  const std::string seed = read(folder + "seed/model.cpp");
  CHECK(compare(request_of(task, seed, few)).outcome == Outcome::success);
  const std::string cnn = read(folder + "seeds/cnn.cpp");
  CHECK(compare(request_of(task, cnn, few)).outcome == Outcome::success);
  const std::string wrong = replaced(cnn, "nn::Linear", "nn::Linaer");
  CHECK(compare(request_of(task, wrong, few)).outcome == Outcome::compile_error);
}

TEST_CASE("warm evaluator: the warm library has everything that its source names",
          "[integration][slow]") {
  if (!has_warm_evaluator()) SKIP("built without libclang");
  if (!workshop().toolchain().has_libtorch()) SKIP("no LibTorch here");
  wait_for(WarmKind::libtorch);
  const auto servers = warm_workshop().warm_templates()->find(WarmKind::libtorch);
  REQUIRE(servers);
  const std::string library = servers->library->path() / kWarmLibraryName;
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(
      ::popen(("/usr/bin/nm -DC --defined-only '" + library + "'").c_str(), "r"), &::pclose);
  REQUIRE(pipe);
  std::string symbols;
  std::array<char, 64 << 10> part{};
  while (const std::size_t count = fread(part.data(), 1, part.size(), pipe.get())) {
    symbols.append(part.data(), count);
  }
  // Functions that only the file itself could call would not be compiled, nor what they name.
  for (const std::string name : {"convolutions(", "dense(", "recurrent(", "functions(", "tensors(",
                                 "optimisers(", "modules(", "train(", "make("}) {
    CHECK_THAT(symbols, ContainsSubstring(" cambrian::warm::" + name));
  }
  CHECK_THAT(symbols, ContainsSubstring("torch::nn::FlattenImpl"));
  CHECK(servers->compiler->rehearsed_pages() > 1000);
  CHECK(servers->host->rehearsed_pages() > 100);
}

TEST_CASE(
    "g++: where there is no Clang, candidates and judges are built by it, to the same metrics",
    "[integration][slow]") {
  Places places;
  places.programs = CAMBRIAN_BINARY_DIR "/bin";
  places.sdk = CAMBRIAN_BINARY_DIR "/share/cambrian/sdk";
  places.cache = test_folder() / "cache";
  places.compiler = Compiler::gcc;
  places.evaluator = EvaluatorPath::warm;
  const auto by_gcc = Workshop::open(places);
  REQUIRE(by_gcc);
  CHECK_THAT((*by_gcc)->toolchain().versions(), ContainsSubstring("gcc version"));
  const auto same = [&](const EvaluationRequest& request) {
    const EvaluationResult gcc = run_on(**by_gcc, request);
    const EvaluationResult clang = run_on(workshop(), request);
    INFO("g++: " << gcc.diagnostics << gcc.log);
    CHECK(gcc.path == EvaluatorPath::compile);
    CHECK(gcc.outcome == Outcome::success);
    CHECK(without_times(gcc.metrics) == without_times(clang.metrics));
    CHECK(gcc.behaviour_digest == clang.behaviour_digest);
    CHECK(gcc.result_key != clang.result_key);
  };
  const auto bins = shipped_task("online-bin-packing");
  const std::string folder = std::string(kSource) + "/tasks/";
  const std::string priority = read(folder + "online-bin-packing/seed/priority.cpp");
  same(request_of(bins, priority, {{"items", 500}, {"instances", 2}}));
  const EvaluationResult wrong =
      run_on(**by_gcc, request_of(bins, replaced(priority, "return", "retrun")));
  CHECK(wrong.outcome == Outcome::compile_error);
  CHECK_THAT(wrong.diagnostics, ContainsSubstring("priority.cpp"));
  if (!workshop().toolchain().has_libtorch()) SKIP("no LibTorch here");
  same(request_of(shipped_task("mnist1d"), read(folder + "mnist1d/seed/model.cpp"),
                  {{"steps", 12}, {"train_seconds", 200}}));
}

// As a coordinator would decide: worse than this at a rung is hopeless.
EvaluationResult run_stopping(Workshop& on, EvaluationRequest request, double below) {
  std::stop_source early;
  auto result = on.evaluator().evaluate(
      request, {},
      [&](auto, const TrainingProgress& training) {
        for (const RungValue& one : training.rungs) {
          if (one.value < below) early.request_stop();
        }
      },
      nullptr, early.get_token());
  if (!result) FAIL(result.error().message);
  return *result;
}

TEST_CASE("warm evaluator: hopeless trainings end early, by either way, and others as ever",
          "[integration][slow]") {
  if (!has_warm_evaluator()) SKIP("built without libclang");
  wait_for(WarmKind::libtorch);
  const auto task = shipped_task("mnist1d");
  const std::string seed = read(fs::path(kSource) / "tasks/mnist1d/seed/model.cpp");
  for (Workshop* on : {&warm_workshop(), &workshop()}) {
    // Twenty seconds of learning nothing.
    auto hopeless = request_of(task, replaced(seed, "learning_rate = 0.01", "learning_rate = 0"),
                               {{"train_seconds", 20}});
    hopeless.rungs = {0.05, 0.5};
    const EvaluationResult stopped = run_stopping(*on, hopeless, 0.4);
    INFO(stopped.diagnostics);
    CHECK(stopped.outcome == Outcome::stopped_early);
    CHECK(stopped.metrics.empty());
    CHECK(stopped.diagnostics.empty());
    CHECK(stopped.time_saved > std::chrono::seconds(10));
    CHECK(stopped.time_saved < std::chrono::seconds(20));

    auto good = request_of(task, seed, {{"train_seconds", 100}, {"steps", 800}});
    const EvaluationResult plain = run_on(*on, good);
    REQUIRE(plain.outcome == Outcome::success);
    good.rungs = {0.25, 0.5};
    const EvaluationResult asked = run_stopping(*on, good, 0.15);
    CHECK(asked.outcome == Outcome::success);
    CHECK(without_times(asked.metrics) == without_times(plain.metrics));
    CHECK(asked.behaviour_digest == plain.behaviour_digest);
    CHECK(asked.result_key == plain.result_key);
  }
}

TEST_CASE("warm evaluator: Python gives the same metrics, messages and outcomes", "[integration]") {
  const auto task = shipped_task("python-regression");
  const std::string seed = read(std::string(kSource) + "/tasks/python-regression/seed/model.py");
  const std::map<std::string, double> few = {{"steps", 20}, {"train_seconds", 100}};
  if (!warm_workshop().warm_templates()->wait_ready(WarmKind::python_torch, std::chrono::minutes(5),
                                                    {})) {
    SKIP("no PyTorch here");
  }
  CHECK(compare(request_of(task, seed, few)).outcome == Outcome::success);
  // Random numbers without a seed, threads, and what a script finds out about itself.
  const std::string busy = replaced(
      seed, "def train(model, inputs, targets, training):\n",
      "import random, sys, threading\n"
      "print(sys.argv, __name__, sys.modules['__main__'].__file__, len(threading.enumerate()))\n"
      "def train(model, inputs, targets, training):\n"
      "    thread = threading.Thread(target=print, args=('thread',))\n"
      "    thread.start()\n    thread.join()\n    random.random()\n");
  const auto result = compare(request_of(task, busy, few));
  CHECK(result.outcome == Outcome::success);
  CHECK_THAT(result.log, ContainsSubstring("['main.py'] model /program/main.py 1"));
  CHECK(result.log == run_on(workshop(), request_of(task, busy, few)).log);
  for (const std::string& broken :
       {replaced(seed, "nn.Tanh", "nn.Tahn"), "def make_model(:\n" + seed,
        replaced(seed, "import torch",
                 "import atexit, sys, torch\natexit.register(print, 'over')\nsys.exit('no')"),
        "import no_such_module\n" + seed}) {
    INFO(broken);
    CHECK(compare(request_of(task, broken, few)).outcome == Outcome::crash);
  }
}

TEST_CASE("warm evaluator: a judge in Python stands behind the same walls", "[integration]") {
  Task looking = *shipped_task("python-regression");
  looking.digest = "looking";
  // A file beside the script comes before a module that the server has imported already.
  looking.files.push_back({.path = "judge/cambrian_sdk.py", .content = "", .executable = false});
  for (auto& file : looking.files) {
    if (file.path == "judge/judge.py") file.content = kLookingJudge;
  }
  const std::string seed = read(std::string(kSource) + "/tasks/python-regression/seed/model.py");
  const auto request = request_of(std::make_shared<Task>(std::move(looking)), seed);
  wait_for(WarmKind::python_judge);
  const auto servers = warm_workshop().warm_templates()->find(WarmKind::python_judge);
  REQUIRE(servers);
  const int forks = servers->forks;
  const EvaluationResult warm = run_on(warm_workshop(), request);
  CHECK(servers->forks == forks + 1);
  CHECK(warm.outcome == Outcome::infrastructure);
  CHECK_THAT(warm.diagnostics, ContainsSubstring("no verdict"));
  CHECK_THAT(warm.diagnostics, ContainsSubstring("/tmp/file yes"));
  CHECK_THAT(warm.diagnostics, ContainsSubstring("judge/cambrian_sdk.py"));
  CHECK(warm.diagnostics == run_on(workshop(), request).diagnostics);
}

TEST_CASE("warm evaluator: which judges are forks", "[integration]") {
  const auto kind_of = [](const std::function<void(Task&)>& change) {
    Task task = *shipped_task("python-regression");
    change(task);
    return warm_judge_kind(request_of(std::make_shared<Task>(std::move(task)), ""));
  };
  CHECK(kind_of([](Task&) {}) == WarmKind::python_judge);
  CHECK_FALSE(kind_of([](Task& task) { task.manifest.data.emplace_back(); }));
  CHECK_FALSE(kind_of([](Task& task) { task.manifest.limits.cpus = 2; }));
  CHECK_FALSE(kind_of([](Task& task) { task.manifest.judge.run = {"python3", "-m", "judge"}; }));
  CHECK_FALSE(kind_of([](Task& task) { task.files[0].content.resize(5 << 20); }));
  CHECK_FALSE(warm_judge_kind(request_of(shipped_task("online-bin-packing"), "")));
}
