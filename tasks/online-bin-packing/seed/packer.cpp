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
    while (rooms_.size() < kUnusedBins) open_bin();
  }

  struct Choice {
    std::int32_t bin = 0;
    double score = 0;
  };

  Choice place(double item) {
    find_fitting(item);
    const std::vector<double> scores = priority(item, fitting_rooms_);
    if (scores.size() != fitting_rooms_.size()) {
      throw std::runtime_error("priority() returned " + std::to_string(scores.size()) +
                               " scores for " + std::to_string(fitting_rooms_.size()) + " bins");
    }
    const std::size_t best = best_of(scores);
    const Choice choice{numbers_[fitting_[best]], scores[best]};
    take(fitting_[best], item);
    return choice;
  }

 private:
  // Called for every item with hundreds of bins. Whether one fits is hard to foresee: writing each
  // and moving on past those that fit is faster than a branch.
  void find_fitting(double item) {
    fitting_.resize(rooms_.size());
    fitting_rooms_.resize(rooms_.size());
    std::size_t count = 0;
    for (std::size_t i = 0; i < rooms_.size(); ++i) {
      fitting_[count] = i;
      fitting_rooms_[count] = rooms_[i];
      count += rooms_[i] >= item ? 1 : 0;
    }
    fitting_rooms_.resize(count);
  }

  // A NaN wins, so that the judge gets to see it.
  static std::size_t best_of(const std::vector<double>& scores) {
    std::size_t best = 0;
    double highest = scores[0];
    for (std::size_t i = 1; i < scores.size() && !std::isnan(highest); ++i) {
      if (scores[i] <= highest) continue;
      best = i;
      highest = scores[i];
    }
    return best;
  }

  void take(std::size_t place, double item) {
    rooms_[place] -= item;
    while (rooms_[rooms_.size() - kUnusedBins] < capacity_ || rooms_.back() < capacity_) {
      open_bin();
    }
    if (rooms_[place] < kItemMin) {
      rooms_.erase(rooms_.begin() + static_cast<std::ptrdiff_t>(place));
      numbers_.erase(numbers_.begin() + static_cast<std::ptrdiff_t>(place));
    }
  }

  void open_bin() {
    rooms_.push_back(capacity_);
    numbers_.push_back(opened_++);
  }

  double capacity_;
  std::int32_t opened_ = 0;
  // Of each bin in the order of opening, full ones left out.
  std::vector<double> rooms_;
  std::vector<std::int32_t> numbers_;
  std::vector<std::size_t> fitting_;  // Places of those that have room; more behind them.
  std::vector<double> fitting_rooms_;
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
