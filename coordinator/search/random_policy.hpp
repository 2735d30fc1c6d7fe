#pragma once

#include <optional>

#include "coordinator/search/policy.hpp"

namespace cambrian::search {

/// Independent samples: every proposal starts from the seed and is told nothing else. The control
/// arm against which the other policies have to prove themselves. Memory: the seed.
///
/// Source: "IID random sampling" in Gideoni, Risi and Gal, "Simple Baselines are Competitive with
/// Code Evolution" (arXiv 2602.16805).
class RandomPolicy final : public Policy {
 public:
  explicit RandomPolicy(const Settings& /*settings*/) {}

  void add(const Evaluated& variant) override;
  Choice choose(const Wish& wish, Rng rng) const override;
  std::vector<std::vector<Member>> members() const override;

 private:
  std::optional<Member> seed_;
};

}  // namespace cambrian::search
