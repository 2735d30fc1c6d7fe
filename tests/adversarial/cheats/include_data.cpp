// expect: compile_error
// Compiles the judge's data in.
#include "act.hpp"

#include "/data/canary"

std::vector<double> act(const Question& question) { return honest(question); }
