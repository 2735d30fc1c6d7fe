#include "codegen-client/model_server/mutation/expression.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <map>
#include <set>

#include "codegen-client/model_server/mutation/expression_grammar.hpp"
#include "codegen-client/model_server/mutation/expression_site.hpp"
#include "codegen-client/model_server/mutation/literal.hpp"
#include "codegen-client/model_server/mutation/number_role.hpp"
#include "codegen-client/model_server/mutation/operator.hpp"
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
  CHECK(simple("1024.0 - 1.0") == "1023.0");
  CHECK(simple("0.1 * 3.0") == "0.30000000000000004");
  CHECK(simple("x / (2 * 3)") == "x / 6");
  CHECK(simple("i % (2 * 3)") == "i % (2 * 3)");
  CHECK(simple("i % 2 == 0 ? 1.5 + 1.5 : x") == "i % 2 == 0 ? 3.0 : x");
  CHECK(simple("2000000000 + 2000000000") == "2000000000 + 2000000000");
  CHECK(simple("1.5f + 1.5f") == "1.5f + 1.5f");
  CHECK(simple("2 / 3") == "2 / 3");
  CHECK(simple("0x0 + x") == "0x0 + x");
  CHECK(simple("x + -y") == "x - y");
  CHECK(simple("x - -y") == "x + y");
  CHECK(simple("a < b ? x : x") == "x");
  CHECK(simple("a < b ? (a < b ? x : y) : z") == "a < b ? x : z");
  CHECK(simple("a < b ? x : a < b ? y : z") == "a < b ? x : z");
  CHECK(simple("std::max<double>(x, x + 0)") == "x");
}

using Values = std::map<std::string, double>;

/// The value of what the grammar makes; NaN for anything else.
double evaluate(const Expression& node, const Values& values) {
  const auto child = [&](std::size_t i) { return evaluate(node.children.at(i), values); };
  const std::string& op = node.text;
  switch (node.kind) {
    case Expression::Kind::number: return parse_literal(op).value().value;
    case Expression::Kind::terminal: return values.at(op);
    case Expression::Kind::unary: return op == "-" ? -child(0) : NAN;
    case Expression::Kind::conditional: return child(0) != 0 ? child(1) : child(2);
    case Expression::Kind::binary:
      if (op == "+") return child(0) + child(1);
      if (op == "-") return child(0) - child(1);
      if (op == "*") return child(0) * child(1);
      if (op == "/") return child(0) / child(1);
      if (op == "<") return child(0) < child(1) ? 1 : 0;
      if (op == ">") return child(0) > child(1) ? 1 : 0;
      return op == "&&" ? (child(0) != 0 && child(1) != 0 ? 1 : 0) : NAN;
    case Expression::Kind::call: break;
  }
  if (op == "std::abs") return std::abs(child(0));
  if (op == "std::sqrt") return std::sqrt(child(0));
  if (op == "std::log1p") return std::log1p(child(0));
  if (op == "std::exp") return std::exp(child(0));
  if (op == "std::tanh") return std::tanh(child(0));
  if (op == "std::pow") return std::pow(child(0), child(1));
  if (op == "std::max<double>") return std::max(child(0), child(1));
  return op == "std::min<double>" ? std::min(child(0), child(1)) : NAN;
}

TEST_CASE("random_expression: finite for all values, and prints to what is read back",
          "[unit][model_server]") {
  const Grammar grammar{.terms = {terminal("a"), terminal("b"), terminal("v[i]")},
                        .weights = {1, 2, 0.5},
                        .has_mathematics = true};
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Rng rng(seed);
    for (const Expression& made :
         {random_expression(grammar, 3, rng), random_shape(grammar, rng),
          conditional(random_condition(grammar, rng), number("1.0"), number("2.0"))}) {
      INFO("seed=" << seed << " " << print(made));
      const auto read = parse(print(made));
      REQUIRE(read);
      CHECK(print(*read) == print(made));
      for (const double a : {-100.0, 0.0, 100.0}) {
        for (const double b : {-7.0, 0.0, 3e3}) {
          const Values values{{"a", a}, {"b", b}, {"v[i]", a - b}};
          const double value = evaluate(made, values);
          REQUIRE(std::isfinite(value));
          CHECK(std::abs(evaluate(simplified(made), values) - value) <=
                1e-2 * std::abs(value) + 1e-6);
        }
      }
    }
  }
}

TEST_CASE("tune_constant: moves numbers, but not the guard of a division", "[unit][model_server]") {
  const Code code = Code::parse(std::string(samples::kPiecewise), Language::cpp).value();
  std::set<std::string> texts;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Rng rng(seed);
    const auto mutation = tune_constant({.code = code, .donors = {}, .rng = rng});
    if (!mutation) continue;
    texts.insert(code.apply(mutation->edits).value());
    CHECK(texts.rbegin()->find("+ 1e-6)") != std::string::npos);
  }
  CHECK(texts.size() > 20);
  for (const NumberSite& site : find_numbers(code)) CHECK(site.literal.value > 1);
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
  CHECK(has("bins[std::max<std::size_t>(i, 1) - 1]"));
  CHECK(has("bins[std::min<std::size_t>(i + 1, bins.size() - 1)]"));
  CHECK_FALSE(has("scores"));
  // What is declared further down cannot be named yet.
  for (const auto& term : terms_at(code, sites[0])) CHECK(term.text != "left");
}

TEST_CASE("find_expression_sites: a reference is not bound to what is computed",
          "[unit][model_server]") {
  const Code code = Code::parse(
                        "// EVOLVE-BLOCK-START\ndouble f(std::vector<double>& v) {\n"
                        "  double& last = v[0];\n  const double& first = v[1];\n"
                        "  last = first + 1.0;\n  return last;\n}\n// EVOLVE-BLOCK-END\n",
                        Language::cpp)
                        .value();
  std::set<std::string> texts;
  for (const auto& site : find_expression_sites(code)) texts.insert(print(site.tree));
  CHECK(texts == std::set<std::string>{"v[1]", "first + 1.0", "last"});
}

TEST_CASE("add_aggregate: names its value in its own function only", "[unit][model_server]") {
  std::string text(samples::kPriority);
  const std::string at = "std::vector<double> priority(";
  text.insert(text.find(at), "double scaled(double x) {\n  return 0.5 * x + 1.0;\n}\n");
  const Code code = Code::parse(text, Language::cpp).value();
  int made = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    INFO("seed=" << seed);
    Rng rng(seed);
    const auto mutation = add_aggregate({.code = code, .donors = {}, .rng = rng});
    if (!mutation) continue;
    ++made;
    const std::string changed = code.apply(mutation->edits).value();
    CHECK(changed.find("st_bins") > changed.find(at));
  }
  CHECK(made > 20);
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
