#pragma once

#include <vector>

#include "codegen-client/model_server/mutation/expression.hpp"
#include "codegen-client/model_server/mutation/scope.hpp"

namespace cambrian::codemodel {

/// A place where a C++ program computes a real number: the right side of an assignment or a
/// returned value.
struct ExpressionSite {
  TokenRange range;                    ///< The tokens of the expression.
  Expression tree;                     ///< What stands there.
  const Function* function = nullptr;  ///< The function around it; belongs to the Code.
  /// It is returned or stored as an element: a result, not a step on the way.
  bool is_result = false;
};

/// What can be named at a site, as real numbers.
std::vector<Expression> terms_at(const Code& code, const ExpressionSite& site);

/// Every such place in evolvable text.
std::vector<ExpressionSite> find_expression_sites(const Code& code);

/// Numeric nodes of a tree that may be replaced by any other number.
std::vector<Expression*> numeric_nodes(Expression& root);

}  // namespace cambrian::codemodel
