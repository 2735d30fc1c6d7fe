// expect: compile_error|timeout
// Computes in the compiler without end.
#include "act.hpp"

constexpr long endless(long start) {
  for (long i = 0; i < 10'000'000'000; ++i) start += i % 3;
  return start;
}

std::vector<double> act(const Question& question) {
  static_assert(endless(1) > 0);
  return honest(question);
}
