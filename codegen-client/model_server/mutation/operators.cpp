#include <algorithm>
#include <array>

#include "codegen-client/model_server/mutation/operator.hpp"

namespace cambrian::codemodel {
namespace {

using enum Family;

// To add an operator: write a function in one of the operators_*.cpp files, declare it in
// operator.hpp, and give it a row. `needs` is an identifier without which it has nothing to do.
constexpr std::array kTable = {
    // name, C++, Python, needs, family, weight, grows, function
    Operator{"change_number", true, true, "", number, 3, false, change_number},
    Operator{"change_learning_rate", true, true, "", number, 5, false, change_learning_rate},
    Operator{"change_batch_size", true, true, "", number, 2, false, change_batch_size},
    Operator{"change_regularisation", true, true, "", number, 1.5, false, change_regularisation},

    Operator{"swap_optimizer", true, true, "optim", training, 6, false, swap_optimizer},
    Operator{"tune_optimizer", true, true, "optim", training, 1.5, false, tune_optimizer},
    Operator{"add_schedule", true, true, "optim", training, 4, false, add_schedule},
    Operator{"change_loss", true, true, "backward", training, 1.5, false, change_loss},
    Operator{"augment_data", true, true, "backward", training, 1, true, augment_data},
    Operator{"normalise_inputs", true, true, "forward", training, 1.5, false, normalise_inputs},
    Operator{"initialise_weights", true, true, "optim", training, 0.7, false, initialise_weights},
    Operator{"clip_gradients", true, true, "optim", training, 0.7, true, clip_gradients},
    Operator{"average_weights", true, true, "optim", training, 1.5, true, average_weights},
    Operator{"shuffle_epochs", true, true, "sample", training, 1, false, shuffle_epochs},

    Operator{"change_width", true, true, "Sequential", network, 6, true, change_width},
    Operator{"insert_layer", true, true, "Sequential", network, 2, true, insert_layer},
    Operator{"remove_layer", true, true, "Sequential", network, 1.5, false, remove_layer},
    Operator{"swap_activation", true, true, "Sequential", network, 2, false, swap_activation},
    Operator{"add_normalisation", true, true, "Sequential", network, 2.5, true, add_normalisation},
    Operator{"add_dropout", true, true, "Sequential", network, 1, false, add_dropout},
    Operator{"add_residual", true, true, "Sequential", network, 1.5, true, add_residual},
    Operator{"start_with_convolution", true, true, "Sequential", network, 2, true,
             start_with_convolution},
    Operator{"change_convolution", true, true, "Sequential", network, 1.5, true,
             change_convolution},
    Operator{"change_pooling", true, true, "Sequential", network, 1, false, change_pooling},
    Operator{"rebuild_network", true, true, "Sequential", network, 2, true, rebuild_network},

    Operator{"change_shared_width", true, true, "Linear", network, 4, true, change_shared_width},
    Operator{"swap_called_activation", true, true, "forward", network, 1.5, false,
             swap_called_activation},
    Operator{"insert_member", true, false, "forward", network, 2, true, insert_member},
    Operator{"add_called_dropout", true, false, "forward", network, 1, false, add_called_dropout},
    Operator{"rebuild_class", true, false, "forward", network, 5, true, rebuild_class},

    Operator{"grow_expression", true, false, "", expression, 4, false, grow_expression},
    Operator{"replace_subtree", true, false, "", expression, 3, false, replace_subtree},
    Operator{"swap_operation", true, false, "", expression, 2, false, swap_operation},
    Operator{"wrap_in_function", true, false, "", expression, 2, false, wrap_in_function},
    Operator{"insert_conditional", true, false, "", expression, 4, false, insert_conditional},
    Operator{"add_shape", true, false, "", expression, 8, false, add_shape},
    Operator{"change_condition", true, false, "", expression, 3, false, change_condition},
    Operator{"tune_constant", true, false, "", expression, 5, false, tune_constant},
    Operator{"hoist_subtree", true, false, "", expression, 2, false, hoist_subtree},
    Operator{"graft_subtree", true, false, "", graft, 5, false, graft_subtree},
    Operator{"join_results", true, false, "", graft, 15, false, join_results},

    Operator{"add_climb", true, false, "Circle", construction, 2, true, add_climb},
    Operator{"add_descent", true, false, "Circle", construction, 2, true, add_descent},
    Operator{"adjust_scores", true, false, "vector", construction, 1, false, adjust_scores},
    Operator{"add_aggregate", true, false, "vector", construction, 1.5, false, add_aggregate},

    Operator{"take_function", true, true, "", crossover, 2, false, take_function},
    Operator{"take_changes", true, true, "", crossover, 3, false, take_changes},
    Operator{"take_constants", true, true, "", crossover, 1, false, take_constants},
};

std::string indented(std::string_view lines, const std::string& indentation) {
  std::string text;
  while (!lines.empty()) {
    const std::size_t feed = std::min(lines.find('\n'), lines.size());
    text += indentation;
    text += lines.substr(0, feed);
    text += '\n';
    lines.remove_prefix(std::min(feed + 1, lines.size()));
  }
  return text;
}

}  // namespace

std::span<const Operator> operator_table() { return kTable; }

Edit replace(const Code& code, TokenRange range, std::string text) {
  return {code.token(range.begin).begin, code.token(range.end - 1).end, std::move(text)};
}

Edit insert_after(const Code& code, TokenRange statement, std::string_view lines) {
  const std::size_t at = code.line_end(code.token(statement.end - 1).end);
  return {at, at, indented(lines, code.indentation(code.token(statement.begin).begin))};
}

Edit insert_before(const Code& code, TokenRange statement, std::string_view lines) {
  const std::size_t at = code.line_begin(code.token(statement.begin).begin);
  return {at, at, indented(lines, code.indentation(at))};
}

}  // namespace cambrian::codemodel
