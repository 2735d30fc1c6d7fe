// expect: success
// Reads the judge, its data and its task.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (const char* path : {"/data/canary", "/task/judge.cpp", "/task/task.yaml",
                           "/task/judge/judge.cpp", "/program/judge", "/proc/1/root/data/canary",
                           "/proc/1/cwd/../data/canary", "../data/canary"}) {
    print_file(path);
  }
  return honest(question);
}
