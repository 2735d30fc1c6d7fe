// What plain candidates commonly use of the SDK's and the library's templates, so that a warm
// evaluator holds them instantiated and compiled. See libtorch.cpp beside it.
#include "cambrian/candidate.hpp"

namespace cambrian::warm {

Message answer(const Message& question) {
  const std::vector<double> values = {question.number("a"), 1.0};
  const std::vector<std::int64_t> numbers = {question.integer("b")};
  Message answer;
  answer.tensors.push_back(make_tensor("values", {2}, values));
  std::map<std::string, double> by_name;
  by_name[question.type] += values.back();
  std::vector<std::string> names;
  for (const auto& [name, value] : by_name) names.push_back(name);
  return answer;
}

}  // namespace cambrian::warm
