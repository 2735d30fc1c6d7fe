// Every outcome that a candidate can have, with real compilers, sandboxes and a real judge.
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/matchers/catch_matchers_string.hpp>
#include <fstream>

#include "support.hpp"
#include "worker/adapters/toolchain/installed.hpp"

namespace {

using namespace cambrian::worker;
using namespace cambrian::worker::test;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

// Asks for the doubles of some numbers and measures the largest error.
constexpr const char* kJudge = R"(
#include <unistd.h>
#include <cambrian/judge.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>

cambrian::Verdict cambrian::judge(Session& session) {
  if (session.parameter("umlauts", 0, 0, 1) > 0) {
    for (int i = 0; i < 3000; ++i) std::fputs("ä", stderr);
    std::fputs("/task/yz\n", stderr);
  }
  if (session.parameter("abort", 0, 0, 1) > 0) std::abort();
  if (session.parameter("babble", 0, 0, 1) > 0 && write(3, "no frame at all!", 16) > 0) pause();
  if (session.parameter("sleep", 0, 0, 1) > 0) pause();
  auto candidate = session.start_candidate("ask");
  const std::vector<double> x = {1, 2, 3, 4};
  Message question("ask");
  question.tensors.push_back(make_tensor("x", {4}, x));
  TensorSpec expected{"y", DType::f64, {4}};
  const Message answer = candidate.ask(std::move(question), {expected}, Seconds(3));
  const auto y = answer.tensor("y").values<double>();
  double error = 0;
  for (std::size_t i = 0; i < 4; ++i) error = std::max(error, std::abs(y[i] - 2 * x[i]));
  Verdict verdict;
  verdict.metrics["error"] = error;
  verdict.metrics["seed"] = static_cast<double>(session.evaluation().seed);
  verdict.metrics["sealed"] = session.evaluation().split == Split::sealed ? 1 : 0;
  std::ifstream data("/data/labels");
  data >> verdict.metrics["label"];
  return verdict;
}
)";

constexpr const char* kProgram = R"(
#include <cambrian/candidate.hpp>
#include "act.hpp"

struct Doubler : cambrian::Program {
  cambrian::Message answer(const cambrian::Message& question) override {
    const auto x = question.tensor("x").values<double>();
    const std::vector<double> y = act({x.begin(), x.end()});
    cambrian::Message answer;
    answer.tensors.push_back(
        cambrian::make_tensor("y", {static_cast<std::int64_t>(y.size())}, y));
    return answer;
  }
};

std::unique_ptr<cambrian::Program> cambrian::make_program(const cambrian::Setup&) {
  return std::make_unique<Doubler>();
}
)";

constexpr const char* kHeader =
    "#pragma once\n#include <vector>\n"
    "std::vector<double> act(std::vector<double> x);\n";

std::string act(const std::string& body) {
  return "#include \"act.hpp\"\n#include <unistd.h>\n#include <sys/mman.h>\n#include <cmath>\n"
         "#include <cstdio>\n#include <cstdlib>\n#include <cstring>\n#include <fstream>\n"
         "#include <stdexcept>\n#include <string>\n#include <thread>\n"
         "std::vector<double> act(std::vector<double> x) {\n" +
         body + "\n  for (double& value : x) value *= 2;\n  return x;\n}\n";
}

std::shared_ptr<Task> doubling_task() {
  TaskManifest manifest;
  manifest.name = "doubling";
  manifest.candidate.runtime = Runtime::cpp;
  manifest.candidate.evolve = {"act.cpp"};
  manifest.judge.sources = {"judge/judge.cpp"};
  manifest.objectives = {{"error", 0, 1000}};
  manifest.limits.run_time = std::chrono::seconds(8);
  manifest.limits.compile_time = std::chrono::seconds(60);
  manifest.limits.memory_bytes = 256 << 20;
  manifest.limits.disk_bytes = 16 << 20;
  manifest.limits.processes = 16;
  return make_task(manifest, {{"judge/judge.cpp", kJudge},
                              {"seed/program.cpp", kProgram},
                              {"seed/act.hpp", kHeader},
                              {"seed/act.cpp", act("")}});
}

EvaluationRequest request(const std::string& source) {
  EvaluationRequest request;
  request.task = doubling_task();
  request.sources = {{"act.cpp", source}};
  return request;
}

EvaluationResult run(const std::string& body) { return evaluate(request(act(body))); }

// In a process of its own: mounts a small disk and writes a large file. 0: it was named.
int write_to_small_disk(const std::filesystem::path& folder) {
  const std::string user = std::to_string(geteuid()) + " " + std::to_string(geteuid()) + " 1";
  const bool is_root = geteuid() == 0;
  if (unshare(CLONE_NEWNS | (is_root ? 0 : CLONE_NEWUSER)) != 0) return 3;
  // Nobody who is unknown in a namespace may write there.
  if (!is_root) std::ofstream("/proc/self/uid_map") << user;
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=65536") != 0) {
    return 2;
  }
  const std::string content(1 << 20, 'x');
  const auto written = write_files(folder / "src", {{"file", &content, false}});
  return !written && written.error().code == cambrian::Errc::exhausted ? 0 : 1;
}

}  // namespace

TEST_CASE("evaluate: an honest candidate gets its metrics, timings and usage", "[integration]") {
  const EvaluationResult result = run("");
  INFO(result.diagnostics);
  REQUIRE(result.outcome == Outcome::success);
  CHECK(result.metrics.at("error") == 0);
  CHECK(result.metrics.at("seed") == 1);
  CHECK(result.metrics.at("sealed") == 0);
  REQUIRE(result.timings.compile);
  REQUIRE(result.timings.start);
  REQUIRE(result.timings.judge);
  CHECK(*result.timings.total >= *result.timings.compile + *result.timings.judge);
  CHECK(result.usage.cpu_time.count() > 0);
  CHECK(result.usage.memory_peak_bytes > 1 << 20);
  CHECK(result.result_key.size() == 64);

  SECTION("the same source with another seed is not built again, and has another key") {
    EvaluationRequest again = request(act(""));
    again.seed = 18446744073709551615ULL;
    again.split = Split::sealed;
    const EvaluationResult second = evaluate(again);
    REQUIRE(second.outcome == Outcome::success);
    CHECK(second.is_candidate_cached);
    CHECK(second.is_judge_cached);
    CHECK(second.metrics.at("sealed") == 1);
    CHECK(second.metrics.at("seed") == 18446744073709551615.0);
    CHECK(second.result_key != result.result_key);
  }
}

TEST_CASE("evaluate: what evolves is seen by the sources that do not", "[integration]") {
  // The fixed source cannot be compiled without the header, and must not be without this one.
  TaskManifest manifest = doubling_task()->manifest;
  manifest.candidate.evolve = {"act.hpp"};
  EvaluationRequest wanted = request("");
  wanted.task = make_task(manifest, {{"judge/judge.cpp", kJudge},
                                     {"seed/main.cpp", kProgram},
                                     {"seed/act.hpp", kHeader},
                                     {"seed/other/main.cpp", "int unused() { return 0; }\n"}});
  const auto with_factor = [&](const std::string& factor) {
    wanted.sources = {{"act.hpp",
                       "#include <vector>\n"
                       "inline std::vector<double> act(std::vector<double> x) {\n"
                       "  for (double& value : x) value *= " +
                           factor + ";\n  return x;\n}\n"}};
    const EvaluationResult result = evaluate(wanted);
    INFO(result.diagnostics);
    REQUIRE(result.outcome == Outcome::success);
    return result.metrics.at("error");
  };
  CHECK(with_factor("2") == 0);
  CHECK(with_factor("3") == 4);
  CHECK(with_factor("2.0") == 0);
}

TEST_CASE("evaluate: a compile error names line and message without folders", "[integration]") {
  const EvaluationResult result = run("  return y;");
  CHECK(result.outcome == Outcome::compile_error);
  CHECK_THAT(result.diagnostics, StartsWith("act.cpp:"));
  CHECK_THAT(result.diagnostics, ContainsSubstring("undeclared identifier 'y'"));
  CHECK(result.diagnostics.find("/src") == std::string::npos);
  CHECK(result.metrics.empty());
  CHECK_FALSE(result.timings.start);
}

TEST_CASE("evaluate: a program may be larger than its disk", "[integration]") {
  const EvaluationResult large =
      evaluate(request("volatile int large[5 << 20] = {1};\n" + act("  x[0] += large[7];")));
  INFO(large.diagnostics << large.log);
  CHECK(large.outcome == Outcome::success);
  CHECK(large.path == evaluator_path());
}

TEST_CASE("evaluate: a compile cannot read this machine", "[integration]") {
  const std::string secret = "/etc/passwd";
  const EvaluationResult included = evaluate(request("#include \"" + secret + "\"\n" + act("")));
  CHECK(included.outcome == Outcome::compile_error);
  CHECK(included.diagnostics.find("root:") == std::string::npos);
  const EvaluationResult embedded =
      evaluate(request("asm(\".incbin \\\"" + secret + "\\\"\");\n" + act("")));
  CHECK(embedded.outcome == Outcome::compile_error);
}

TEST_CASE("evaluate: the judge's data are hidden from compile and candidate", "[integration]") {
  const std::string labels = "/usr/share/common-licenses/GPL-2";
  EvaluationRequest hidden = request("");
  TaskManifest manifest = hidden.task->manifest;
  manifest.data = {{"labels", labels, "", ""}};
  std::map<std::string, std::string> files;
  for (const auto& file : hidden.task->files) files[file.path] = file.content;
  hidden.task = make_task(manifest, files);
  hidden.sources = {{"act.cpp", act("  std::ifstream file(\"" + labels +
                                    "\"); if (file.get() != EOF) x[0] += 100;")}};
  const EvaluationResult read = evaluate(hidden);
  INFO(read.diagnostics);
  REQUIRE(read.outcome == Outcome::success);
  CHECK(read.metrics.at("error") == 0);
  hidden.sources = {{"act.cpp", "const char data[] = {\n#embed \"" + labels +
                                    "\" suffix(,)\n0};\n" +
                                    act("  if (sizeof data > 1) x[0] += 100;")}};
  // A task that has no such data may build it. What was built there is not found here.
  EvaluationRequest open = hidden;
  open.task = request("").task;
  CHECK(evaluate(open).metrics["error"] == 200);
  const EvaluationResult embedded = evaluate(hidden);
  INFO(embedded.diagnostics);
  CHECK(embedded.outcome == Outcome::compile_error);
}

TEST_CASE("evaluate: the candidate does not get the evaluation's seed", "[integration]") {
  EvaluationRequest curious = request(act(""));
  TaskManifest manifest = curious.task->manifest;
  std::map<std::string, std::string> files;
  for (const auto& file : curious.task->files) files[file.path] = file.content;
  std::string& program = files.at("seed/program.cpp");
  const std::string from = "make_program(const cambrian::Setup&) {";
  const std::string to =
      "make_program(const cambrian::Setup& setup) { std::printf(\"%llu\\n\", "
      "(unsigned long long)setup.seed); std::fflush(stdout);";
  program = "#include <cstdio>\n" + program.replace(program.find(from), from.size(), to);
  curious.task = make_task(manifest, files);
  const EvaluationResult first = evaluate(curious);
  REQUIRE(first.outcome == Outcome::success);
  const std::string digest = cambrian::sha256_hex("cambrian candidate 1").substr(0, 16);
  CHECK_THAT(first.log, StartsWith(std::to_string(std::stoull(digest, nullptr, 16)) + "\n"));
}

TEST_CASE("evaluate: the judge's seed follows from a secret", "[integration]") {
  EvaluationRequest asked = request(act(""));
  const auto seed_of = [&asked](std::string secret, std::uint64_t seed) {
    asked.judge_secret = std::move(secret);
    asked.seed = seed;
    const EvaluationResult result = evaluate(asked);
    REQUIRE(result.outcome == Outcome::success);
    return result.metrics.at("seed");
  };
  const double first = seed_of("one", 7);
  CHECK(first > 1e12);
  CHECK(seed_of("one", 7) == first);
  CHECK(seed_of("one", 8) != first);
  CHECK(seed_of("two", 7) != first);
  // From a coordinator that has none.
  CHECK(seed_of("", 7) == 7);
}

TEST_CASE("evaluate: a task that wants more isolation than there is, is refused", "[integration]") {
  EvaluationRequest strict = request(act(""));
  TaskManifest manifest = strict.task->manifest;
  manifest.sandbox = SandboxLevel::strict;
  std::map<std::string, std::string> files;
  for (const auto& file : strict.task->files) files[file.path] = file.content;
  strict.task = make_task(manifest, files);
  const auto refused = workshop().evaluator().evaluate(strict, {}, [](auto, auto) {});
  // What needs control groups runs where there are some.
  REQUIRE(refused.has_value() == (workshop().sandbox_level() == SandboxLevel::strict));
  if (refused) {
    CHECK(refused->outcome == Outcome::success);
    return;
  }
  CHECK(refused.error().code == cambrian::Errc::unavailable);
  CHECK_THAT(refused.error().message, ContainsSubstring("wanted=strict level=standard"));
}

TEST_CASE("evaluate: a compile that grows without end is stopped", "[integration][slow]") {
  const EvaluationResult huge =
      evaluate(request("int a[1 << 29] = {1};\n" + act("  x[0] += a[(int)x[1]];")));
  CHECK((huge.outcome == Outcome::compile_error || huge.outcome == Outcome::resource_exceeded));
  CHECK(huge.diagnostics.size() <= kDiagnosticsBytesMax);
}

TEST_CASE("evaluate: a source above its size is refused", "[integration]") {
  EvaluationRequest large = request(act("") + std::string(70'000, '\n'));
  CHECK(evaluate(large).outcome == Outcome::compile_error);
}

TEST_CASE("evaluate: signals, exceptions and exits are crashes with a reason", "[integration]") {
  const EvaluationResult fault = run("  volatile int* p = nullptr; *p = 1;");
  CHECK(fault.outcome == Outcome::crash);
  CHECK_THAT(fault.diagnostics, ContainsSubstring("segmentation fault"));

  const EvaluationResult thrown = run("  throw std::runtime_error(\"what a pity\");");
  CHECK(thrown.outcome == Outcome::crash);
  CHECK_THAT(thrown.diagnostics, ContainsSubstring("what a pity"));

  const EvaluationResult left = run("  std::puts(\"bye now\"); std::exit(3);");
  CHECK(left.outcome == Outcome::crash);
  CHECK_THAT(left.diagnostics, ContainsSubstring("exit code 3"));
  CHECK_THAT(left.log, ContainsSubstring("bye now"));
}

TEST_CASE("evaluate: silence is a timeout", "[integration]") {
  const EvaluationResult result = run("  pause();");
  CHECK(result.outcome == Outcome::timeout);
  CHECK(*result.timings.total < std::chrono::seconds(12));
}

TEST_CASE("evaluate: memory above the limit is out_of_memory however it is taken",
          "[integration]") {
  const EvaluationResult heap =
      run("  std::vector<char*> all;\n  for (;;) { all.push_back((char*)std::malloc(1 << 24));"
          " std::memset(all.back(), 1, 1 << 24); }");
  CHECK(heap.outcome == Outcome::out_of_memory);
  const EvaluationResult thrown =
      run("  volatile std::size_t size = 1ull << 33;\n"
          "  std::vector<double> a(size); x[0] += a[size / 2];");
  CHECK(thrown.outcome == Outcome::out_of_memory);
  // Shared memory is not part of RLIMIT_DATA: the sum over the tree catches it.
  const EvaluationResult shared =
      run("  char* p = (char*)mmap(0, 1ull << 30, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);\n"
          "  for (long i = 0; i < (1L << 30); i += 4096) p[i] = 1;\n  pause();");
  CHECK(shared.outcome == Outcome::out_of_memory);
  CHECK(shared.limit_hit == "memory");
}

TEST_CASE("evaluate: a fork bomb ends and is named", "[integration]") {
  const EvaluationResult result = run("  for (;;) fork();");
  CHECK(result.outcome == Outcome::resource_exceeded);
  CHECK_THAT(result.diagnostics, ContainsSubstring("processes"));
  CHECK(run("").outcome == Outcome::success);
}

TEST_CASE("evaluate: a log bomb is cut and ended", "[integration]") {
  const EvaluationResult result = run("  for (;;) std::printf(\"%0999d\\n\", 1);");
  CHECK(result.outcome == Outcome::resource_exceeded);
  CHECK(result.log.size() <= kLogBytesMax);
  CHECK_THAT(result.log, ContainsSubstring("bytes left out"));
}

TEST_CASE("evaluate: a disk bomb fills its own disk only", "[integration]") {
  const EvaluationResult large =
      run("  std::ofstream file(\"/tmp/a\"); std::string block(1 << 20, 'x');\n"
          "  while (file << block << std::flush) {}\n  std::abort();");
  CHECK(large.outcome == Outcome::resource_exceeded);
  const EvaluationResult elsewhere = run(
      "  for (const char* name : {\"/a\", \"/dev/a\", \"/usr/a\", \"/program/a\", \"/sdk/a\"})\n"
      "    if (std::ofstream(name) << \"x\" << std::flush) std::exit(9);");
  CHECK(elsewhere.outcome == Outcome::success);
}

TEST_CASE("evaluate: wrong answers have names", "[integration]") {
  CHECK(run("  x[0] = NAN; return x;").outcome == Outcome::not_finite);
  CHECK(run("  x.push_back(1);").outcome == Outcome::bad_output);
  // Beyond the honest range of the objective.
  CHECK(run("  x[0] = 1e9;").outcome == Outcome::bad_output);
  // Bytes that are no frame, on the socket to the judge.
  const EvaluationResult garbage = run("  if (write(3, \"garbage!garbage!garbage!\", 24)) {}");
  CHECK(garbage.outcome == Outcome::bad_output);
}

TEST_CASE("evaluate: a judge that dies is our failure", "[integration]") {
  EvaluationRequest aborted = request(act(""));
  aborted.parameters["abort"] = 1;
  const EvaluationResult result = evaluate(aborted);
  CHECK(result.outcome == Outcome::infrastructure);
  CHECK_THAT(result.diagnostics, ContainsSubstring("judge"));
  CHECK_THAT(result.diagnostics, ContainsSubstring("signal 6"));
}

TEST_CASE("evaluate: of a judge without a result it is said why", "[integration]") {
  EvaluationRequest asked = request(act(""));
  asked.parameters["babble"] = 1;
  const EvaluationResult babbled = evaluate(asked);
  CHECK(babbled.outcome == Outcome::infrastructure);
  CHECK_THAT(babbled.diagnostics, StartsWith("the judge broke its protocol: wrong magic"));

  // What it printed is cut in the middle of a character, and is valid text all the same.
  asked = request(act(""));
  asked.parameters["umlauts"] = 1;
  asked.parameters["abort"] = 1;
  const EvaluationResult printed = evaluate(asked);
  CHECK(printed.outcome == Outcome::infrastructure);
  CHECK_THAT(printed.diagnostics, ContainsSubstring("ää"));
  CHECK(printed.diagnostics == sanitise(printed.diagnostics));
  CHECK(printed.diagnostics.find("/task") == std::string::npos);

  // No candidate was started, so it cannot be one's fault.
  asked = request(act(""));
  TaskManifest manifest = asked.task->manifest;
  manifest.limits.run_time = std::chrono::seconds(1);
  auto task = std::make_shared<Task>(*asked.task);
  task->manifest = manifest;
  asked.task = task;
  asked.parameters["sleep"] = 1;
  const EvaluationResult slept = evaluate(asked);
  CHECK(slept.outcome == Outcome::infrastructure);
  CHECK_THAT(slept.diagnostics, StartsWith("the judge gave no result in time: run_time=1 s"));
}

TEST_CASE("evaluate: a broken task is an error that names it", "[integration]") {
  TaskManifest manifest = doubling_task()->manifest;
  EvaluationRequest broken = request(act(""));
  broken.task = make_task(manifest, {{"judge/judge.cpp", "int judge("},
                                     {"seed/act.cpp", act("")},
                                     {"seed/act.hpp", kHeader},
                                     {"seed/program.cpp", kProgram}});
  const auto built = workshop().evaluator().evaluate(broken, {}, [](auto, auto) {});
  REQUIRE_FALSE(built);
  CHECK(built.error().code == cambrian::Errc::invalid_argument);
  CHECK_THAT(built.error().message, ContainsSubstring("judge/judge.cpp:1"));

  manifest.data = {{"labels", "${TEST_DATA}/none", "", "apt-get install none"}};
  broken.task = make_task(manifest, {{"judge/judge.cpp", kJudge}});
  const auto missing = workshop().evaluator().evaluate(broken, {}, [](auto, auto) {});
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == cambrian::Errc::unavailable);
  CHECK_THAT(missing.error().message, ContainsSubstring("apt-get install none"));
}

TEST_CASE("evaluate: a stop ends it soon", "[integration]") {
  std::stop_source stop;
  EvaluationRequest endless = request(act("  pause();"));
  const auto begun = std::chrono::steady_clock::now();
  const auto result =
      workshop().evaluator().evaluate(endless, stop.get_token(), [&](std::string_view phase, auto) {
        if (phase == "train") stop.request_stop();
      });
  REQUIRE_FALSE(result);
  CHECK(result.error().code == cambrian::Errc::cancelled);
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(10));
}

TEST_CASE("toolchain: its digest names what changes results", "[integration]") {
  const auto digest = [](const Toolchain::Options& options) {
    auto found =
        Toolchain::find(options, workshop().toolchain().sandbox(), workshop().toolchain().cache());
    if (!found) FAIL(found.error().message);
    return (*found)->digest();
  };
  const auto write = [](const std::filesystem::path& path, const std::string& text) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  };
  Toolchain::Options options;
  options.sdk = CAMBRIAN_BINARY_DIR "/share/cambrian/sdk";
  const std::string plain = digest(options);
  CHECK(digest(options) == plain);
  options.programs = test_folder() / "programs";
  write(options.programs / "cambrian-evaluator", "one");
  const std::string with_evaluator = digest(options);
  CHECK(with_evaluator != plain);
  write(options.programs / "cambrian-evaluator", "two");
  CHECK(digest(options) != with_evaluator);
  options.torch = test_folder() / "torch";
  write(options.torch / "lib/libtorch.so", "one");
  const std::string with_torch = digest(options);
  write(options.torch / "lib/libtorch.so", "another");
  CHECK(digest(options) != with_torch);

  const std::filesystem::path status = test_folder() / "status";
  write(status,
        "Package: mold\nStatus: install ok installed\nVersion: 2.37\n\n"
        "Package: vim\nStatus: install ok installed\nVersion: 9\n\n"
        "Package: libopenblas0\nStatus: deinstall ok config-files\nVersion: 1\n\n"
        "Package: libstdc++6\nStatus: install ok installed\nVersion: 14-2\n");
  CHECK(package_versions(status) == "libstdc++6 14-2\nmold 2.37\n");
  CHECK(package_versions("/no/such/file").empty());
}

TEST_CASE("evaluate: a full disk is never the variant's fault", "[integration]") {
  // A cache on a disk without room for what a build may write.
  auto cache = FolderCache::open(test_folder() / "room", 1 << 20);
  REQUIRE(cache);
  CHECK((*cache)->check_room(1));
  const auto full = (*cache)->check_room(std::int64_t{1} << 60);
  REQUIRE_FALSE(full);
  CHECK(full.error().code == cambrian::Errc::exhausted);
  CHECK_THAT(full.error().message, ContainsSubstring("disk is full"));

  // Written files, on a disk that is too small for them.
  const pid_t child = fork();
  if (child == 0) _exit(write_to_small_disk(test_folder()));
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 0);
}
