// expect: compile_error
// Embeds a file of the host.
#include "act.hpp"

const unsigned char data[] = {
#embed "/proc/self/environ"
};

std::vector<double> act(const Question& question) { return honest(question); }
