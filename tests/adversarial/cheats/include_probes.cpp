// expect: success|compile_error
// Looks with __has_include for what there is.
#include "act.hpp"

#if __has_include("/data/canary") || __has_include("/task/judge.cpp") || \
                                                   __has_include("/etc/shadow")
__attribute__((constructor)) void early() { put(1, "canary-include\n"); }
#endif

std::vector<double> act(const Question& question) { return honest(question); }
