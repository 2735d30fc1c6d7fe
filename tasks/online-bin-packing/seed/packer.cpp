// Keeps the bins of every stream and asks priority() where the next item goes. Not evolved.
#include <cambrian/candidate.hpp>
#include <cmath>
#include <stdexcept>

#include "priority.hpp"

namespace {

constexpr std::size_t kUnusedBins = 2;
/// Items are whole numbers: a bin with less room is full, and never looked at again.
constexpr double kItemMin = 1;

class Stream {
 public:
  explicit Stream(double capacity) : capacity_(capacity) {
    while (open_.size() < kUnusedBins) open_bin();
  }

  struct Choice {
    std::int32_t bin = 0;
    double score = 0;
  };

  Choice place(double item) {
    fitting_.clear();
    fitting_room_.clear();
    for (std::size_t i = 0; i < open_.size(); ++i) {
      if (open_[i].room < item) continue;
      fitting_.push_back(i);
      fitting_room_.push_back(open_[i].room);
    }
    const std::vector<double> scores = priority(item, fitting_room_);
    if (scores.size() != fitting_.size()) {
      throw std::runtime_error("priority() returned " + std::to_string(scores.size()) +
                               " scores for " + std::to_string(fitting_.size()) + " bins");
    }
    const std::size_t best = best_of(scores);
    const Choice choice{open_[fitting_[best]].number, scores[best]};
    take(fitting_[best], item);
    return choice;
  }

 private:
  // A NaN wins, so that the judge gets to see it.
  static std::size_t best_of(const std::vector<double>& scores) {
    std::size_t best = 0;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      if (std::isnan(scores[i])) return i;
      if (scores[i] > scores[best]) best = i;
    }
    return best;
  }

  void take(std::size_t place, double item) {
    open_[place].room -= item;
    while (open_[open_.size() - kUnusedBins].room < capacity_ || open_.back().room < capacity_) {
      open_bin();
    }
    if (open_[place].room < kItemMin) {
      open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(place));
    }
  }

  void open_bin() { open_.push_back({opened_++, capacity_}); }

  struct Bin {
    std::int32_t number = 0;
    double room = 0;
  };

  double capacity_;
  std::int32_t opened_ = 0;
  std::vector<Bin> open_;  // In the order of opening, full ones left out.
  std::vector<std::size_t> fitting_;
  std::vector<double> fitting_room_;
};

class Packer : public cambrian::Program {
 public:
  cambrian::Message answer(const cambrian::Message& question) override {
    const auto items = question.tensor("items").values<double>();
    if (streams_.empty()) {
      streams_.assign(items.size(), Stream(question.number("capacity")));
    }
    std::vector<std::int32_t> bins;
    std::vector<double> scores;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const Stream::Choice choice = streams_.at(i).place(items[i]);
      bins.push_back(choice.bin);
      scores.push_back(choice.score);
    }
    const auto count = static_cast<std::int64_t>(items.size());
    cambrian::Message answer;
    answer.tensors.push_back(cambrian::make_tensor("bins", {count}, bins));
    answer.tensors.push_back(cambrian::make_tensor("scores", {count}, scores));
    return answer;
  }

 private:
  std::vector<Stream> streams_;
};

}  // namespace

std::unique_ptr<cambrian::Program> cambrian::make_program(const cambrian::Setup&) {
  return std::make_unique<Packer>();
}
