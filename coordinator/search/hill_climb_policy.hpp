#pragma once

#include "coordinator/search/generation.hpp"

namespace cambrian::search {

/// The loop of the seed paper: N children of one incumbent, failures dropped, the best of children
/// and incumbent is the next incumbent. A generation is complete when `search.children` variants
/// are settled, failed ones included; the next one starts only then, so that all children of a
/// generation have the same parent and the same inspirations in whatever order results arrive.
///
/// A crossover joins the incumbent and one of the runners-up: the best `kRunnersUpMax` variants of
/// earlier generations. Memory: these and the children of the present generation.
///
/// Source: Sheng and Padmanabhan (arXiv 2205.00167). We keep the incumbent when no child is better.
class HillClimbPolicy final : public Policy {
 public:
  static constexpr std::size_t kRunnersUpMax = 16;

  explicit HillClimbPolicy(const Settings& settings);

  void add(const Evaluated& variant) override;
  void add_failure(std::span<const VariantNumber> parents) override;
  std::int64_t room(std::int64_t in_flight) const override;
  Choice choose(const Wish& wish, Rng rng) const override;
  std::vector<std::vector<Member>> members() const override;

 private:
  void end_generation();

  Ranking ranking_;
  std::vector<Member> ranked_;  ///< The incumbent first, then the runners-up.
  Generation children_;
};

}  // namespace cambrian::search
