#include "codegen-client/model_server/mutation/scope.hpp"

#include <algorithm>
#include <array>

#include "codegen-client/model_server/mutation/expression.hpp"
#include "codegen-client/model_server/mutation/literal.hpp"

namespace cambrian::codemodel {
namespace {

constexpr std::array<std::string_view, 13> kNotTypes = {
    "return", "else",      "new",      "delete", "case",  "goto",     "throw",
    "using",  "namespace", "typename", "struct", "class", "co_return"};

/// First token of the type before a declared name.
std::size_t type_begin(const Code& code, std::size_t name) {
  std::size_t i = name;
  int angles = 0;
  while (i > 0) {
    const std::size_t before = i - 1;
    const std::string_view text = code.at(before);
    if (text == ">") ++angles;
    if (text == "<") --angles;
    const bool is_part = code.is_identifier(before) || text == "::" || text == "<" || text == ">" ||
                         text == "&" || text == "*" ||
                         (angles > 0 && (text == "," || code.is_number(before)));
    if (!is_part || angles < 0) break;
    i = before;
  }
  return i;
}

bool declares(const Code& code, std::size_t name) {
  if (!code.is_identifier(name) || name == 0) return false;
  static constexpr std::array<std::string_view, 8> kBehind = {"=", ";", ",", ")",
                                                              "{", "(", ":", "["};
  if (std::find(kBehind.begin(), kBehind.end(), code.at(name + 1)) == kBehind.end()) return false;
  const std::string_view before = code.at(name - 1);
  const bool is_type_end =
      code.is_identifier(name - 1) || before == ">" || before == "&" || before == "*";
  if (!is_type_end) return false;
  const std::size_t begin = type_begin(code, name);
  if (begin >= name || !code.is_identifier(begin)) return false;
  if (std::find(kNotTypes.begin(), kNotTypes.end(), code.at(begin)) != kNotTypes.end()) {
    return false;
  }
  // `a & b` and `a * b` look like declarations where they do not begin a statement.
  const std::string_view lead = begin == 0 ? ";" : code.at(begin - 1);
  return lead == ";" || lead == "{" || lead == "}" || lead == "(" || lead == "," || lead == ")";
}

TokenRange scope_of(const Code& code, std::size_t name, const Function& function) {
  std::size_t parent = code.token(name).parent;
  if (parent == function.open) return function.body;
  if (parent != kNone && code.is(parent, "(")) {
    // Declared in the head of a loop or an `if`: visible up to the end of its statement.
    const std::size_t close = code.token(parent).partner;
    if (close == kNone) return {};
    if (code.is(close + 1, "{")) return {name + 1, code.token(close + 1).partner};
    return {name + 1, code.statement(close + 1).end};
  }
  if (parent == kNone || code.token(parent).partner == kNone) return {};
  return {name + 1, code.token(parent).partner};
}

/// `auto` takes the kind of its initialiser when that is plain arithmetic of known reals.
ValueKind kind_of_initialiser(const Code& code, std::size_t name,
                              const std::vector<Variable>& known) {
  if (!code.is(name + 1, "=")) return ValueKind::unknown;
  const std::size_t end = code.statement(name).end;
  auto tree = parse_expression(code, {name + 2, end - 1});
  if (!tree) return ValueKind::unknown;
  bool has_real = false;
  for (const Expression* node : nodes(*tree)) {
    if (node->kind == Expression::Kind::number) {
      const auto literal = parse_literal(node->text);
      has_real = has_real || (literal && literal->is_real);
    }
    if (node->kind != Expression::Kind::terminal) continue;
    const std::string base = node->text.substr(0, node->text.find_first_of("[.-("));
    const auto found =
        std::find_if(known.begin(), known.end(), [&](const Variable& v) { return v.name == base; });
    const bool is_element = base.size() < node->text.size();
    if (node->text.starts_with("static_cast<double>")) {
      has_real = true;
    } else if (found == known.end() || found->kind == ValueKind::unknown ||
               (is_element && found->kind != ValueKind::real_vector)) {
      return ValueKind::unknown;
    } else if (found->kind == ValueKind::real || found->kind == ValueKind::real_vector) {
      has_real = true;
    }
  }
  return has_real && !is_boolean(*tree) ? ValueKind::real : ValueKind::unknown;
}

}  // namespace

ValueKind kind_of_type(const Code& code, TokenRange type) {
  bool is_real = false;
  bool is_integer = false;
  bool is_vector = false;
  for (std::size_t i = type.begin; i < type.end; ++i) {
    const std::string_view word = code.at(i);
    is_real = is_real || word == "double" || word == "float";
    is_integer = is_integer || word == "int" || word == "size_t" || word == "long" ||
                 word == "unsigned" || word.starts_with("int") || word.starts_with("uint") ||
                 word == "ptrdiff_t";
    is_vector = is_vector || word == "vector" || word == "span" || word == "array";
    if (word == "*") return ValueKind::unknown;
  }
  if (is_vector) return is_real ? ValueKind::real_vector : ValueKind::unknown;
  if (is_real) return ValueKind::real;
  return is_integer ? ValueKind::integer : ValueKind::unknown;
}

std::set<std::string, std::less<>> declared_names(const Code& code) {
  std::set<std::string, std::less<>> names;
  for (std::size_t i = 0; i < code.size(); ++i) {
    if (declares(code, i)) names.emplace(code.at(i));
  }
  for (const Function& function : code.functions()) names.emplace(code.at(function.name));
  return names;
}

std::vector<Variable> variables_of(const Code& code, const Function& function) {
  std::vector<Variable> variables;
  for (std::size_t i = function.open; i < function.body.end; ++i) {
    const bool is_parameter = code.token(i).parent == function.open && i < function.close;
    if (i > function.close && i < function.body.begin) continue;
    if (!is_parameter && i < function.body.begin) continue;
    if (!declares(code, i)) continue;
    Variable variable{.name = std::string(code.at(i)),
                      .kind = {},
                      .token = i,
                      .scope = scope_of(code, i, function)};
    const TokenRange type{type_begin(code, i), i};
    variable.kind = kind_of_type(code, type);
    for (std::size_t k = type.begin; k < type.end; ++k) {
      variable.is_const = variable.is_const || code.is(k, "const");
      variable.is_reference = variable.is_reference || code.is(k, "&");
    }
    if (variable.kind == ValueKind::unknown && !is_parameter) {
      variable.kind = kind_of_initialiser(code, i, variables);
    }
    // A declaration is visible behind its own statement only.
    if (!is_parameter && code.is(code.token(i).parent, "{")) {
      variable.scope.begin = code.statement(i).end;
    }
    variables.push_back(std::move(variable));
  }
  return variables;
}

}  // namespace cambrian::codemodel
