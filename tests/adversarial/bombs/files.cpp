// expect: resource_exceeded|timeout
// Files without number.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (long i = 0;; ++i)
    close(open(("/tmp/" + std::to_string(i)).c_str(), O_WRONLY | O_CREAT, 0600));
}
