// expect: success
// The seed.
#include "act.hpp"

std::vector<double> act(const Question& question) { return honest(question); }
