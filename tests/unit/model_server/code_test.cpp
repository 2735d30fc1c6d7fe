#include "codegen-client/model_server/mutation/code.hpp"

#include <catch2/catch_test_macros.hpp>

#include "tests/unit/model_server/sample_programs.hpp"

namespace cambrian::codemodel {
namespace {

Code cpp(std::string text) { return Code::parse(std::move(text), Language::cpp).value(); }

std::size_t find(const Code& code, std::string_view word) {
  for (std::size_t i = 0; i < code.size(); ++i) {
    if (code.is(i, word)) return i;
  }
  FAIL("no such token: " << word);
  return 0;
}

std::vector<std::string> texts(const Code& code) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < code.size(); ++i) out.emplace_back(code.at(i));
  return out;
}

TEST_CASE("tokenize: keeps numbers, strings and operators whole", "[unit][model_server]") {
  const Code code = cpp("x += 1.5e-3F; // not this\ns = \"a; b\" /* nor this */ + R\"(c\"d)\";\n");
  CHECK(texts(code) == std::vector<std::string>{"x", "+=", "1.5e-3F", ";", "s", "=", "\"a; b\"",
                                                "+", "R\"(c\"d)\"", ";"});
}

TEST_CASE("tokenize: survives text that never closes", "[unit][model_server]") {
  for (const char* text : {"f((", "\"abc", "/* x", "R\"(", "}}}", "'", "\"\"\"", "0x", "#", "\\"}) {
    CHECK(Code::parse(text, Language::cpp));
    CHECK(Code::parse(text, Language::python));
  }
}

TEST_CASE("Code: finds calls with their arguments", "[unit][model_server]") {
  const Code code = cpp("auto a = torch::nn::Linear(784, f(1, 2));\ntorch::nn::Linear b{3, 4};\n");
  const auto calls = code.calls({"Linear"});
  REQUIRE(calls.size() == 2);
  CHECK(code.at(calls[0].begin) == "torch");
  REQUIRE(calls[0].arguments.size() == 2);
  CHECK(code.text_of(calls[0].arguments[1]) == "f(1, 2)");
  CHECK(code.text_of(calls[1].arguments[0]) == "3");
}

TEST_CASE("Code: finds the statement around a token", "[unit][model_server]") {
  const Code code =
      cpp("int f(int n) {\n  for (int i = 0; i < n; ++i) {\n    g({1, 2}, [&] {\n"
          "      h(3);\n    });\n  }\n  return 4;\n}\n");
  CHECK(code.text_of(code.statement(find(code, "3"))) == "h(3);");
  CHECK(code.text_of(code.statement(find(code, "1"))).starts_with("g({1, 2}, [&] {"));
  CHECK(code.text_of(code.statement(find(code, "4"))) == "return 4;");
  const Code python =
      Code::parse("def f(a,\n      b):\n    x = [1,\n         2]\n    return x\n", Language::python)
          .value();
  CHECK(python.text_of(python.statement(find(python, "2"))) == "x = [1,\n         2]");
  CHECK(python.text_of(python.statement(find(python, "b"))) == "def f(a,\n      b):");
}

TEST_CASE("Code: finds functions, methods and constructors", "[unit][model_server]") {
  const Code code =
      cpp("struct A : B {\n  A(int n) : B(n), size_(n) { go(); }\n"
          "  double get() const override { if (x) { y(); } return 1; }\n};\n"
          "std::vector<double> make(int a) { return {}; }\n");
  std::vector<std::string> names;
  for (const Function& function : code.functions()) names.emplace_back(code.at(function.name));
  CHECK(names == std::vector<std::string>{"A", "get", "make"});
  const Code python = Code::parse(std::string(samples::kPythonTraining), Language::python).value();
  names.clear();
  for (const Function& function : python.functions()) names.emplace_back(python.at(function.name));
  CHECK(names == std::vector<std::string>{"__init__", "forward", "train"});
  CHECK(python.text_of(python.functions()[1].body).ends_with("return self.layers(x)"));
}

TEST_CASE("Code: edits stay inside the evolvable blocks and apart", "[unit][model_server]") {
  const Code code = cpp("int a;\n// EVOLVE-BLOCK-START\nint b;\n// EVOLVE-BLOCK-END\nint c;\n");
  const auto place = [&](std::string_view word) { return code.text().find(word); };
  CHECK(code.apply({{place("b;"), place("b;") + 1, "x"}}).value().find("int x;") !=
        std::string::npos);
  CHECK_FALSE(code.apply({{place("a;"), place("a;") + 1, "x"}}));
  CHECK_FALSE(
      code.apply({{place("b;"), place("b;") + 2, "x"}, {place("b;") + 1, place("b;") + 2, "y"}}));
}

TEST_CASE("Code: refuses broken marks", "[unit][model_server]") {
  CHECK_FALSE(Code::parse("// EVOLVE-BLOCK-START\nint b;\n", Language::cpp));
}

}  // namespace
}  // namespace cambrian::codemodel
