#include "common/source/constants.hpp"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

#include "common/source/token_digest.hpp"

namespace cambrian::source {
namespace {

std::vector<Constant> found(const std::string& text, Language language = Language::cpp) {
  return find_constants({{"a", text}}, language);
}

std::vector<double> values(const std::string& text, Language language = Language::cpp) {
  std::vector<double> list;
  for (const auto& constant : found(text, language)) list.push_back(constant.value);
  return list;
}

std::string replaced(const std::string& text, const std::vector<double>& values,
                     Language language = Language::cpp) {
  const auto files = replace_constants({{"a", text}}, language, values);
  REQUIRE(files);
  return files->at("a");
}

}  // namespace

TEST_CASE("find_constants: takes numbers with a point or an exponent", "[unit][source]") {
  CHECK(values("x = 0.5 * y + 2e3 - .25f;") == std::vector{0.5, 2000.0, 0.25});
  CHECK(values("x1 = 1. / y2;") == std::vector{1.0});
  CHECK(values("x[3] = 7; y = 0x1p4; z = 0x1.8p1; w = 1'000.5; v = 2.5_km; u = 3u;").empty());
  CHECK(values("d = 1e-9; m = 1e30; k = 1e-6;") == std::vector{1e-6});
  CHECK(values("x = 0.5 + 3 + 1_0.5 + 2.5j", Language::python) == std::vector{0.5});
  CHECK(values("x 0.5", Language::other).empty());
}

TEST_CASE("find_constants: skips comments, texts and directives", "[unit][source]") {
  CHECK(values("// 0.5\nx = 1.5; /* 2.5\n 3.5 */ y = 4.5;") == std::vector{1.5, 4.5});
  CHECK(values("s = \"0.5 \\\" 0.6\"; c = '1'; r = R\"x(0.7 \" )\" 0.8)x\"; y = 0.9;") ==
        std::vector{0.9});
  CHECK(values("#define A 0.5 \\\n 0.6\nx = 0.7;") == std::vector{0.7});
  CHECK(values("// a \\\n 0.5\nx = 0.7;") == std::vector{0.7});
  CHECK(values("# 0.5 \\\nx = '0.6' + \"\"\"\n0.7 ' \"\"\" + str(0.8)", Language::python) ==
        std::vector{0.8});
}

TEST_CASE("find_constants: stays within EVOLVE-BLOCKs and the first twenty", "[unit][source]") {
  CHECK(values("a = 0.5;\n// EVOLVE-BLOCK-START\nb = 1.5;\n// EVOLVE-BLOCK-END\nc = 2.5;\n") ==
        std::vector{1.5});
  CHECK(values("b = 1.5;\n// EVOLVE-BLOCK-END\n").empty());
  std::string many;
  for (int i = 0; i < 30; ++i) many += "f(" + std::to_string(i + 1) + ".5);\n";
  CHECK(values(many).size() == kConstantsMax);
  const std::map<std::string, std::string> files{{"b", "x = 1.5;"}, {"a", "x = 2.5;"}};
  const auto both = find_constants(files, Language::cpp);
  REQUIRE(both.size() == 2);
  CHECK(both[0].value == 2.5);
}

TEST_CASE("find_constants: marks choose the numbers and their bounds", "[unit][source]") {
  const auto rate = found("a = 0.5;\nb = 0.1;  // TUNE [0.001, 1] log\nc = 0.7;\n");
  CHECK(rate == std::vector<Constant>{{0.1, 0.001, 1, true}});
  CHECK(found("n = 8;  // TUNE [2, 64]\n") == std::vector<Constant>{{8, 2, 64, false}});
  CHECK(found("n = 8  # width TUNE\n", Language::python) ==
        std::vector<Constant>{{8, 2, 32, true}});
  // Without a mark that can be read: a quarter to four times; the value lies within its bounds.
  CHECK(found("x = 0.5;  // TUNE [3, 1]\n") == std::vector<Constant>{{0.5, 0.125, 2, true}});
  CHECK(found("x = 0.5;  // TUNE [0, 1] log\n") == std::vector<Constant>{{0.5, 0.125, 2, true}});
  CHECK(found("x = 9.0;  // TUNE [0, 1]\n") == std::vector<Constant>{{1, 0, 1, false}});
  CHECK(found("x = 0.0;\n") == std::vector<Constant>{{0, -1, 1, false}});
  // Other words, and numbers behind the mark, are not meant.
  CHECK(values("a = 0.5; // TUNED\nb = 1.5; // AUTOTUNE\n") == std::vector{0.5, 1.5});
  CHECK(values("a = 0.5; /* TUNE */ b = 1.5;\n") == std::vector{0.5});
}

TEST_CASE("replace_constants: changes the numbers and nothing else", "[unit][source]") {
  const std::string text = "x = 0.50f * y - 2.0; // 0.7\nz = 3;\n";
  CHECK(replaced(text, {0.5, 2}) == text);
  CHECK(replaced(text, {0.123456789, -2}) == "x = 0.123457f * y - (-2.0); // 0.7\nz = 3;\n");
  CHECK(replaced("n = 8; // TUNE\n", {12.6}) == "n = 13; // TUNE\n");
  CHECK(replaced("x = 2.5;", {1e-7}) == "x = 1e-07;");
  CHECK_FALSE(replace_constants({{"a", text}}, Language::cpp, std::vector{0.5}));
  CHECK_FALSE(replace_constants({{"a", "x = 0.5;"}}, Language::cpp, std::vector{1.0 / 0.0}));
}

TEST_CASE("replace_constants: what it writes is found again", "[unit][source]") {
  const std::string text = "f(0.5, 1.25e2, 0.0, 7.5f);";
  const std::vector<double> chosen = {0.75, 40, 0.25, 9.5};
  const std::string once = replaced(text, chosen);
  CHECK(values(once) == chosen);
  CHECK(token_digest(once, Language::cpp).count == token_digest(text, Language::cpp).count);
}

}  // namespace cambrian::source
