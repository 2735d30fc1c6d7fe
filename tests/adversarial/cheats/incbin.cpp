// expect: compile_error
// Assembles a file of the host in.
#include "act.hpp"

asm(".incbin \"/etc/passwd\"");

std::vector<double> act(const Question& question) { return honest(question); }
