#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "coordinator/search/cmaes.hpp"
#include "coordinator/search/policy.hpp"
#include "coordinator/search/types.hpp"

namespace cambrian::search {

/// The operator `tune`: searches the constants of one evaluated variant by CMA-ES, run after run.
///
/// A run begins with a variant whose constants are asked for; it has none to give until they come.
/// Then it gives point after point of a generation, and none while the results of one are awaited:
/// what a generation is made from does not depend on the order in which they arrive. Every point
/// becomes a variant like any other, a child of the run's variant.
///
/// A run ends when it has told so many results as the settings allow, or `kEvaluationsEach` for
/// each constant if these are fewer, when `kStallsMax` generations in a row brought nothing better,
/// or when its points have come together. No variant is tuned twice, nor are those that a run made.
///
/// Bounds: a coordinate is the place between them, 0 to 1, on the constant's own scale. What leaves
/// them is mirrored back.
///
/// The hybrid of code edits and CMA-ES is that of "autoresearch-automl" (arXiv 2603.24647).
class Tuner {
 public:
  static constexpr int kEvaluationsEach = 10;
  static constexpr int kStallsMax = 3;
  /// Of the way between a constant's bounds.
  static constexpr double kStep = 0.15;
  static constexpr double kSpreadMin = 1e-4;

  /// A point of a run.
  struct Sample {
    std::int64_t run = 0;
    std::size_t place = 0;
    friend bool operator==(const Sample&, const Sample&) = default;
  };

  /// What a proposal of this operator is made of.
  struct Draft {
    Sample sample;
    Member parent;
    std::optional<int> island;
    std::vector<double> values;
  };

  explicit Tuner(const Settings& settings);

  /// True while a run goes on, its constants known or not.
  bool is_running() const { return run_.has_value(); }
  /// True if a run may begin with this variant.
  bool is_new(VariantNumber variant) const { return !known_.contains(variant); }
  /// Needs `is_new(parent)` and no run. `take` is to follow.
  void begin(const Member& parent, std::optional<int> island);
  /// The constants of the variant that a run waits for; others are ignored. Without any there is
  /// nothing to tune.
  void take(VariantNumber variant, const std::vector<Constant>& constants, Rng rng);

  /// The next point, if there is one now.
  std::optional<Draft> draw();
  /// A variant was made of a point: it will not be tuned itself.
  void note(VariantNumber variant) { known_.insert(variant); }
  /// What became of a point; nothing if it failed or equals another variant. Points of runs that
  /// are over are ignored.
  void tell(const Sample& sample, const std::optional<Scored>& scored);

 private:
  struct Run {
    std::int64_t number = 0;
    Member parent;
    std::optional<int> island;
    std::vector<Constant> constants;
    std::optional<Cmaes> cmaes;  ///< None while the constants are awaited.
    std::size_t drawn = 0;       ///< Of this generation.
    std::vector<std::optional<Scored>> results;
    std::size_t told = 0;  ///< Of this generation.
    std::int64_t evaluations = 0;
    Scored best;
    int stalls = 0;
  };

  void end_generation();

  std::int64_t evaluations_max_;
  Ranking ranking_;
  std::int64_t runs_ = 0;
  std::optional<Run> run_;
  std::set<VariantNumber> known_;
};

}  // namespace cambrian::search
