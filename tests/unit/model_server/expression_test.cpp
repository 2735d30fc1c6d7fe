#include "codegen-client/model_server/mutation/expression.hpp"

#include <catch2/catch_test_macros.hpp>

#include "codegen-client/model_server/mutation/expression_site.hpp"
#include "codegen-client/model_server/mutation/literal.hpp"
#include "tests/unit/model_server/sample_programs.hpp"

namespace cambrian::codemodel {
namespace {

std::optional<Expression> parse(const std::string& text) {
  const Code code = Code::parse(text, Language::cpp).value();
  return parse_expression(code, {0, code.size()});
}

TEST_CASE("print: gives back what was parsed, with the brackets that matter",
          "[unit][model_server]") {
  for (const char* text :
       {"a + b * c", "(a + b) * c", "a - (b - c)", "-(a + b)", "-x * y", "a < b ? c : d + 1",
        "(a < b ? c : d) + 1", "std::max<double>(a, b[i])", "f(x, 2).size() / 3.0", "a && b || !c",
        "-(-x)", "i % 2 == 0 ? 1 : 2", "static_cast<double>(i) * p->q"}) {
    const auto tree = parse(text);
    REQUIRE(tree);
    CHECK(print(*tree) == text);
  }
}

TEST_CASE("parse_expression: leaves alone what is more than arithmetic", "[unit][model_server]") {
  for (const char* text : {"a = b", "x++", "[&] { return 1; }", "{1, 2}", "a << b", "new int(3)",
                           "a ? b", "(a", "", "a b"}) {
    INFO(text);
    CHECK_FALSE(parse(text));
  }
  std::string sum = "1";
  for (int i = 0; i < 5000; ++i) sum += " + a";
  CHECK_FALSE(parse(sum));
  CHECK_FALSE(parse(std::string(200, '(') + "1" + std::string(200, ')')));
}

TEST_CASE("simplified: folds without changing the value", "[unit][model_server]") {
  const auto simple = [](const char* text) { return print(simplified(*parse(text))); };
  CHECK(simple("x + 0") == "x");
  CHECK(simple("1 * (x - x) + y") == "y");
  CHECK(simple("-(-x)") == "x");
  CHECK(simple("2 * 3.5") == "7.0");
  CHECK(simple("2 / 3") == "2 / 3");
  CHECK(simple("0x0 + x") == "0x0 + x");
}

TEST_CASE("guarded_quotient: never divides by zero", "[unit][model_server]") {
  CHECK(print(guarded_quotient(terminal("a"), terminal("b"))) == "a / (std::abs(b) + 1e-6)");
  CHECK(print(guarded_quotient(terminal("a"), number("2.0"))) == "a / 2.0");
  CHECK(print(guarded_quotient(terminal("a"), number("0"))) == "a / (std::abs(0) + 1e-6)");
}

TEST_CASE("find_expression_sites: sees reals with what can be named there",
          "[unit][model_server]") {
  const Code code = Code::parse(std::string(samples::kPriority), Language::cpp).value();
  const auto sites = find_expression_sites(code);
  REQUIRE(sites.size() == 3);
  CHECK(print(sites[2].tree) == "-index + 0.5 * left");
  const auto terms = terms_at(code, sites[2]);
  const auto has = [&](const char* text) {
    return std::find(terms.begin(), terms.end(), terminal(text)) != terms.end();
  };
  CHECK(has("item"));
  CHECK(has("left"));
  CHECK(has("bins[i]"));
  CHECK(has("static_cast<double>(i)"));
  CHECK_FALSE(has("scores"));
  // What is declared further down cannot be named yet.
  for (const auto& term : terms_at(code, sites[0])) CHECK(term.text != "left");
}

TEST_CASE("Literal: keeps kind and suffix", "[unit][model_server]") {
  CHECK(format_like(*parse_literal("0.01F"), 0.5) == "0.5F");
  CHECK(format_like(*parse_literal("64"), 95.6) == "96");
  CHECK(format_like(*parse_literal("1.0"), 3) == "3.0");
  CHECK(parse_literal("1'000")->value == 1000);
  CHECK_FALSE(parse_literal("0x10"));
  CHECK_FALSE(parse_literal("017"));
  CHECK_FALSE(parse_literal("1e999"));
  CHECK_FALSE(parse_literal("3_km"));
}

}  // namespace
}  // namespace cambrian::codemodel
