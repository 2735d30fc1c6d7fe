// expect: success
// Threads within the limit.
#include "act.hpp"

#include <thread>

std::vector<double> act(const Question& question) {
  std::vector<double> answers(2 * question.inputs.size(), 0.0);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < question.inputs.size(); ++i) {
    threads.emplace_back([&answers, &question, i] { answers[i] = 2 * question.inputs[i]; });
  }
  for (std::thread& thread : threads) thread.join();
  return answers;
}
