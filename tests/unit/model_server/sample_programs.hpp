#pragma once

#include <string_view>

namespace cambrian::codemodel::samples {

/// A plain function, as the bin packing task has it.
inline constexpr std::string_view kPriority = R"(#include <algorithm>
#include <cmath>
#include <vector>

// EVOLVE-BLOCK-START priority
std::vector<double> priority(double item, const std::vector<double>& bins) {
  std::vector<double> scores(bins.size());
  for (std::size_t i = 0; i < bins.size(); ++i) {
    const double index = static_cast<double>(i);
    const double left = bins[i] - item;
    scores[i] = -index + 0.5 * left;
  }
  return scores;
}
// EVOLVE-BLOCK-END
)";

/// The same with cases.
inline constexpr std::string_view kPiecewise = R"(#include <algorithm>
#include <cmath>
#include <vector>

// EVOLVE-BLOCK-START priority
std::vector<double> priority(double item, const std::vector<double>& bins) {
  std::vector<double> scores(bins.size());
  for (std::size_t i = 0; i < bins.size(); ++i) {
    const double left = bins[i] - item;
    scores[i] = (left < 4.0 ? 100.0 : -left) / (std::abs(item) + 1e-6);
  }
  return scores;
}
// EVOLVE-BLOCK-END
)";

/// Another one of the same task.
inline constexpr std::string_view kBestFit = R"(#include <algorithm>
#include <cmath>
#include <vector>

// EVOLVE-BLOCK-START priority
std::vector<double> priority(double item, const std::vector<double>& bins) {
  std::vector<double> scores(bins.size());
  for (std::size_t i = 0; i < bins.size(); ++i) {
    scores[i] = -(bins[i] - item) / (std::abs(item) + 1e-6);
  }
  return scores;
}
// EVOLVE-BLOCK-END
)";

/// A network and its training with LibTorch, as the tasks on pictures have it.
inline constexpr std::string_view kTorch = R"(#include <cambrian/torch_candidate.hpp>

namespace nn = torch::nn;
namespace F = torch::nn::functional;

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
)";

/// A network written as members and a forward function.
inline constexpr std::string_view kMembers = R"(#include <cambrian/torch_candidate.hpp>

namespace nn = torch::nn;

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
)";

/// A training in Python.
inline constexpr std::string_view kPythonTraining = R"(import torch
from torch import nn

LEARNING_RATE = 0.01
# EVOLVE-BLOCK-START
BATCH_SIZE = 64


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(8, 16),
            nn.ReLU(),
            nn.Linear(16, 1),
        )

    def forward(self, x):
        return self.layers(x)


def train(model, inputs, targets, training):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.0)
    while training.has_time():
        rows = torch.randint(0, inputs.shape[0], (BATCH_SIZE,))
        loss = nn.functional.mse_loss(model(inputs[rows]), targets[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        training.step()
# EVOLVE-BLOCK-END
)";

}  // namespace cambrian::codemodel::samples
