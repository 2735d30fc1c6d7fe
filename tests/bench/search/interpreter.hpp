#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codegen-client/model_server/mutation/expression.hpp"

namespace cambrian::bench {

/// `priority(item, bins)` of the task online-bin-packing, read from its text: loops over the
/// bins, in which constants are named and `scores[i]` is set, one over the scores from the last
/// down to the second, and the largest and smallest room. All bins at once, an operation at a time.
/// One thread.
class Interpreter {
 public:
  /// Empty where there is anything else in it, or a column is used that is not there.
  static std::optional<Interpreter> read(const std::string& program);

  /// One score for each bin. The result is valid until the next call.
  std::span<const double> run(double item, std::span<const double> bins);

 private:
  using Column = std::vector<double>;

  enum class Operation;
  struct Instruction {
    Operation operation;
    std::size_t result = 0;
    std::size_t operands[3] = {};
  };

  struct Loop;

  void name_given(const Loop& loop);
  bool read_loop(const codemodel::Code& code, const Loop& loop);
  static std::optional<std::optional<Operation>> find_assignment(std::string_view text);
  std::optional<std::size_t> compile(const codemodel::Expression& tree);
  std::optional<std::size_t> compile_call(const codemodel::Expression& tree);
  std::optional<std::size_t> compile_terminal(const std::string& text);
  std::size_t put(Operation operation, std::initializer_list<std::size_t> operands);
  std::size_t constant(double value);
  void carry_out(const Instruction& instruction, std::size_t size);

  std::map<std::string, std::size_t> names_;
  std::map<double, std::size_t> constants_;
  std::vector<Instruction> instructions_;
  std::vector<Column> columns_;
  std::size_t scores_ = 0;
};

}  // namespace cambrian::bench
