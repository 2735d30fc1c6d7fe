#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "coordinator/search/policy.hpp"

namespace cambrian::search {

/// One generation of `size` variants: complete when so many are settled, failed ones included. The
/// next one starts only then, so that what it starts from does not depend on the order in which
/// results arrive.
class Generation {
 public:
  explicit Generation(int size) : size_(size) {}

  /// A variant of this generation was evaluated, or failed.
  void add(const Member& member) {
    members_.push_back(member);
    ++settled_;
  }
  void add_failure() { ++settled_; }

  bool is_complete() const { return settled_ >= size_; }

  /// Variants that may be asked for now, with `in_flight` ones asked for and not yet settled.
  std::int64_t room(std::int64_t in_flight) const { return size_ - settled_ - in_flight; }

  /// The evaluated ones, the best first; the next generation begins.
  std::vector<Member> take(const Ranking& ranking) {
    settled_ = 0;
    std::ranges::sort(members_, ranking, &Member::scored);
    return std::exchange(members_, {});
  }

 private:
  std::int64_t size_;
  std::int64_t settled_ = 0;
  std::vector<Member> members_;
};

}  // namespace cambrian::search
