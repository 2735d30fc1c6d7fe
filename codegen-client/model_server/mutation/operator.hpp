#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codegen-client/model_server/mutation/code.hpp"
#include "common/base/rng.hpp"

namespace cambrian::codemodel {

/// A change of one file and the clause that explains it: "raise the learning rate to 0.03".
struct Mutation {
  std::vector<Edit> edits;
  std::string note;
};

/// What an operator may look at.
struct Context {
  const Code& code;                 ///< The file to change.
  const std::vector<Code>& donors;  ///< The same file of other programs, the second parent first.
  Rng& rng;
};

enum class Family {
  number,        ///< Another value at the same place: always cheap, nearly always compiles.
  training,      ///< Optimiser, schedule, batches, regularisation, data.
  network,       ///< Layers and their shapes.
  expression,    ///< Arithmetic of plain functions.
  graft,         ///< The same with parts of the donors.
  construction,  ///< Geometry and local search.
  crossover,     ///< Parts of the donors.
};

/// One way to change a program. An operator is a function and a row in the table of operators.cpp.
struct Operator {
  std::string_view name;
  bool for_cpp = false;
  bool for_python = false;
  /// An identifier without which there is nothing to do; empty: always tried.
  std::string_view needs;
  Family family = Family::number;
  /// How often it is tried, relative to the others that are applicable.
  double weight = 1;
  /// It makes the program slower or larger: left out after time and memory failures.
  bool grows = false;
  /// The change, or nothing where there is no place for it. Draws from the context's generator
  /// only, so that a seed repeats it.
  std::optional<Mutation> (*apply)(const Context&) = nullptr;
};

/// Every operator there is.
std::span<const Operator> operator_table();

/// `text` in place of these tokens.
Edit replace(const Code& code, TokenRange range, std::string text);
/// Whole lines behind the line on which this statement ends, indented like it.
Edit insert_after(const Code& code, TokenRange statement, std::string_view lines);
/// Whole lines before the line on which this statement begins, indented like it.
Edit insert_before(const Code& code, TokenRange statement, std::string_view lines);

/// Edits that make a network whole again after parts of two programs were put together: sizes of
/// layers, and the block that its layers use.
std::vector<Edit> mend_network(const Code& code);

// The operators, by file.
std::optional<Mutation> change_number(const Context&);
std::optional<Mutation> change_learning_rate(const Context&);
std::optional<Mutation> change_batch_size(const Context&);
std::optional<Mutation> change_regularisation(const Context&);

std::optional<Mutation> swap_optimizer(const Context&);
std::optional<Mutation> tune_optimizer(const Context&);
std::optional<Mutation> add_schedule(const Context&);
std::optional<Mutation> change_loss(const Context&);
std::optional<Mutation> augment_data(const Context&);
std::optional<Mutation> normalise_inputs(const Context&);
std::optional<Mutation> initialise_weights(const Context&);
std::optional<Mutation> clip_gradients(const Context&);
std::optional<Mutation> average_weights(const Context&);
std::optional<Mutation> shuffle_epochs(const Context&);

std::optional<Mutation> change_width(const Context&);
std::optional<Mutation> insert_layer(const Context&);
std::optional<Mutation> remove_layer(const Context&);
std::optional<Mutation> swap_activation(const Context&);
std::optional<Mutation> add_normalisation(const Context&);
std::optional<Mutation> add_dropout(const Context&);
std::optional<Mutation> add_residual(const Context&);
std::optional<Mutation> start_with_convolution(const Context&);
std::optional<Mutation> change_convolution(const Context&);
std::optional<Mutation> change_pooling(const Context&);
std::optional<Mutation> rebuild_network(const Context&);

std::optional<Mutation> change_shared_width(const Context&);
std::optional<Mutation> swap_called_activation(const Context&);
std::optional<Mutation> insert_member(const Context&);
std::optional<Mutation> add_called_dropout(const Context&);
std::optional<Mutation> rebuild_class(const Context&);

std::optional<Mutation> grow_expression(const Context&);
std::optional<Mutation> replace_subtree(const Context&);
std::optional<Mutation> swap_operation(const Context&);
std::optional<Mutation> wrap_in_function(const Context&);
std::optional<Mutation> insert_conditional(const Context&);
std::optional<Mutation> add_shape(const Context&);
std::optional<Mutation> change_condition(const Context&);
std::optional<Mutation> tune_constant(const Context&);
std::optional<Mutation> hoist_subtree(const Context&);
std::optional<Mutation> graft_subtree(const Context&);
std::optional<Mutation> join_results(const Context&);

std::optional<Mutation> add_climb(const Context&);
std::optional<Mutation> add_descent(const Context&);
std::optional<Mutation> adjust_scores(const Context&);
std::optional<Mutation> add_aggregate(const Context&);

std::optional<Mutation> take_function(const Context&);
std::optional<Mutation> take_changes(const Context&);
std::optional<Mutation> take_constants(const Context&);

}  // namespace cambrian::codemodel
