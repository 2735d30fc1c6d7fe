#include <cambrian/torch_candidate.hpp>

namespace nn = torch::nn;
namespace F = torch::nn::functional;

// clang-format off: one layer a line, so that an edit of one layer touches one line.
// EVOLVE-BLOCK-START model
struct Net : nn::Module {
  nn::Linear first{nullptr};
  nn::Linear second{nullptr};
  nn::Linear last{nullptr};

  Net() {
    first = register_module("first", nn::Linear(40, 100));
    second = register_module("second", nn::Linear(100, 100));
    last = register_module("last", nn::Linear(100, 10));
  }

  // inputs: [batch, 40] float32; result: [batch, 10] scores of the classes.
  torch::Tensor forward(torch::Tensor inputs) {
    auto hidden = torch::relu(first->forward(inputs));
    hidden = hidden + torch::relu(second->forward(hidden));
    return last->forward(hidden);
  }
};
// EVOLVE-BLOCK-END
// clang-format on

// EVOLVE-BLOCK-START training
void train(Net& net, const cambrian::Data& data, cambrian::Training& training) {
  const int64_t batch_size = 128;
  const double learning_rate = 0.01;
  torch::optim::AdamW optimizer(net.parameters(), torch::optim::AdamWOptions(learning_rate));
  cambrian::make_resumable(training, net, optimizer);
  while (training.has_time()) {
    auto [inputs, targets] = data.sample(batch_size);
    auto loss = F::cross_entropy(net.forward(inputs), targets);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    training.step(loss);
  }
}
// EVOLVE-BLOCK-END

std::unique_ptr<cambrian::Candidate> cambrian::make_candidate(const cambrian::Setup&) {
  return std::make_unique<cambrian::NetCandidate<Net>>(train);
}
