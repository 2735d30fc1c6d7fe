#include "codegen-client/model_server/mutation/expression_grammar.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "codegen-client/model_server/mutation/literal.hpp"

namespace cambrian::codemodel {
namespace {

using Kind = Expression::Kind;

Expression magnitude(Expression inner) { return call("std::abs", {std::move(inner)}); }

Expression square(Expression inner) {
  Expression copy = inner;
  return binary("*", std::move(inner), std::move(copy));
}

/// Even over the orders of magnitude between two bounds.
Expression log_spread(double low, double high, Rng& rng) {
  return number(format_real(low * std::pow(high / low, rng.uniform())));
}

Expression random_range(const Expression& term, Rng& rng) {
  const double low = std::exp(0.9 + rng.normal());
  const double high = low * std::exp(0.4 + 2.6 * rng.uniform());
  return binary("&&", binary(">", term, number(format_real(low))),
                binary("<", term, number(format_real(high))));
}

/// Names that the function computes itself are there for a purpose, casts of counters and lengths
/// rarely are; what conditions already look at has more than one threshold.
double weight_of(const Expression& term, const std::vector<Variable>& variables,
                 const ExpressionSite& site) {
  if (term.text.ends_with(')')) return 0.4;
  if (term.text.find("std::") != std::string::npos) return 0.2;
  double weight = 1;
  for (const Variable& variable : variables) {
    if (variable.name == term.text && variable.token >= site.function->body.begin) weight = 2;
  }
  Expression tree = site.tree;
  for (Expression* node : nodes(tree)) {
    if (!is_boolean(*node)) continue;
    const auto& sides = node->children;
    if (std::find(sides.begin(), sides.end(), term) != sides.end()) weight += 1;
  }
  return weight;
}

Expression unchecked_expression(const Grammar& grammar, int depth, Rng& rng) {
  if (depth <= 0 || rng.chance(0.2)) return random_term(grammar, rng);
  Expression left = unchecked_expression(grammar, depth - 1, rng);
  if (grammar.has_mathematics && rng.chance(0.25)) return wrapped(std::move(left), rng);
  if (rng.chance(0.1)) {
    Expression other = unchecked_expression(grammar, depth - 1, rng);
    return conditional(random_condition(grammar, rng), std::move(left), std::move(other));
  }
  Expression right = unchecked_expression(grammar, depth - 1, rng);
  return combined(std::move(left), std::move(right), grammar, rng);
}

bool depends_on_input(Expression& tree) {
  for (const Expression* node : nodes(tree)) {
    if (node->kind == Kind::terminal) return true;
  }
  return false;
}

Expression named_term(const Grammar& grammar, Rng& rng) {
  Expression term = random_term(grammar, rng);
  for (int tries = 0; tries < 4 && term.kind == Kind::number; ++tries) {
    term = random_term(grammar, rng);
  }
  return term;
}

}  // namespace

Grammar grammar_at(const Code& code, const ExpressionSite& site) {
  const std::string& text = code.text();
  const bool has_mathematics =
      text.find("<cmath>") != std::string::npos || text.find("torch") != std::string::npos;
  Grammar grammar{.terms = terms_at(code, site), .weights = {}, .has_mathematics = has_mathematics};
  const auto variables = variables_of(code, *site.function);
  for (const Expression& term : grammar.terms) {
    grammar.weights.push_back(weight_of(term, variables, site));
  }
  return grammar;
}

Expression random_constant(Rng& rng) {
  static constexpr std::array<double, 9> kRound = {0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20};
  if (rng.chance(0.4)) return number(format_real(kRound[rng.below(kRound.size())]));
  return log_spread(0.02, 50, rng);
}

Expression random_threshold(Rng& rng) {
  return number(format_real(std::exp(1.2 + 1.3 * rng.normal())));
}

Expression random_term(const Grammar& grammar, Rng& rng) {
  if (grammar.terms.empty() || rng.chance(0.2)) return random_constant(rng);
  return grammar.terms[rng.weighted(grammar.weights)];
}

Expression random_expression(const Grammar& grammar, int depth, Rng& rng) {
  Expression made = unchecked_expression(grammar, depth, rng);
  for (int tries = 0; tries < 4 && !depends_on_input(made); ++tries) {
    made = unchecked_expression(grammar, depth, rng);
  }
  return made;
}

Expression random_condition(const Grammar& grammar, Rng& rng) {
  const char* op = rng.chance(0.5) ? "<" : ">";
  Expression left = named_term(grammar, rng);
  switch (rng.below(8)) {
    case 0:
    case 1: return random_range(left, rng);
    case 2: {  // How two values relate.
      Expression right = named_term(grammar, rng);
      if (right == left) right = random_threshold(rng);
      if (rng.chance(0.6)) right = binary("*", log_spread(0.05, 3, rng), std::move(right));
      return binary(op, std::move(left), std::move(right));
    }
    case 3: {  // How far apart they are.
      Expression other = named_term(grammar, rng);
      if (!(other == left)) left = binary("-", std::move(left), std::move(other));
      return binary(op, std::move(left), random_threshold(rng));
    }
    default: return binary(op, std::move(left), random_threshold(rng));
  }
}

Expression random_shape(const Grammar& grammar, Rng& rng) {
  Expression term = named_term(grammar, rng);
  if (rng.chance(0.15)) {
    Expression other = named_term(grammar, rng);
    if (!(other == term)) term = binary("-", std::move(term), std::move(other));
  }
  // Small ones rarely change an order.
  Expression height = log_spread(5, 2000, rng);
  const auto shifted = [&] { return binary("-", std::move(term), random_threshold(rng)); };
  switch (rng.below(grammar.has_mathematics ? 8 : 5)) {
    case 0:
    case 1:
    case 2: return conditional(random_range(term, rng), std::move(height), number("0.0"));
    case 3:
    case 4: {
      Expression bound = random_threshold(rng);
      return conditional(binary("<", std::move(term), std::move(bound)), std::move(height),
                         number("0.0"));
    }
    // One draw after the other: as arguments of one call they would come as the compiler likes.
    case 5: {
      Expression slope = log_spread(0.1, 20, rng);
      return binary("*", std::move(slope), call("std::max<double>", {shifted(), number("0.0")}));
    }
    case 6: {
      Expression from = magnitude(shifted());
      Expression distance = binary("/", std::move(from), log_spread(1, 30, rng));
      return binary("*", std::move(height), call("std::exp", {unary("-", std::move(distance))}));
    }
    default: return guarded_quotient(std::move(height), std::move(term));
  }
}

Expression wrapped(Expression inner, Rng& rng) {
  const auto scaled = [&rng](Expression x) {
    return rng.chance(0.3) ? std::move(x) : binary("/", std::move(x), log_spread(0.5, 50, rng));
  };
  switch (rng.below(9)) {
    case 0: return call("std::sqrt", {magnitude(std::move(inner))});
    case 1: return call("std::log1p", {magnitude(std::move(inner))});
    case 2:
    case 3: return call("std::exp", {unary("-", magnitude(scaled(std::move(inner))))});
    case 4: return call("std::tanh", {scaled(std::move(inner))});
    case 5: return magnitude(std::move(inner));
    case 6: return unary("-", std::move(inner));
    case 7: {
      static constexpr std::array<const char*, 5> kPowers = {"0.3", "0.7", "1.5", "3.0", "4.0"};
      return call("std::pow",
                  {magnitude(std::move(inner)), number(kPowers[rng.below(kPowers.size())])});
    }
    default: return square(std::move(inner));
  }
}

Expression combined(Expression left, Expression right, const Grammar& grammar, Rng& rng) {
  switch (rng.below(grammar.has_mathematics ? 8 : 5)) {
    case 0:
    case 1: return binary("+", std::move(left), std::move(right));
    case 2:
    case 3: return binary("-", std::move(left), std::move(right));
    case 4: return binary("*", std::move(left), std::move(right));
    case 5: return guarded_quotient(std::move(left), std::move(right));
    case 6: return call("std::max<double>", {std::move(left), std::move(right)});
    default: return call("std::min<double>", {std::move(left), std::move(right)});
  }
}

double moved_constant(double value, Rng& rng) {
  static constexpr std::array<double, 4> kFromZero = {0.01, 0.1, 1, 10};
  if (value == 0) return kFromZero[rng.below(kFromZero.size())];
  // Most steps look close by, some far away.
  const double spread = rng.chance(0.5) ? 0.2 : rng.chance(0.7) ? 0.6 : 1.8;
  double shift = spread * rng.normal();
  if (std::abs(shift) < 0.03) shift = rng.chance(0.5) ? 0.1 : -0.1;
  return value * std::exp(shift);
}

}  // namespace cambrian::codemodel
