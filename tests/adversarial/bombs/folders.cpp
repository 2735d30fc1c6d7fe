// expect: resource_exceeded|timeout
// Folders in folders in folders.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (;;) {
    if (mkdir("a", 0700) != 0 || chdir("a") != 0) {
      if (chdir("/tmp") != 0 || rename("a", std::to_string(random()).c_str()) != 0) pause();
    }
  }
}
