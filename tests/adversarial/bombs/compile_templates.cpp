// expect: compile_error|timeout|out_of_memory
// A tree of templates of depth 24.
#include "act.hpp"

template <int depth, long path>
struct Tree {
  Tree<depth - 1, 2 * path> left;
  Tree<depth - 1, 2 * path + 1> right;
};
template <long path>
struct Tree<0, path> {
  char leaf;
};

std::vector<double> act(const Question& question) {
  (void)sizeof(Tree<24, 0>);
  return honest(question);
}
