#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "codegen-client/model_server/mutation/code.hpp"

namespace cambrian::codemodel {

/// What a name stands for, as far as its declaration says so.
enum class ValueKind {
  real,         ///< float or double.
  integer,      ///< Any integer: wrapped in a cast before it enters real arithmetic.
  real_vector,  ///< std::vector, std::array or std::span of reals.
  unknown,
};

struct Variable {
  std::string name;
  ValueKind kind = ValueKind::unknown;
  bool is_const = false;      ///< Its declaration says so somewhere: it may not be set.
  bool is_reference = false;  ///< What initialises it must be a thing, not a value.
  std::size_t token = 0;      ///< Where it is declared.
  TokenRange scope;           ///< Tokens among which it can be named.
};

/// The variables and parameters that C++ function declares, in order.
std::vector<Variable> variables_of(const Code& code, const Function& function);

/// Every name that a C++ text declares somewhere: variables, parameters, members and functions.
std::set<std::string, std::less<>> declared_names(const Code& code);

/// The kind that a declaration's type says: `const std::vector<double>&` is a real_vector.
ValueKind kind_of_type(const Code& code, TokenRange type);

}  // namespace cambrian::codemodel
