#pragma once

#include <optional>
#include <string>
#include <vector>

#include "codegen-client/model_server/mutation/code.hpp"

namespace cambrian::codemodel {

/// A C++ expression over numbers as a tree. What is not arithmetic stays a `terminal`: its text is
/// taken over as it stands.
struct Expression {
  enum class Kind {
    number,       ///< `text` is the literal.
    terminal,     ///< `text` is a name, an element, a member or an unknown call.
    unary,        ///< `text` is - + or !; one child.
    binary,       ///< `text` is an operator; two children.
    call,         ///< `text` is a known mathematical function; its arguments.
    conditional,  ///< condition, then, else.
  };
  Kind kind = Kind::number;
  std::string text;
  std::vector<Expression> children;

  friend bool operator==(const Expression&, const Expression&) = default;
};

/// Deepest nesting that is read: deeper text is not an expression to us.
inline constexpr int kExpressionDepthMax = 40;
/// Longest expression that is read, in tokens. A long sum is a deep tree too.
inline constexpr std::size_t kExpressionTokensMax = 2000;

Expression number(std::string text);
Expression terminal(std::string text);
Expression unary(std::string op, Expression child);
Expression binary(std::string op, Expression left, Expression right);
Expression call(std::string function, std::vector<Expression> arguments);
Expression conditional(Expression condition, Expression yes, Expression no);

/// What keeps a quotient from dividing by zero.
inline constexpr double kDivisionGuard = 1e-6;

/// `a / b` that cannot divide by zero: the divisor becomes |b| + 1e-6 unless it is a number.
Expression guarded_quotient(Expression left, Expression right);

/// The tree of these tokens; nothing when they are more than arithmetic (assignments, lambdas,
/// streams, initialiser lists).
std::optional<Expression> parse_expression(const Code& code, TokenRange range);

/// Text with no more brackets than needed.
std::string print(const Expression& expression);

/// Number of nodes.
std::size_t size_of(const Expression& expression);
/// A comparison or a logical operation.
bool is_boolean(const Expression& expression);

/// Every node with its parent on the way, in preorder. Pointers stay valid until the tree changes.
std::vector<Expression*> nodes(Expression& root);

/// Smaller and equal: folds numbers, drops +0, *1, double negation.
Expression simplified(const Expression& expression);

}  // namespace cambrian::codemodel
