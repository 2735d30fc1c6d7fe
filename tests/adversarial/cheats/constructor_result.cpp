// expect: bad_output
// Sends a judge's result to the judge before main.
#include "act.hpp"

__attribute__((constructor)) void early() { put(3, winning_frame()); }

std::vector<double> act(const Question& question) { return honest(question); }
