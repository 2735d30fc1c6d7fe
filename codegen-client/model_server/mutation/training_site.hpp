#pragma once

#include <optional>
#include <string>

#include "codegen-client/model_server/mutation/code.hpp"

namespace cambrian::codemodel {

/// Where a program makes its optimiser.
struct OptimizerSite {
  Call call;               ///< torch::optim::SGD optimizer(…) or torch.optim.SGD(…).
  std::string type;        ///< SGD, Adam, AdamW, RMSprop.
  std::string variable;    ///< Name of the object.
  std::string parameters;  ///< What it optimises: `net.parameters()`.
  std::string rate;        ///< The learning rate as it is written: a number or a name.
  TokenRange settings;     ///< The tokens behind the parameters: options or keywords.
  std::string extra;       ///< C++: the chain behind the options, `.momentum(0.9)`.
};

std::optional<OptimizerSite> find_optimizer(const Code& code);

/// The loop that takes steps, as far as it could be found.
struct LoopSite {
  TokenRange head;       ///< `while (training.has_time()) {` without its body.
  TokenRange step;       ///< The statement `optimizer.step();`.
  TokenRange backward;   ///< The statement `loss.backward();`.
  std::string training;  ///< Name of the object that knows the progress; empty: none.
  std::size_t end = 0;   ///< Byte behind the loop.
};

std::optional<LoopSite> find_loop(const Code& code, const OptimizerSite& optimizer);

/// Where `name` gets its first value as a plain number: `const double learning_rate = 0.01;`.
std::optional<std::size_t> find_constant(const Code& code, std::string_view name);

}  // namespace cambrian::codemodel
