#include "codegen-client/model_server/mutation/expression_site.hpp"

#include <algorithm>

#include "codegen-client/model_server/mutation/literal.hpp"

namespace cambrian::codemodel {
namespace {

const Variable* find_variable(const std::vector<Variable>& variables, std::string_view name,
                              std::size_t token) {
  const Variable* found = nullptr;
  for (const Variable& variable : variables) {
    if (variable.name != name) continue;
    const bool is_own = variable.token == token;
    if (is_own || (variable.scope.begin <= token && token < variable.scope.end)) found = &variable;
  }
  return found;
}

/// `circle.x = …`: the type of a member is not known, but what is set to a product with a written
/// real number holds a real.
bool sets_real_member(const Code& code, std::size_t assign, const Expression& tree) {
  if (assign < 3 || !code.is(assign - 2, ".")) return false;
  Expression copy = tree;
  for (const Expression* node : nodes(copy)) {
    if (node->kind != Expression::Kind::number) continue;
    const auto literal = parse_literal(node->text);
    if (literal && literal->is_real) return true;
  }
  return false;
}

/// True when what this `=` sets is a real number.
bool sets_real(const Code& code, std::size_t assign, const std::vector<Variable>& variables) {
  if (assign == 0) return false;
  std::size_t name = assign - 1;
  const bool is_element = code.is(name, "]");
  if (is_element) {
    const std::size_t open = code.token(name).partner;
    if (open == kNone || open == 0) return false;
    name = open - 1;
  }
  if (!code.is_identifier(name)) return false;
  if (code.is(name - 1, ".") || code.is(name - 1, "->")) return false;
  const Variable* variable = find_variable(variables, code.at(name), name);
  if (variable == nullptr) return false;
  // `double& last = bins[i]`: no reference to what a changed expression computes.
  const bool binds = variable->token == name && variable->is_reference && !variable->is_const;
  if (binds) return false;
  return variable->kind == (is_element ? ValueKind::real_vector : ValueKind::real);
}

bool returns_real(const Code& code, const Function& function) {
  const TokenRange whole = code.statement(function.name);
  return kind_of_type(code, {whole.begin, function.name}) == ValueKind::real;
}

std::size_t end_of_expression(const Code& code, std::size_t begin) {
  const std::size_t parent = code.token(begin).parent;
  for (std::size_t i = begin; i < code.size(); ++i) {
    if (code.token(i).parent == parent && (code.is(i, ";") || code.is(i, ","))) return i;
    if (parent != kNone && i == code.token(parent).partner) return i;
  }
  return code.size();
}

void add_term(std::string text, std::vector<Expression>& terms) {
  Expression term = terminal(std::move(text));
  if (std::find(terms.begin(), terms.end(), term) == terms.end()) terms.push_back(std::move(term));
}

/// Calls that are made for one element: `bins[i]` seen in the function is a term wherever both
/// names can be used, and so are its neighbours, the first and the last one being their own.
void add_elements(const Code& code, const Function& function, std::size_t at,
                  const std::vector<Variable>& variables, std::vector<Expression>& terms) {
  for (const Variable& variable : variables) {
    if (variable.kind != ValueKind::real_vector) continue;
    if (find_variable(variables, variable.name, at) != &variable) continue;
    for (std::size_t i = function.body.begin; i + 3 < function.body.end; ++i) {
      const bool is_element = code.is(i, variable.name) && code.is(i + 1, "[") &&
                              code.is_identifier(i + 2) && code.is(i + 3, "]");
      if (!is_element || code.is(i + 4, "=")) continue;
      const Variable* index = find_variable(variables, code.at(i + 2), at);
      if (index == nullptr || index->kind != ValueKind::integer) continue;
      add_term(code.text_of({i, i + 4}), terms);
      if (code.text().find("<algorithm>") == std::string::npos) continue;
      const std::string name = variable.name;
      add_term(name + "[std::max<std::size_t>(" + index->name + ", 1) - 1]", terms);
      add_term(name + "[std::min<std::size_t>(" + index->name + " + 1, " + name + ".size() - 1)]",
               terms);
    }
  }
}

}  // namespace

std::vector<Expression> terms_at(const Code& code, const ExpressionSite& site) {
  const Function& function = *site.function;
  const auto variables = variables_of(code, function);
  const std::size_t at = site.range.begin - 1;
  std::vector<Expression> terms;
  for (const Variable& variable : variables) {
    if (find_variable(variables, variable.name, at) != &variable) continue;
    if (variable.kind == ValueKind::real) terms.push_back(terminal(variable.name));
    if (variable.kind == ValueKind::integer) {
      terms.push_back(terminal("static_cast<double>(" + variable.name + ")"));
    }
    // The length of a local vector is nearly always the length of a parameter.
    if (variable.kind == ValueKind::real_vector && variable.token < function.body.begin) {
      terms.push_back(terminal("static_cast<double>(" + variable.name + ".size())"));
    }
  }
  add_elements(code, function, at, variables, terms);
  return terms;
}

std::vector<ExpressionSite> find_expression_sites(const Code& code) {
  std::vector<ExpressionSite> sites;
  for (const Function& function : code.functions()) {
    const auto variables = variables_of(code, function);
    for (std::size_t i = function.body.begin; i < function.body.end; ++i) {
      const bool is_assignment =
          code.is(i, "=") || code.is(i, "+=") || code.is(i, "-=") || code.is(i, "*=");
      const bool is_return = code.is(i, "return");
      if (!is_assignment && !is_return) continue;
      if (code.function_around(i) != &function) continue;
      const std::size_t end = end_of_expression(code, i + 1);
      const TokenRange range{i + 1, end};
      if (!code.is_editable(range)) continue;
      auto tree = parse_expression(code, range);
      if (!tree) continue;
      const bool is_real = is_return
                               ? returns_real(code, function)
                               : sets_real(code, i, variables) || sets_real_member(code, i, *tree);
      if (!is_real) continue;
      // A number alone is a setting: the operators on numbers know more about it.
      if (is_boolean(*tree) || tree->kind == Expression::Kind::number) continue;
      sites.push_back({.range = range,
                       .tree = std::move(*tree),
                       .function = &function,
                       .is_result = is_return || code.is(i - 1, "]") || code.is(i - 2, ".")});
    }
  }
  return sites;
}

std::vector<Expression*> numeric_nodes(Expression& root) {
  std::vector<Expression*> found;
  std::vector<Expression*> open{&root};
  while (!open.empty()) {
    Expression* node = open.back();
    open.pop_back();
    if (!is_boolean(*node)) found.push_back(node);
    const bool has_integer_operands = node->kind == Expression::Kind::binary && node->text == "%";
    const bool has_logical_operands =
        (node->kind == Expression::Kind::binary && (node->text == "&&" || node->text == "||")) ||
        (node->kind == Expression::Kind::unary && node->text == "!");
    for (std::size_t i = node->children.size(); i-- > 0;) {
      Expression& child = node->children[i];
      const bool is_condition = node->kind == Expression::Kind::conditional && i == 0;
      if (has_integer_operands) continue;
      if ((has_logical_operands || is_condition) && !is_boolean(child)) continue;
      open.push_back(&child);
    }
  }
  return found;
}

}  // namespace cambrian::codemodel
