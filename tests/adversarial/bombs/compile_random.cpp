// expect: compile_error|timeout|out_of_memory|success
// Embeds a device that never ends.
#include "act.hpp"

const unsigned char data[] = {
#embed "/dev/urandom" limit(4000000000)
};

std::vector<double> act(const Question& question) { return honest(question); }
