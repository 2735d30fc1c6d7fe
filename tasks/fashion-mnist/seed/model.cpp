#include <cambrian/torch_candidate.hpp>

namespace nn = torch::nn;
namespace F = torch::nn::functional;

// clang-format off: one layer a line, so that an edit of one layer touches one line.
// EVOLVE-BLOCK-START model
struct Net : nn::Module {
  nn::Sequential layers{nullptr};

  Net() {
    layers = register_module("layers", nn::Sequential(
        nn::Flatten(),
        nn::Linear(784, 10),
        nn::ReLU(),
        nn::Linear(10, 10)));
  }

  // inputs: [batch, 1, 28, 28] float32 in 0..1; result: [batch, 10] scores of the classes.
  torch::Tensor forward(torch::Tensor inputs) { return layers->forward(inputs); }
};
// EVOLVE-BLOCK-END
// clang-format on

// EVOLVE-BLOCK-START training
void train(Net& net, const cambrian::Data& data, cambrian::Training& training) {
  const int64_t batch_size = 1024;
  const double learning_rate = 0.01;
  torch::optim::SGD optimizer(net.parameters(), torch::optim::SGDOptions(learning_rate));
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
