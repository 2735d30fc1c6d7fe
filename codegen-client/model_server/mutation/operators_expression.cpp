// Genetic programming on the arithmetic of plain C++ functions. Every result is well typed: terms
// are real numbers, quotients, roots and logarithms are guarded.
#include <algorithm>
#include <array>
#include <cmath>

#include "codegen-client/model_server/mutation/expression_grammar.hpp"
#include "codegen-client/model_server/mutation/literal.hpp"
#include "codegen-client/model_server/mutation/operator.hpp"

namespace cambrian::codemodel {
namespace {

using Kind = Expression::Kind;

/// Larger trees are hard to read and no longer get better by chance.
constexpr std::size_t kTreeNodesMax = 90;

/// What stands in the other branch: the same shifted, scaled or turned round, something that beats
/// everything else, now and then something new.
Expression varied(const Expression& own, const Grammar& grammar, Rng& rng) {
  static constexpr std::array<const char*, 4> kLarge = {"10.0", "100.0", "1000.0", "10000.0"};
  switch (rng.below(9)) {
    case 0: return binary("+", own, random_threshold(rng));
    case 1: return binary("-", own, random_threshold(rng));
    case 2: return binary("+", own, number(kLarge[rng.below(kLarge.size())]));
    case 3: return binary("-", own, number(kLarge[rng.below(kLarge.size())]));
    case 4: return binary("*", random_constant(rng), own);
    case 5: return unary("-", own);
    case 6: return combined(own, random_term(grammar, rng), grammar, rng);
    default: return random_expression(grammar, 2, rng);
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
  Grammar grammar;
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
  draw.grammar = grammar_at(context.code, draw);
  return draw;
}

Expression& draw_node(Expression& tree, Rng& rng) {
  const auto candidates = numeric_nodes(tree);
  return candidates.empty() ? tree : *rng.pick(candidates);
}

std::vector<Expression*> nodes_of(Expression& tree, Kind kind) {
  std::vector<Expression*> found = nodes(tree);
  std::erase_if(found, [kind](const Expression* node) { return node->kind != kind; });
  return found;
}

/// True when everything that a part of another program names can be named here.
bool is_known(Expression& part, const std::vector<Expression>& terms) {
  const auto named = nodes_of(part, Kind::terminal);
  return std::all_of(named.begin(), named.end(), [&](const Expression* node) {
    return std::find(terms.begin(), terms.end(), *node) != terms.end();
  });
}

}  // namespace

std::optional<Mutation> grow_expression(const Context& context) {
  auto site = draw_site(context);
  if (!site) return std::nullopt;
  Rng& rng = context.rng;
  const Grammar& grammar = site->grammar;
  Expression extra = random_expression(grammar, static_cast<int>(rng.between(1, 2)), rng);
  if (grammar.has_mathematics && rng.chance(0.2)) {
    // Large where something is close to zero: a bonus for what fits exactly.
    extra = guarded_quotient(random_threshold(rng), std::move(extra));
  } else if (rng.chance(0.5)) {
    extra = binary("*", random_constant(rng), std::move(extra));
  }
  Expression tree = site->tree;
  Expression& node = rng.chance(0.6) ? tree : draw_node(tree, rng);
  Expression grown = combined(std::move(node), std::move(extra), grammar, rng);
  node = std::move(grown);
  return finish(context, *site, tree);
}

std::optional<Mutation> replace_subtree(const Context& context) {
  auto site = draw_site(context);
  if (!site) return std::nullopt;
  Expression tree = site->tree;
  Expression& node = draw_node(tree, context.rng);
  node = random_expression(site->grammar, static_cast<int>(context.rng.between(0, 3)), context.rng);
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
    node = combined(std::move(left), std::move(right), site->grammar, context.rng);
  }
  return finish(context, *site, tree);
}

std::optional<Mutation> wrap_in_function(const Context& context) {
  auto site = draw_site(context);
  if (!site || !site->grammar.has_mathematics) return std::nullopt;
  Expression tree = site->tree;
  Expression& node = draw_node(tree, context.rng);
  Expression inner = std::move(node);
  node = wrapped(std::move(inner), context.rng);
  return finish(context, *site, tree);
}

std::optional<Mutation> insert_conditional(const Context& context) {
  auto site = draw_site(context);
  if (!site || site->grammar.terms.empty()) return std::nullopt;
  Rng& rng = context.rng;
  Expression tree = site->tree;
  Expression& node = rng.chance(0.6) ? tree : draw_node(tree, rng);
  Expression own = std::move(node);
  Expression other = varied(own, site->grammar, rng);
  node = conditional(random_condition(site->grammar, rng), std::move(own), std::move(other));
  return finish(context, *site, tree);
}

std::optional<Mutation> add_shape(const Context& context) {
  auto site = draw_site(context);
  if (!site || site->grammar.terms.empty()) return std::nullopt;
  const char* sign = context.rng.chance(0.5) ? "+" : "-";
  Expression shape = random_shape(site->grammar, context.rng);
  return finish(context, *site, binary(sign, site->tree, std::move(shape)));
}

std::optional<Mutation> change_condition(const Context& context) {
  auto site = draw_site(context);
  if (!site || site->grammar.terms.empty()) return std::nullopt;
  Rng& rng = context.rng;
  Expression tree = site->tree;
  const auto choices = nodes_of(tree, Kind::conditional);
  if (choices.empty()) return std::nullopt;
  Expression& node = *rng.pick(choices);
  Expression& condition = node.children[0];
  switch (rng.below(4)) {
    case 0: condition = random_condition(site->grammar, rng); break;
    case 1: std::swap(node.children[1], node.children[2]); break;
    case 2: {  // Less often, or more often.
      Expression before = std::move(condition);
      const char* join = rng.chance(0.6) ? "&&" : "||";  // Drawn before the condition.
      condition = binary(join, std::move(before), random_condition(site->grammar, rng));
      break;
    }
    default: {  // A new value for one of the cases.
      Expression& branch = node.children[1 + rng.below(2)];
      branch = varied(branch, site->grammar, rng);
    }
  }
  return finish(context, *site, tree);
}

std::optional<Mutation> tune_constant(const Context& context) {
  auto site = draw_site(context);
  if (!site) return std::nullopt;
  Rng& rng = context.rng;
  Expression tree = site->tree;
  auto constants = nodes_of(tree, Kind::number);
  if (constants.empty()) return std::nullopt;
  const std::size_t count = rng.chance(0.7) ? 1 : 2;
  for (std::size_t i = 0; i < count && !constants.empty(); ++i) {
    Expression& node = *rng.pick(constants);
    const auto literal = parse_literal(node.text);
    // Whole numbers are indices and counts, and guards of a division stay small.
    if (!literal || !literal->is_real || literal->value == kDivisionGuard) continue;
    node.text = format_like(*literal, moved_constant(literal->value, rng));
  }
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
  std::erase_if(donated, [&](const ExpressionSite& s) { return s.is_result != site->is_result; });
  if (donated.empty()) return std::nullopt;
  ExpressionSite& donor = donated[context.rng.below(donated.size())];
  Expression graft = draw_node(donor.tree, context.rng);
  if (!is_known(graft, site->grammar.terms)) return std::nullopt;
  Expression tree = site->tree;
  Expression& node = draw_node(tree, context.rng);
  node =
      context.rng.chance(0.3) ? binary("+", Expression(node), std::move(graft)) : std::move(graft);
  return finish(context, *site, tree);
}

std::optional<Mutation> join_results(const Context& context) {
  if (context.donors.empty()) return std::nullopt;
  auto site = draw_site(context);
  if (!site || !site->is_result || site->grammar.terms.empty()) return std::nullopt;
  Rng& rng = context.rng;
  auto donated = find_expression_sites(rng.pick(context.donors));
  std::erase_if(donated, [](const ExpressionSite& s) { return !s.is_result; });
  if (donated.empty()) return std::nullopt;
  Expression other = donated[rng.below(donated.size())].tree;
  if (!is_known(other, site->grammar.terms) || other == site->tree) return std::nullopt;
  Expression own = site->tree;
  if (rng.chance(0.5)) std::swap(own, other);
  if (rng.chance(0.6)) {
    return finish(
        context, *site,
        conditional(random_condition(site->grammar, rng), std::move(own), std::move(other)));
  }
  if (rng.chance(0.5)) other = binary("*", random_constant(rng), std::move(other));
  return finish(context, *site, binary("+", std::move(own), std::move(other)));
}

}  // namespace cambrian::codemodel
