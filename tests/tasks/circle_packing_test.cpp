#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>
#include <cmath>
#include <fstream>

#include "tests/tasks/harness.hpp"

namespace cambrian::tasks {
namespace {

using Catch::Matchers::WithinAbs;
namespace fs = std::filesystem;

const fs::path kFolder = fs::path(CAMBRIAN_SOURCE_DIR) / "tasks/circle-packing";

struct Fixture {
  Task task = load_task(kFolder);
  WorkFolder work;
  Command judge = build_judge(task, work.path());

  Report run(const fs::path& source, const Request& request = {}) const {
    const WorkFolder own;
    return evaluate(task, judge, build_candidate(task, source, own.path()), request);
  }
  // A program in Python that answers with these circles: the protocol knows no language.
  Report run_python(const std::string& circles, int count) const {
    const WorkFolder own;
    std::ofstream(own.path() / "main.py")
        << "import cambrian_sdk, math, numpy\n"
           "class Packer:\n"
           "    def answer(self, question):\n"
           "        return cambrian_sdk.Message('answer', {}, {'circles': numpy.array("
        << circles
        << ", dtype=numpy.float64)})\n"
           "cambrian_sdk.run_candidate(lambda setup: Packer())\n";
    const Command candidate{{"python3", "main.py"}, own.path()};
    return evaluate(task, judge, candidate,
                    {.parameters = {{"circles", static_cast<double>(count)}}});
  }
};

const Fixture& fixture() {
  static const Fixture instance;
  return instance;
}

}  // namespace

TEST_CASE("circle-packing: known packings have their known sums", "[integration][tasks]") {
  const Report seed = fixture().run({});
  INFO(seed.diagnostics);
  REQUIRE(seed.outcome == "success");
  CHECK_THAT(seed.metrics.at("sum_of_radii"), WithinAbs(26.0 / 12, 1e-9));
  CHECK(fixture().run({}).behaviour_digest == seed.behaviour_digest);
  const Report grid = fixture().run(kFolder / "seeds/five_by_five.cpp");
  REQUIRE(grid.outcome == "success");
  CHECK_THAT(grid.metrics.at("sum_of_radii"), WithinAbs(2.5 + 0.1 * (std::sqrt(2.0) - 1), 1e-9));
}

TEST_CASE("circle-packing: the check has no tolerance", "[integration][tasks]") {
  const auto outcome = [](const std::string& circles, int count) {
    const Report report = fixture().run_python(circles, count);
    INFO(report.diagnostics);
    return report.outcome;
  };
  // Touching exactly, in numbers that binary fractions can say.
  CHECK(outcome("[[0.25, 0.5, 0.25], [0.75, 0.5, 0.25]]", 2) == "success");
  CHECK(outcome("[[0.25, 0.5, 0.25], [math.nextafter(0.75, 0), 0.5, 0.25]]", 2) == "bad_output");
  CHECK(outcome("[[0.25, 0.5, 0.25], [0.75, 0.5, math.nextafter(0.25, 1)]]", 2) == "bad_output");
  // 0.1 and 0.3 are not what they look like: these two overlap by the last bit.
  CHECK(outcome("[[0.1, 0.5, 0.1], [0.3, 0.5, 0.1]]", 2) == "bad_output");
  CHECK(outcome("[[0.5, 0.5, 0.5]]", 1) == "success");
  CHECK(outcome("[[0.5, 0.5, -0.1]]", 1) == "bad_output");
  CHECK(outcome("[[0.5, 0.5, 1e300]]", 1) == "bad_output");
  CHECK(outcome("[[0.5, 0.5, math.nan]]", 1) == "not_finite");
  CHECK(outcome("[[0.5, math.inf, 0.1]]", 1) == "not_finite");
  CHECK(outcome("[[0.5, 0.5, 0.1]]", 2) == "bad_output");
  CHECK(outcome("[0.5, 0.5, 0.1]", 1) == "bad_output");
  CHECK(outcome("1 / 0", 1) == "crash");
}

TEST_CASE("circle-packing: a search that takes too long is a timeout", "[integration][tasks]") {
  const WorkFolder own;
  std::ofstream(own.path() / "pack.cpp")
      << "#include \"pack.hpp\"\n#include <unistd.h>\n"
         "std::vector<Circle> pack(int, double) { sleep(30); return {}; }\n";
  const Report report =
      fixture().run(own.path() / "pack.cpp", {.parameters = {{"solve_seconds", 0.1}}});
  CHECK(report.outcome == "timeout");
  CHECK(report.duration < std::chrono::seconds(15));
}

}  // namespace cambrian::tasks
