// A small candidate, for a warm evaluator to rehearse: see ServeOptions in
// worker/adapters/sandbox/serve_forks.hpp.
#include <cambrian/torch_candidate.hpp>

namespace nn = torch::nn;
namespace F = torch::nn::functional;

struct Net : nn::Module {
  nn::Sequential layers{nullptr};
  nn::Linear last{nullptr};

  Net() {
    layers = register_module(
        "layers", nn::Sequential(nn::Conv1d(nn::Conv1dOptions(1, 25, 5).stride(2).padding(1)),
                                 nn::ReLU(), nn::BatchNorm1d(25), nn::Dropout(0.1), nn::Flatten(),
                                 nn::Linear(475, 64), nn::GELU()));
    last = register_module("last", nn::Linear(64, 10));
  }

  torch::Tensor forward(torch::Tensor inputs) {
    const auto features = layers->forward(inputs.view({inputs.size(0), 1, -1}));
    return last->forward(torch::relu(features));
  }
};

void train(Net& net, const cambrian::Data& data, cambrian::Training& training) {
  const int64_t batch_size = 128;
  const double learning_rate = 0.01;
  torch::optim::AdamW optimizer(net.parameters(),
                                torch::optim::AdamWOptions(learning_rate).weight_decay(0.01));
  while (training.has_time()) {
    const double rate = learning_rate * 0.5 * (1 + std::cos(M_PI * training.progress()));
    for (auto& group : optimizer.param_groups()) {
      static_cast<torch::optim::AdamWOptions&>(group.options()).lr(rate);
    }
    auto [inputs, targets] = data.sample(batch_size);
    auto loss = F::cross_entropy(net.forward(inputs), targets,
                                 F::CrossEntropyFuncOptions().label_smoothing(0.1));
    optimizer.zero_grad();
    loss.backward();
    nn::utils::clip_grad_norm_(net.parameters(), 1.0);
    optimizer.step();
    training.step(loss);
  }
}

std::unique_ptr<cambrian::Candidate> cambrian::make_candidate(const cambrian::Setup&) {
  return std::make_unique<cambrian::NetCandidate<Net>>(train);
}
