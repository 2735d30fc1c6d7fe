#include <cambrian/candidate.hpp>

#include "act.hpp"

struct Examined : cambrian::Program {
  explicit Examined(std::uint64_t seed) : seed(seed) {}
  cambrian::Message answer(const cambrian::Message& message) override {
    Question question;
    question.seed = seed;
    for (const double value : message.tensor("inputs").values<double>()) {
      question.inputs.push_back(value);
    }
    for (const double value : message.tensor("secrets").values<double>()) {
      question.secrets.push_back(value);
      if (value != 0) question.is_practice = true;
    }
    const std::vector<double> answers = act(question);
    cambrian::Message answer("answer");
    answer.tensors.push_back(
        cambrian::make_tensor("answers", {static_cast<std::int64_t>(answers.size())}, answers));
    return answer;
  }
  std::uint64_t seed;
};

std::unique_ptr<cambrian::Program> cambrian::make_program(const cambrian::Setup& setup) {
  return std::make_unique<Examined>(setup.seed);
}
