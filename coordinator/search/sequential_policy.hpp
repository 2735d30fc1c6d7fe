#pragma once

#include "coordinator/search/generation.hpp"

namespace cambrian::search {

/// Sequential conditioned sampling, the stronger control arm: generations of `children` samples,
/// each conditioned on programs drawn at random from those of the last generation that evaluated.
/// Nothing is selected but what fails, and nothing better is kept. The first generation is
/// conditioned on the seed; after `generations` of them the chain begins anew there.
///
/// One program is the parent, the inspirations are others of the same generation: with two
/// inspirations, conditioned on three. A generation ends when `children` variants are settled,
/// failed ones included; one in which all failed is repeated. As in `HillClimbPolicy`, what a
/// generation is conditioned on does not depend on the order in which results arrive.
///
/// Memory: the evaluated variants of two generations.
///
/// Source: "Sequential conditioned sampling" in Gideoni, Risi and Gal, "Simple Baselines are
/// Competitive with Code Evolution" (arXiv 2602.16805): 20 programs, 10 generations, conditioned on
/// 3. There a campaign is one chain; ours begins another while the budget lasts.
class SequentialPolicy final : public Policy {
 public:
  explicit SequentialPolicy(const Settings& settings);

  void add(const Evaluated& variant) override;
  void add_failure(std::span<const VariantNumber> parents) override;
  std::int64_t room(std::int64_t in_flight) const override;
  Choice choose(const Wish& wish, Rng rng) const override;
  std::vector<std::vector<Member>> members() const override;

 private:
  void end_generation();

  int generations_max_;
  Ranking ranking_;
  std::vector<Member> seed_;
  std::vector<Member> last_;  ///< The generation that is conditioned on, by rank.
  Generation children_;
  int generation_ = 0;  ///< In the present chain, from 0.
};

}  // namespace cambrian::search
