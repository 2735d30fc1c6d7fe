// expect: compile_error
// A hundred thousand errors.
#include "act.hpp"

#define E0 !wrong;
#define E1 E0 E0 E0 E0 E0 E0 E0 E0 E0 E0
#define E2 E1 E1 E1 E1 E1 E1 E1 E1 E1 E1
#define E3 E2 E2 E2 E2 E2 E2 E2 E2 E2 E2
#define E4 E3 E3 E3 E3 E3 E3 E3 E3 E3 E3
E4

    std::vector<double>
    act(const Question& question) {
  return honest(question);
}
