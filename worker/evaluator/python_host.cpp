// Lets Python be forked for each candidate or judge: sdk/warm/python.py loads this library.
#include <vector>

#include "worker/adapters/sandbox/serve_forks.hpp"

/// `program` gets a folder and the arguments of a script there, and gives its exit code, in a fork
/// that is shut up in a sandbox. `rehearse` does what programs do, in a fork that is thrown away.
/// Returns when the worker hangs up.
extern "C" int cambrian_serve_forks(int (*program)(int count, const char* const* arguments),
                                    void (*rehearse)()) {
  return cambrian::worker::serve_forks(
      {.rehearse = rehearse}, [program](const cambrian::worker::ForkedProgram& fork) {
        std::vector<const char*> arguments;
        for (const std::string& argument : fork.arguments) arguments.push_back(argument.c_str());
        return program(static_cast<int>(arguments.size()), arguments.data());
      });
}
