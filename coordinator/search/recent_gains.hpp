#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <vector>

namespace cambrian::search {

/// The last gains, and what is usual among them: one leap does not change that.
class RecentGains {
 public:
  static constexpr std::size_t kKept = 32;

  /// Above 0 and finite.
  void note(double gain) {
    gains_.push_back(gain);
    if (gains_.size() > kKept) gains_.pop_front();
  }

  /// The lower median; 0 while there is none.
  double usual() const {
    if (gains_.empty()) return 0;
    std::vector<double> gains(gains_.begin(), gains_.end());
    const auto middle = gains.begin() + static_cast<std::ptrdiff_t>((gains.size() - 1) / 2);
    std::ranges::nth_element(gains, middle);
    return *middle;
  }

 private:
  std::deque<double> gains_;
};

}  // namespace cambrian::search
