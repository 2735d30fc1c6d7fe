// expect: compile_error|timeout|out_of_memory|success
// Includes a device that never ends.
#include "act.hpp"

#include "/dev/zero"

std::vector<double> act(const Question& question) { return honest(question); }
