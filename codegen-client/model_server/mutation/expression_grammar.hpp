#pragma once

#include <vector>

#include "codegen-client/model_server/mutation/expression_site.hpp"
#include "common/base/rng.hpp"

/// Random arithmetic, well typed and finite: terms are real numbers, divisors, roots, logarithms
/// and exponentials are guarded. Constants are spread over orders of magnitude.
namespace cambrian::codemodel {

/// What expressions at a place may be made of.
struct Grammar {
  std::vector<Expression> terms;  ///< What can be named there, as real numbers.
  std::vector<double> weights;    ///< How often each is drawn, relative to the others.
  bool has_mathematics = false;   ///< `<cmath>` and `<algorithm>` functions may be called.
};

/// The grammar of a place.
Grammar grammar_at(const Code& code, const ExpressionSite& site);

/// From a few hundredths to some tens.
Expression random_constant(Rng& rng);
/// A bound for comparisons: from below one to some tens.
Expression random_threshold(Rng& rng);
/// A name or a constant.
Expression random_term(const Grammar& grammar, Rng& rng);
/// Depends on at least one term, where there is one.
Expression random_expression(const Grammar& grammar, int depth, Rng& rng);
/// A comparison of terms, or two that hold at once: `left > 2.0 && left < 20.0`.
Expression random_condition(const Grammar& grammar, Rng& rng);

/// A function of one term that is easy to think of: a step, a range, a ramp, a bump, a pole. Sums
/// of such functions come close to every curve.
Expression random_shape(const Grammar& grammar, Rng& rng);

/// One operation on a value. Needs mathematics.
Expression wrapped(Expression inner, Rng& rng);
/// One operation on two values.
Expression combined(Expression left, Expression right, const Grammar& grammar, Rng& rng);

/// The value times a factor near one, sometimes far from it; zero becomes something small.
double moved_constant(double value, Rng& rng);

}  // namespace cambrian::codemodel
