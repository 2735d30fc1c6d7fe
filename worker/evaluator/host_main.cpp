// cambrian-candidate-host LIBRARY            forks for each candidate
// cambrian-candidate-host LIBRARY CANDIDATE  is the candidate
//
// Runs candidates that cambrian-evaluator compiled. The warm library brings the SDK and LibTorch,
// which takes most of a program's start; the candidate is a small shared object that is loaded on
// top.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

#include "worker/adapters/sandbox/serve_forks.hpp"

namespace {

using cambrian::worker::ForkedProgram;

int run(void* library, const char* candidate_path) {
  void* candidate = dlopen(candidate_path, RTLD_NOW | RTLD_GLOBAL);
  if (candidate == nullptr) {
    std::fprintf(stderr, "candidate: %s\n", dlerror());
    return 1;
  }
  // As in a plain program, a main of the candidate's own comes before that of the SDK.
  void* entry = dlsym(candidate, "main");
  if (entry == nullptr) entry = dlsym(library, "main");
  if (entry == nullptr) return 1;
  // What a plain program gets.
  char name[] = "/program/program";
  char* arguments[] = {name, nullptr};
  return reinterpret_cast<int (*)(int, char**)>(entry)(1, arguments);
}

int run_fork(void* library, const ForkedProgram& program) {
  setenv("CAMBRIAN_FD", "3", 1);
  if (program.arguments.empty()) return 1;
  // As a plain program ends: with what it has registered, and with its static objects.
  std::exit(run(library, program.arguments.front().c_str()));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "cambrian-candidate-host: only for cambrian-worker\n");
    return 125;
  }
  // What the library misses is the candidate's: it is looked for when it is called.
  void* library = dlopen(argv[1], RTLD_LAZY | RTLD_GLOBAL);
  if (library == nullptr) {
    std::fprintf(stderr, "warm library: %s\n", dlerror());
    return 1;
  }
  if (argc > 2) return run(library, argv[2]);
  // Where the warm library brings one.
  const auto rehearse = reinterpret_cast<void (*)()>(dlsym(library, "cambrian_rehearse"));
  return cambrian::worker::serve_forks(
      {.rehearse = rehearse},
      [library](const ForkedProgram& program) { return run_fork(library, program); });
}
