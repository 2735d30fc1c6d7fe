#pragma once

#include <cstddef>
#include <vector>

#include "coordinator/search/recent_gains.hpp"

namespace cambrian::search {

/// How often each of some arms (operators, models) is drawn, learned from what it leads to: in
/// proportion to its weight and to its gain for its cost, against those of all arms (probability
/// matching). Pure, and without randomness. One thread.
class ShareLearner {
 public:
  /// The weights with which it begins: positive and finite.
  explicit ShareLearner(std::vector<double> weights);

  /// One variant of this arm, or a proposal that brought none. `gain`: by how much it is better
  /// than its parent, 0 if it is not, in one unit for all, finite. `cost`: 0 or more, likewise.
  void tell(std::size_t arm, double gain, double cost);

  /// By arm: the weight with which it is to be drawn now, positive. Until there is a gain these are
  /// the first ones, then their sum is 1.
  std::vector<double> weights() const;

 private:
  /// Sums in which older trials count less.
  struct Sums {
    double trials = 0;
    double gain = 0;
    double cost = 0;
    void add(double new_gain, double new_cost);
  };

  std::vector<double> first_;
  std::vector<Sums> arms_;
  Sums all_;
  RecentGains gains_;
};

}  // namespace cambrian::search
