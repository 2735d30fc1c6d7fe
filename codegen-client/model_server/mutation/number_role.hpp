#pragma once

#include <string>
#include <vector>

#include "codegen-client/model_server/mutation/code.hpp"
#include "codegen-client/model_server/mutation/literal.hpp"

namespace cambrian::codemodel {

/// What a number in a program stands for, as far as the name beside it tells.
enum class Role {
  learning_rate,
  decay,        ///< Weight decay, epsilon and other small positive numbers on a log scale.
  probability,  ///< Momentum, dropout, smoothing: from 0 to below 1.
  batch,        ///< Examples in one step.
  width,        ///< Hidden units, channels, filters.
  count,        ///< Repetitions: layers, iterations, restarts.
  real,         ///< Any other real number.
  integer,      ///< Any other whole number: only touched where no tensor shapes depend on it.
  fixed,        ///< Indices, shapes of the data, numbers of classes: never touched.
};

struct NumberSite {
  std::size_t token = 0;
  Literal literal;
  Role role = Role::fixed;
  std::string name;  ///< What the number is called in the program; may be empty.
};

/// Every number in evolvable text, the fixed ones left out.
std::vector<NumberSite> find_numbers(const Code& code);

/// The role that a name suggests: `kLearningRate`, `lr`, `weight_decay`, `hidden`.
Role role_of_name(std::string_view name);

}  // namespace cambrian::codemodel
