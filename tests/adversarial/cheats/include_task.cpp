// expect: compile_error
// Compiles the judge in.
#include "act.hpp"

#include "/task/judge.cpp"

std::vector<double> act(const Question& question) { return honest(question); }
