// expect: compile_error
// Includes the accounts of the machine for the compiler to print.
#include "act.hpp"

#include "/etc/passwd"

std::vector<double> act(const Question& question) { return honest(question); }
