// expect: compile_error|timeout|resource_exceeded|out_of_memory
// Includes itself twice.
#include "act.hpp"

#include __FILE__
#include __FILE__

std::vector<double> act(const Question& question) { return honest(question); }
