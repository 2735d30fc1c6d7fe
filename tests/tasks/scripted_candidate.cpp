// A classifier without LibTorch: class means, and the nearest one wins. Its argument makes it do
// one thing wrong.
#include <cambrian/candidate.hpp>
#include <chrono>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <thread>

namespace {

using cambrian::Message;
using cambrian::Tensor;

constexpr std::size_t kClasses = 10;
std::string mode;

class NearestMean : public cambrian::Program {
 public:
  std::vector<Tensor> train(const Message& data, cambrian::Training& training) override {
    if (mode == "train_throws") throw std::runtime_error("no idea");
    const Tensor& inputs = data.tensor("inputs");
    const auto values = inputs.values<float>();
    const auto labels = data.tensor("targets").values<std::int64_t>();
    width_ = inputs.size() / labels.size();
    means_.assign(kClasses * width_, 0);
    std::vector<float> counts(kClasses, 0);
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const auto label = static_cast<std::size_t>(labels[i]);
      counts[label] += 1;
      for (std::size_t k = 0; k < width_; ++k) means_[label * width_ + k] += values[i * width_ + k];
    }
    for (std::size_t i = 0; i < means_.size(); ++i) means_[i] /= counts[i / width_];
    const double left = training.seconds_left();
    training.step(1.0);
    // Half a second for an answer at a rung, and a busy machine.
    if (mode == "slow_probe" && left - training.seconds_left() > 0.4) {
      throw std::runtime_error("the answer took time of the training");
    }
    if (mode == "late") std::this_thread::sleep_for(std::chrono::seconds(60));
    const auto width = static_cast<std::int64_t>(width_);
    return {cambrian::make_tensor("means", {kClasses, width}, means_)};
  }

  void load(const Message& state) override {
    const Tensor& means = state.tensor("means");
    width_ = static_cast<std::size_t>(means.shape().at(1));
    means_.assign(means.values<float>().begin(), means.values<float>().end());
  }

  std::optional<Tensor> probe(const Message& message) override {
    if (mode == "no_probe") return std::nullopt;
    if (mode == "probe_throws") throw std::runtime_error("not yet");
    if (mode == "slow_probe") std::this_thread::sleep_for(std::chrono::milliseconds(500));
    return predict(message);
  }

  Tensor predict(const Message& message) override {
    const Tensor& inputs = message.tensor("inputs");
    const auto rows = static_cast<std::size_t>(inputs.shape().at(0));
    std::vector<float> scores(rows * kClasses);
    for (std::size_t i = 0; i < scores.size(); ++i) {
      scores[i] =
          -distance(inputs.values<float>().subspan(i / kClasses * width_, width_), i % kClasses);
    }
    if (mode == "nan") scores[7] = std::numeric_limits<float>::quiet_NaN();
    if (mode == "infinity") scores[7] = std::numeric_limits<float>::infinity();
    const auto count = static_cast<std::int64_t>(rows);
    if (mode == "transposed") return cambrian::make_tensor("outputs", {kClasses, count}, scores);
    if (mode == "few") scores.resize(kClasses);
    const auto answered = static_cast<std::int64_t>(scores.size() / kClasses);
    return cambrian::make_tensor(mode == "misnamed" ? "logits" : "outputs", {answered, kClasses},
                                 scores);
  }

 private:
  float distance(std::span<const float> input, std::size_t label) const {
    float sum = 0;
    for (std::size_t k = 0; k < width_; ++k) {
      const float difference = input[k] - means_[label * width_ + k];
      sum += difference * difference;
    }
    return sum;
  }

  std::size_t width_ = 0;
  std::vector<float> means_;
};

}  // namespace

std::unique_ptr<cambrian::Program> cambrian::make_program(const cambrian::Setup&) {
  return std::make_unique<NearestMean>();
}

int main(int, char** argv) {
  mode = argv[1];
  return cambrian::run_candidate(cambrian::channel_from_environment());
}
