#include "coordinator/search/early_stop.hpp"

#include <algorithm>
#include <cmath>

namespace cambrian::search {

bool is_hopeless(const EarlyStop& rule, Goal goal, double own, std::span<const double> others) {
  if (std::ssize(others) < rule.minimum) return false;
  const auto better = std::ranges::count_if(others, [goal, own](double other) {
    return goal == Goal::maximize ? other > own : other < own;
  });
  if (rule.rule == EarlyStopRule::median) return 2 * better > std::ssize(others);
  const double all = static_cast<double>(others.size()) + 1;
  return static_cast<double>(better) + 1 > std::max(1.0, std::floor(all * rule.keep));
}

}  // namespace cambrian::search
