// expect: success
// A table that the compiler computes.
#include "act.hpp"

#include <array>

constexpr auto kTable = [] {
  std::array<double, 1000> table{};
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = 2.0 * static_cast<double>(i);
  return table;
}();

std::vector<double> act(const Question& question) {
  std::vector<double> answers(2 * question.inputs.size(), 0.0);
  for (std::size_t i = 0; i < question.inputs.size(); ++i) {
    answers[i] = kTable[static_cast<std::size_t>(question.inputs[i])];
  }
  return answers;
}
