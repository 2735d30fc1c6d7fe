// Genetic programming on the arithmetic of plain C++ functions. Every result is well typed: terms
// are real numbers, quotients, roots and logarithms are guarded.
#include <algorithm>
#include <array>
#include <cmath>

#include "codegen-client/model_server/mutation/expression_site.hpp"
#include "codegen-client/model_server/mutation/literal.hpp"
#include "codegen-client/model_server/mutation/operator.hpp"

namespace cambrian::codemodel {
namespace {

using Kind = Expression::Kind;

/// Larger trees are hard to read and no longer get better by chance.
constexpr std::size_t kTreeNodesMax = 90;

bool has_mathematics(const Code& code) {
  return code.text().find("<cmath>") != std::string::npos ||
         code.text().find("torch") != std::string::npos;
}

Expression random_constant(Rng& rng) {
  static constexpr std::array<double, 9> kRound = {0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20};
  if (rng.chance(0.5)) return number(format_real(kRound[rng.below(kRound.size())]));
  return number(format_real(std::exp(1.5 * rng.normal())));
}

/// Named values are likelier than casts of counters and lengths.
Expression random_term(const std::vector<Expression>& terms, Rng& rng) {
  if (terms.empty() || rng.chance(0.2)) return random_constant(rng);
  std::vector<double> weights;
  for (const Expression& term : terms) weights.push_back(term.text.ends_with(')') ? 0.4 : 1.0);
  return terms[rng.weighted(weights)];
}

Expression square(Expression inner) {
  Expression copy = inner;
  return binary("*", std::move(inner), std::move(copy));
}

Expression wrapped(Expression inner, Rng& rng) {
  const auto magnitude = [](Expression x) { return call("std::abs", {std::move(x)}); };
  switch (rng.below(7)) {
    case 0: return call("std::sqrt", {magnitude(std::move(inner))});
    case 1: return call("std::log1p", {magnitude(std::move(inner))});
    case 2: return call("std::exp", {unary("-", magnitude(std::move(inner)))});
    case 3: return call("std::tanh", {std::move(inner)});
    case 4: return magnitude(std::move(inner));
    case 5: return unary("-", std::move(inner));
    default: return square(std::move(inner));
  }
}

Expression combined(Expression left, Expression right, bool has_math, Rng& rng) {
  switch (rng.below(has_math ? 7 : 4)) {
    case 0:
    case 1: return binary("+", std::move(left), std::move(right));
    case 2: return binary("-", std::move(left), std::move(right));
    case 3: return binary("*", std::move(left), std::move(right));
    case 4: return guarded_quotient(std::move(left), std::move(right));
    case 5: return call("std::max<double>", {std::move(left), std::move(right)});
    default: return call("std::min<double>", {std::move(left), std::move(right)});
  }
}

Expression random_expression(const std::vector<Expression>& terms, int depth, bool has_math,
                             Rng& rng) {
  if (depth <= 0 || rng.chance(0.2)) return random_term(terms, rng);
  Expression left = random_expression(terms, depth - 1, has_math, rng);
  if (has_math && rng.chance(0.25)) return wrapped(std::move(left), rng);
  Expression right = random_expression(terms, depth - 1, has_math, rng);
  return combined(std::move(left), std::move(right), has_math, rng);
}

/// Sums and products of constants only would not depend on the input.
Expression random_dependent(const std::vector<Expression>& terms, int depth, bool has_math,
                            Rng& rng) {
  Expression made = random_expression(terms, depth, has_math, rng);
  for (int tries = 0; tries < 4; ++tries) {
    for (const Expression* node : nodes(made)) {
      if (node->kind == Kind::terminal) return made;
    }
    made = random_expression(terms, depth, has_math, rng);
  }
  return made;
}

/// A bound for comparisons: from below one to some tens.
Expression random_threshold(Rng& rng) {
  return number(format_real(std::exp(1.0 + 1.3 * rng.normal())));
}

/// What stands in the other branch: the same shifted, scaled or turned round, something that beats
/// everything else, now and then something new.
Expression varied(const Expression& own, const std::vector<Expression>& terms, bool has_math,
                  Rng& rng) {
  static constexpr std::array<const char*, 4> kLarge = {"10.0", "100.0", "1000.0", "10000.0"};
  switch (rng.below(9)) {
    case 0: return binary("+", own, random_threshold(rng));
    case 1: return binary("-", own, random_threshold(rng));
    case 2: return binary("+", own, number(kLarge[rng.below(kLarge.size())]));
    case 3: return binary("-", own, number(kLarge[rng.below(kLarge.size())]));
    case 4: return binary("*", random_constant(rng), own);
    case 5: return unary("-", own);
    case 6: return combined(own, random_term(terms, rng), has_math, rng);
    default: return random_dependent(terms, 2, has_math, rng);
  }
}

/// `std::max(a, b)` deduces one type from two: with other operands it needs to be told.
void fix_deduction(Expression& root) {
  for (Expression* node : nodes(root)) {
    if (node->kind != Kind::call) continue;
    for (const char* name : {"std::max", "std::min", "std::clamp"}) {
      if (node->text == name) node->text += "<double>";
    }
  }
}

std::string shortened(std::string text) {
  constexpr std::size_t kBytesMax = 90;
  if (text.size() > kBytesMax) text = text.substr(0, kBytesMax) + "...";
  return text;
}

std::optional<Mutation> finish(const Context& context, const ExpressionSite& site,
                               const Expression& tree) {
  Expression result = simplified(tree);
  fix_deduction(result);
  if (size_of(result) > kTreeNodesMax) return std::nullopt;
  // Dropping `+ 0` changes the text only.
  if (result == simplified(site.tree)) return std::nullopt;
  const std::string before = print(site.tree);
  const std::string after = print(result);
  if (before == after) return std::nullopt;
  return Mutation{
      .edits = {replace(context.code, site.range, after)},
      .note = "compute `" + shortened(after) + "` instead of `" + shortened(before) + "`"};
}

/// A place and what can be named there.
struct Draw : ExpressionSite {
  std::vector<Expression> terms;
};

/// Draws a site; results are likelier than steps on the way, and longer expressions than short
/// ones: they hold more to change.
std::optional<Draw> draw_site(const Context& context) {
  auto sites = find_expression_sites(context.code);
  if (sites.empty()) return std::nullopt;
  std::vector<double> weights;
  for (const auto& site : sites) {
    weights.push_back((site.is_result ? 8.0 : 1.0) * std::sqrt(size_of(site.tree)));
  }
  Draw draw{std::move(sites[context.rng.weighted(weights)]), {}};
  draw.terms = terms_at(context.code, draw);
  return draw;
}

Expression& draw_node(Expression& tree, Rng& rng) {
  const auto candidates = numeric_nodes(tree);
  return candidates.empty() ? tree : *rng.pick(candidates);
}

}  // namespace

std::optional<Mutation> grow_expression(const Context& context) {
  auto site = draw_site(context);
  if (!site) return std::nullopt;
  const bool has_math = has_mathematics(context.code);
  Expression extra = random_dependent(site->terms, static_cast<int>(context.rng.between(1, 2)),
                                      has_math, context.rng);
  if (has_math && context.rng.chance(0.2)) {
    // Large where something is close to zero: a bonus for what fits exactly.
    extra = guarded_quotient(random_threshold(context.rng), std::move(extra));
  } else if (context.rng.chance(0.5)) {
    extra = binary("*", random_constant(context.rng), std::move(extra));
  }
  Expression tree = site->tree;
  Expression& node = context.rng.chance(0.6) ? tree : draw_node(tree, context.rng);
  Expression grown = combined(std::move(node), std::move(extra), has_math, context.rng);
  node = std::move(grown);
  return finish(context, *site, tree);
}

std::optional<Mutation> replace_subtree(const Context& context) {
  auto site = draw_site(context);
  if (!site) return std::nullopt;
  Expression tree = site->tree;
  Expression& node = draw_node(tree, context.rng);
  node = random_dependent(site->terms, static_cast<int>(context.rng.between(0, 3)),
                          has_mathematics(context.code), context.rng);
  return finish(context, *site, tree);
}

std::optional<Mutation> swap_operation(const Context& context) {
  auto site = draw_site(context);
  if (!site) return std::nullopt;
  Expression tree = site->tree;
  std::vector<Expression*> operations;
  for (Expression* node : nodes(tree)) {
    const bool is_operation =
        node->kind == Kind::binary && node->text != "%" && node->text != "&&" && node->text != "||";
    if (is_operation || (node->kind == Kind::unary && node->text == "-")) {
      operations.push_back(node);
    }
  }
  if (operations.empty()) return std::nullopt;
  Expression& node = *context.rng.pick(operations);
  if (node.kind == Kind::unary) {
    Expression inner = std::move(node.children[0]);
    node = std::move(inner);
  } else if (is_boolean(node)) {
    static const std::vector<std::string> kComparisons = {"<", ">", "<=", ">="};
    node.text = context.rng.pick(kComparisons);
  } else {
    Expression left = std::move(node.children[0]);
    Expression right = std::move(node.children[1]);
    if (context.rng.chance(0.25)) std::swap(left, right);
    node = combined(std::move(left), std::move(right), has_mathematics(context.code), context.rng);
  }
  return finish(context, *site, tree);
}

std::optional<Mutation> wrap_in_function(const Context& context) {
  if (!has_mathematics(context.code)) return std::nullopt;
  auto site = draw_site(context);
  if (!site) return std::nullopt;
  Expression tree = site->tree;
  Expression& node = draw_node(tree, context.rng);
  Expression inner = std::move(node);
  node = wrapped(std::move(inner), context.rng);
  return finish(context, *site, tree);
}

std::optional<Mutation> insert_conditional(const Context& context) {
  auto site = draw_site(context);
  if (!site || site->terms.empty()) return std::nullopt;
  Rng& rng = context.rng;
  Expression left = random_term(site->terms, rng);
  if (left.kind == Kind::number) left = rng.pick(site->terms);
  Expression right = random_threshold(rng);
  if (rng.chance(0.35)) {
    right = random_term(site->terms, rng);
    if (right == left) right = random_threshold(rng);
    if (rng.chance(0.5)) right = binary("*", random_constant(rng), std::move(right));
  }
  Expression condition = binary(rng.chance(0.5) ? "<" : ">", std::move(left), std::move(right));
  Expression tree = site->tree;
  Expression& node = rng.chance(0.75) ? tree : draw_node(tree, rng);
  Expression other = varied(node, site->terms, has_mathematics(context.code), rng);
  Expression own = std::move(node);
  node = conditional(std::move(condition), std::move(own), std::move(other));
  return finish(context, *site, tree);
}

std::optional<Mutation> hoist_subtree(const Context& context) {
  auto site = draw_site(context);
  if (!site) return std::nullopt;
  Expression tree = site->tree;
  std::vector<Expression*> inner;
  for (Expression* node : numeric_nodes(tree)) {
    if (!node->children.empty()) inner.push_back(node);
  }
  if (inner.empty()) return std::nullopt;
  Expression& node = *context.rng.pick(inner);
  std::vector<Expression> parts;
  for (const Expression& child : node.children) {
    if (!is_boolean(child)) parts.push_back(child);
  }
  if (parts.empty()) return std::nullopt;
  node = context.rng.pick(parts);
  return finish(context, *site, tree);
}

std::optional<Mutation> graft_subtree(const Context& context) {
  if (context.donors.empty()) return std::nullopt;
  auto site = draw_site(context);
  if (!site) return std::nullopt;
  auto donated = find_expression_sites(context.rng.pick(context.donors));
  if (donated.empty()) return std::nullopt;
  ExpressionSite& donor = donated[context.rng.below(donated.size())];
  Expression graft = draw_node(donor.tree, context.rng);
  for (const Expression* node : nodes(graft)) {
    const bool is_known =
        node->kind != Kind::terminal ||
        std::find(site->terms.begin(), site->terms.end(), *node) != site->terms.end();
    if (!is_known) return std::nullopt;
  }
  Expression tree = site->tree;
  Expression& node = draw_node(tree, context.rng);
  if (context.rng.chance(0.5)) {
    Expression own = std::move(node);
    node = binary("+", std::move(own), std::move(graft));
  } else {
    node = std::move(graft);
  }
  return finish(context, *site, tree);
}

}  // namespace cambrian::codemodel
