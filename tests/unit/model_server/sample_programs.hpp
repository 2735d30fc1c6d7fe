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

/// A training in Python.
inline constexpr std::string_view kPythonTraining = R"(import torch
from torch import nn

LEARNING_RATE = 0.01
# EVOLVE-BLOCK-START
BATCH_SIZE = 64


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(8, 16)
        self.second = nn.Linear(16, 1)

    def forward(self, x):
        x = torch.relu(self.first(x))
        return self.second(x)


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
