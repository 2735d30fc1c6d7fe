// Programs as the compiler understands them, and as the interpreter of scripts/bench land does.
#include "tests/bench/search/interpreter.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <fstream>
#include <iterator>

#include "common/base/rng.hpp"
#include "priority.hpp"

// What they include was included above.
namespace first_fit {
#include "seed/priority.cpp"
}
namespace best_fit {
#include "seeds/best_fit.cpp"
}
namespace joined {
#include "joined_program.txt"
}

namespace cambrian::bench {
namespace {

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

using Priority = std::vector<double> (*)(double, const std::vector<double>&);

void check_same(const std::string& path, Priority compiled) {
  CAPTURE(path);
  auto interpreted = Interpreter::read(text_of(path));
  REQUIRE(interpreted);
  Rng rng(1);
  for (int round = 0; round < 200; ++round) {
    const auto item = static_cast<double>(rng.between(1, 100));
    std::vector<double> bins;
    for (auto count = rng.between(2, 40); count > 0; --count) {
      bins.push_back(static_cast<double>(rng.between(static_cast<std::int64_t>(item), 100)));
    }
    const auto scores = interpreted->run(item, bins);
    const auto expected = compiled(item, bins);
    REQUIRE(scores.size() == expected.size());
    for (std::size_t i = 0; i < scores.size(); ++i) {
      CHECK(std::abs(scores[i] - expected[i]) <= 1e-9 * std::max(1.0, std::abs(expected[i])));
    }
  }
}

TEST_CASE("interpreter: gives the scores of the compiled program", "[unit][bench]") {
  check_same(CAMBRIAN_BIN_PACKING "/seed/priority.cpp", first_fit::priority);
  check_same(CAMBRIAN_BIN_PACKING "/seeds/best_fit.cpp", best_fit::priority);
  check_same(CAMBRIAN_BENCH_PROGRAMS "/joined_program.txt", joined::priority);
}

TEST_CASE("interpreter: reads a program whole or not at all", "[unit][bench]") {
  const std::string program = text_of(CAMBRIAN_BENCH_PROGRAMS "/joined_program.txt");
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = program;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  CHECK(Interpreter::read(program));
  CHECK_FALSE(Interpreter::read(changed("return scores;",
                                        "std::sort(scores.begin(), scores.end());\n"
                                        "  return scores;")));
  CHECK_FALSE(Interpreter::read(changed("1e-2 * static", "left * static")));
  CHECK_FALSE(Interpreter::read(changed("std::size_t k = 0;", "std::size_t k = 1;")));
  CHECK_FALSE(Interpreter::read(changed("std::max_element", "std::min_element")));
}

}  // namespace
}  // namespace cambrian::bench
