#pragma once

#include <torch/torch.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "cambrian/candidate.hpp"

namespace cambrian {

/// The training data, on the candidate's device. `inputs` has one example per entry of its first
/// dimension; `targets` has class numbers (int64) or values (float32).
struct Data {
  torch::Tensor inputs;
  torch::Tensor targets;
  /// Whatever else the judge sent.
  std::map<std::string, torch::Tensor> others;

  /// Number of examples.
  std::int64_t size() const { return inputs.size(0); }
  /// The examples with these numbers (int64).
  std::pair<torch::Tensor, torch::Tensor> batch(const torch::Tensor& indices) const {
    return {inputs.index_select(0, indices), targets.index_select(0, indices)};
  }
  /// `count` examples drawn at random, some perhaps twice.
  std::pair<torch::Tensor, torch::Tensor> sample(std::int64_t count) const {
    const auto options = torch::TensorOptions().dtype(torch::kInt64).device(inputs.device());
    return batch(torch::randint(size(), {count}, options));
  }
};

/// Says that this training can be interrupted and go on in another process: from the parameters and
/// buffers of the module, the optimiser, LibTorch's random numbers, and what `training` counts.
/// Call it right before the loop, with training.step() the last thing in it, and only where nothing
/// else changes from step to step: no average of weights, no order of examples. See
/// Training::make_resumable.
void make_resumable(Training& training, torch::nn::Module& module,
                    torch::optim::Optimizer& optimizer);

/// A model that trains and predicts with LibTorch. The main program in
/// libcambrian_torch_candidate.a seeds LibTorch, sets its threads, moves the module to the device,
/// and carries the parameters and buffers of module() from the training process to the predicting
/// one: nothing else survives between the two.
class Candidate {
 public:
  virtual ~Candidate() = default;
  /// Holds everything that training changes and predicting needs.
  virtual torch::nn::Module& module() = 0;
  /// Called once, with the module in training mode.
  virtual void train(const Data& data, Training& training) = 0;
  /// Called for batches of any size, with the module in evaluation mode and without gradients.
  virtual torch::Tensor predict(torch::Tensor inputs) = 0;
};

/// Defined by the candidate.
std::unique_ptr<Candidate> make_candidate(const Setup& setup);

/// A candidate made of a module with `forward(inputs)` and a function that trains it.
template <class Net>
class NetCandidate : public Candidate {
 public:
  using Train = std::function<void(Net& net, const Data& data, Training& training)>;

  explicit NetCandidate(Train train) : net_(std::make_shared<Net>()), train_(std::move(train)) {}
  torch::nn::Module& module() override { return *net_; }
  void train(const Data& data, Training& training) override { train_(*net_, data, training); }
  torch::Tensor predict(torch::Tensor inputs) override { return net_->forward(inputs); }

 private:
  std::shared_ptr<Net> net_;
  Train train_;
};

}  // namespace cambrian
