#pragma once

#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "common/base/rng.hpp"
#include "coordinator/search/ranking.hpp"
#include "coordinator/search/types.hpp"

namespace cambrian::search {

/// A variant that was evaluated, as the policies see it. Borrowed for the length of a call.
struct Evaluated {
  Scored scored;
  int generation = 0;         ///< Distance from the seed.
  std::optional<int> island;  ///< Where it was born; none: the seed, or a policy without islands.
  std::int64_t source_tokens = 0;
  const std::map<std::string, double>& metrics;
  std::span<const VariantNumber> parents = {};  ///< Empty for the seed.
};

/// A variant that may become a parent.
struct Member {
  Scored scored;
  int generation = 0;
  std::int64_t cell = 0;  ///< Its place in the grid; 0 for policies without one.
  friend bool operator==(const Member&, const Member&) = default;
};

/// What one proposal starts from.
struct Choice {
  std::vector<Member> parents;
  std::vector<VariantNumber> inspirations;  ///< The best, then some picked at random.
  std::optional<int> island;
  bool shows_failures = true;  ///< False: an independent sample, not told what failed before.
};

/// What a policy is asked for.
struct Wish {
  ProposalNumber proposal;
  std::size_t parents = 1;  ///< 1 or 2; the choice has fewer if there are no more.
  std::size_t inspirations = 0;
  /// The best parent of the island whose turn it is, or of all, where the policy ranks its parents.
  bool wants_leader = false;
  double budget_used = 0;  ///< Share, from 0 to 1, of the budget that is nearest to its end.
};

/// How parents are chosen. Sees evaluated variants, keeps those that may become parents, and never
/// draws from anything but the generator that it is handed.
class Policy {
 public:
  virtual ~Policy() = default;

  /// A variant was evaluated. The first call is for the seed.
  virtual void add(const Evaluated& variant) = 0;
  /// A child of these failed; none for the seed.
  virtual void add_failure(std::span<const VariantNumber> /*parents*/) {}
  /// The count of finished search evaluations rose to this number.
  virtual void count_evaluations(std::int64_t /*finished*/) {}

  /// Variants that may be asked for now, with `in_flight` ones asked for and not yet settled.
  virtual std::int64_t room(std::int64_t /*in_flight*/) const {
    return std::numeric_limits<std::int64_t>::max();
  }
  /// Chooses for one proposal. Only after the seed was added; gives at least one parent.
  virtual Choice choose(const Wish& wish, Rng rng) const = 0;
  /// The variants that may become parents, for each island; one list for policies without islands.
  virtual std::vector<std::vector<Member>> members() const = 0;
};

/// Makes the policy that the settings name.
std::unique_ptr<Policy> make_policy(const Settings& settings);

/// The value of a feature or constraint: a metric, or the length of the program for
/// `source_tokens`. None where the variant lacks it.
std::optional<double> value_of(const std::string& metric, std::int64_t source_tokens,
                               const std::map<std::string, double>& metrics);

/// How far a variant is from keeping the constraints: the sum over them of the excess, relative to
/// the bound where that is larger than one. A metric that is missing is infinitely far.
double violation_of(const std::vector<Constraint>& constraints, std::int64_t source_tokens,
                    const std::map<std::string, double>& metrics);

/// Picks `count` members that are not among the parents: the best first, then as many picked at
/// random. Fewer if there are not enough. `ranked` is sorted, the best first.
std::vector<VariantNumber> pick_inspirations(std::span<const Member> ranked,
                                             std::span<const Member> parents, std::size_t count,
                                             Rng& rng);

}  // namespace cambrian::search
