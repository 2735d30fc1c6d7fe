#include "worker/evaluation/compile_command.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>

namespace cambrian::worker {
namespace {

bool has(const std::vector<std::string>& command, const std::string& argument) {
  return std::find(command.begin(), command.end(), argument) != command.end();
}

TEST_CASE("candidate_compile_command: plain C++ needs no LibTorch", "[unit][worker]") {
  const auto command = candidate_compile_command({"a.cpp", "b.cpp"}, {});
  CHECK(command.front() == "/usr/bin/clang++-19");
  CHECK(has(command, "-O2"));
  CHECK(has(command, "b.cpp"));
  CHECK(has(command, "/sdk/lib/libcambrian_candidate.a"));
  CHECK_FALSE(has(command, "-ltorch"));
  CHECK_FALSE(has(command, "-include-pch"));
}

TEST_CASE("candidate_compile_command: LibTorch comes with header, library and rpath",
          "[unit][worker]") {
  CompileOptions options{
      .libtorch = true, .use_pch = true, .own_torch = true, .torch_cuda = true, .extra = {"-O3"}};
  const auto command = candidate_compile_command({"model.cpp"}, options);
  CHECK(has(command, "/pch/candidate.pch"));
  CHECK(has(command, "-Wl,-rpath,/torch/lib"));
  CHECK(has(command, "-ltorch_cuda"));
  // The task's option comes later than ours and wins.
  CHECK(std::find(command.begin(), command.end(), "-O3") >
        std::find(command.begin(), command.end(), "-O1"));
}

TEST_CASE("candidate_object_command: has the options of the whole compile", "[unit][worker]") {
  const CompileOptions options{.libtorch = true, .use_pch = true, .extra = {"-O3"}};
  const auto whole = candidate_compile_command({"model.cpp"}, options);
  const auto part = candidate_object_command("model.cpp", "0.o", options);
  CHECK(has(part, "-c"));
  CHECK(has(part, "/out/0.o"));
  for (const std::string& flag : part) {
    if (flag != "-c" && flag != "/out/0.o") CHECK(has(whole, flag));
  }
}

TEST_CASE("pch_command: is made with the options of the compile that uses it", "[unit][worker]") {
  const CompileOptions options{.libtorch = true, .extra = {"-ffast-math"}};
  const auto header = pch_command(options);
  CHECK(has(header, "/sdk/include/cambrian/torch_candidate.hpp"));
  CHECK(has(header, "-ffast-math"));
  CHECK(has(header, "-O1"));
  CHECK(has(header, "-pthread"));
  CHECK(has(pch_command({}), "/sdk/include/cambrian/candidate.hpp"));
}

TEST_CASE("pch_command: g++ finds its header by the name that a compile includes",
          "[unit][worker]") {
  const CompileOptions options{
      .compiler = Compiler::gcc, .libtorch = true, .use_pch = true, .extra = {}};
  CHECK(has(pch_command(options), "/out/candidate.pch.gch"));
  const auto command = candidate_compile_command({"model.cpp"}, options);
  CHECK(command.front() == "/usr/bin/g++");
  CHECK(has(command, "-include"));
  CHECK(has(command, "/pch/candidate.pch"));
  CHECK_FALSE(has(command, "-include-pch"));
  CHECK_FALSE(has(command, "-ferror-limit=20"));
}

TEST_CASE("judge_compile_command: own sources or a ready one", "[unit][worker]") {
  JudgeSpec judge;
  judge.sources = {"judge/a.cpp", "judge/b.cpp"};
  CHECK(has(judge_compile_command(judge, {}), "/task/judge/b.cpp"));
  judge = JudgeSpec{};
  judge.ready = "classification";
  const auto command = judge_compile_command(judge, {});
  CHECK(has(command, "/sdk/judges/classification.cpp"));
  CHECK(has(command, "/sdk/lib/libcambrian_judge.a"));
}

TEST_CASE("warm_library_command: LibTorch's keeps its functions", "[unit][worker]") {
  CompileOptions options;
  CHECK_FALSE(has(warm_library_command(options), "-fno-inline"));
  options.libtorch = true;
  CHECK(has(warm_library_command(options), "-fno-inline"));
}

TEST_CASE("run_environment: threads follow the cores", "[unit][worker]") {
  for (const auto& [name, value] : run_environment(3)) {
    if (name.ends_with("_NUM_THREADS")) CHECK(value == "3");
  }
}

}  // namespace
}  // namespace cambrian::worker
