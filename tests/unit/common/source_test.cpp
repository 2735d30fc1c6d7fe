#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

#include "common/base/rng.hpp"
#include "common/digest/sha256.hpp"
#include "common/source/evolve_block.hpp"
#include "common/source/token_digest.hpp"

using cambrian::source::EvolveBlock;
using cambrian::source::find_evolve_blocks;
using cambrian::source::Language;
using cambrian::source::token_digest;

namespace {

bool same(const std::string& a, const std::string& b, Language language) {
  return token_digest(a, language).digest == token_digest(b, language).digest;
}

}  // namespace

TEST_CASE("token_digest: C++ layout and comments do not count", "[unit][source]") {
  const std::string plain = "int f(int a){return a+1;}";
  CHECK(same(plain, "int f( int a )\n{\n  return a + 1; // add\n}\n", Language::cpp));
  CHECK(same(plain, "/* x */ int f(int a) {\r\n\treturn a /* one */ + 1;\r\n}", Language::cpp));
  CHECK(same("int x; // a \\\n int y;\nint z;", "int x; int z;", Language::cpp));
  CHECK(same("int a\\\n;", "int a;", Language::cpp));
  CHECK(token_digest(plain, Language::cpp).count == 13);
}

TEST_CASE("token_digest: C++ names, literals and operators count", "[unit][source]") {
  CHECK_FALSE(same("a + +b", "a ++ b", Language::cpp));
  CHECK_FALSE(same("x = 0.1;", "x = 0.10;", Language::cpp));
  CHECK_FALSE(same("int a;", "int b;", Language::cpp));
  CHECK_FALSE(same("f(\"a b\")", "f(\"a  b\")", Language::cpp));
  CHECK_FALSE(same("f(\"// no\")", "f(\"// yes\")", Language::cpp));
  CHECK_FALSE(same("R\"x(a // )\" b)x\"", "R\"x(a // )\" c)x\"", Language::cpp));
  CHECK(same("R\"(//)\" + 1", "R\"(//)\"  +1", Language::cpp));
  CHECK(same("'\\'' + 1'000", "'\\''+1'000 // '", Language::cpp));
  CHECK(token_digest("1'000.5e-3f+0x1p+4", Language::cpp).count == 3);
  CHECK(token_digest("0xe+1", Language::cpp).count == 3);
  CHECK_FALSE(same("ab c", "a bc", Language::cpp));
}

TEST_CASE("token_digest: the end of a directive counts", "[unit][source]") {
  CHECK_FALSE(same("#define A\nint x;", "#define A int x;", Language::cpp));
  CHECK_FALSE(same("#define f(x) 1\n", "#define f (x) 1\n", Language::cpp));
  CHECK(same("#define A 1 \\\n  2\n", "#  define A 1 2\n", Language::cpp));
  CHECK(same("#include <a>", "#include <a>\n", Language::cpp));
}

TEST_CASE("token_digest: Python indentation and lines count", "[unit][source]") {
  CHECK(same("if a:\n  b\n  c\n", "if a:   # why\n\n      b\n      # no\n      c\n",
             Language::python));
  CHECK(same("if a:\n\tb\n", "if a:\r\n        b\r\n", Language::python));
  CHECK_FALSE(same("if a:\n  b\nc\n", "if a:\n  b\n  c\n", Language::python));
  CHECK_FALSE(same("a\nb", "a b", Language::python));
  CHECK(same("f(1,\n   2)", "f(1, 2)\n", Language::python));
  CHECK(same("a = 1 + \\\n  2", "a = 1 + 2", Language::python));
  CHECK_FALSE(same("x = '''a\n#b'''", "x = '''a\n#c'''", Language::python));
  CHECK(same("x = rb'a#' # c", "x = rb'a#'", Language::python));
  CHECK_FALSE(same("a // b", "a / / b", Language::python));
}

TEST_CASE("token_digest: other languages compare words", "[unit][source]") {
  CHECK(same("a  b\n", " a\tb", Language::other));
  CHECK_FALSE(same("ab", "a b", Language::other));
  CHECK(token_digest("", Language::other).count == 0);
}

TEST_CASE("token_digest: a program's digest names its files", "[unit][source]") {
  const auto one = token_digest({{"a.cpp", "int x;"}, {"b.cpp", "int y;"}}, Language::cpp);
  const auto other = token_digest({{"a.cpp", "int y;"}, {"b.cpp", "int x;"}}, Language::cpp);
  const auto laid_out = token_digest({{"a.cpp", "int  x ;"}, {"b.cpp", "int y;//"}}, Language::cpp);
  CHECK(one.count == 6);
  CHECK(one.digest != other.digest);
  CHECK(one == laid_out);
  CHECK(cambrian::is_sha256_hex(one.digest));
}

TEST_CASE("token_digest: ends on any bytes", "[unit][source]") {
  cambrian::Rng rng(20260);
  const std::string alphabet = "\"'\\\n\r\t #/*R(u8)xe0.+-\xc3\xa4{}[]<>:=";
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (std::uint64_t i = rng.below(24); i > 0; --i) text += alphabet[rng.below(alphabet.size())];
    for (const Language language : {Language::cpp, Language::python, Language::other}) {
      const auto digest = token_digest(text, language);
      REQUIRE(digest.count >= 0);
      REQUIRE(digest == token_digest(text, language));
    }
  }
}

TEST_CASE("find_evolve_blocks: gives the lines between the marks", "[unit][source]") {
  const std::string text = "a\n// EVOLVE-BLOCK-START\nb\nc\n// EVOLVE-BLOCK-END\nd\n";
  const auto blocks = find_evolve_blocks(text);
  REQUIRE(blocks);
  REQUIRE(blocks->size() == 1);
  CHECK(text.substr(blocks->front().begin, blocks->front().end - blocks->front().begin) ==
        "b\nc\n");
  const auto whole = find_evolve_blocks("a\nb");
  REQUIRE(whole);
  CHECK(*whole == std::vector<EvolveBlock>{{.begin = 0, .end = 3}});
  CHECK(find_evolve_blocks("")->size() == 1);
  CHECK(find_evolve_blocks("# EVOLVE-BLOCK-START\n# EVOLVE-BLOCK-END")->front() ==
        EvolveBlock{.begin = 21, .end = 21});
}

TEST_CASE("find_evolve_blocks: refuses marks that do not pair", "[unit][source]") {
  const std::string start = "// EVOLVE-BLOCK-START\n";
  const std::string end = "// EVOLVE-BLOCK-END\n";
  for (const auto& text : {start, end, start + start + end, start + end + end,
                           std::string("EVOLVE-BLOCK-START EVOLVE-BLOCK-END")}) {
    const auto blocks = find_evolve_blocks(text);
    REQUIRE_FALSE(blocks);
    CHECK(blocks.error().code == cambrian::Errc::invalid_argument);
    CHECK(blocks.error().message.find("line=") != std::string::npos);
  }
}
