// expect: success
// Exceptions, virtual calls, thread-local and static objects.
#include "act.hpp"

#include <exception>

struct Value : std::exception {
  explicit Value(double number) : number(number) {}
  double number;
};
thread_local int count = 0;

std::vector<double> act(const Question& question) {
  std::vector<double> answers = honest(question);
  for (double& answer : answers) {
    try {
      throw Value(answer);
    } catch (const std::exception& error) {
      count += static_cast<int>(dynamic_cast<const Value&>(error).number == answer);
    }
  }
  if (count == 0) std::abort();
  return answers;
}
