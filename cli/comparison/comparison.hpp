#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/statistics/rank_test.hpp"
#include "common/statistics/runs.hpp"

/// Arms of a search against each other at equal budget: values only.
namespace cambrian::cli {

/// One campaign.
struct Run {
  std::string name;
  std::uint64_t seed = 0;
  std::vector<double> curve;     ///< Best score after each finished evaluation.
  std::optional<double> sealed;  ///< Mean of the winner on the sealed split, fresh seeds.
};

/// The same way to search with several seeds.
struct Arm {
  std::string label;
  std::vector<Run> runs;
};

/// What is compared.
struct Arms {
  std::string task;    ///< Name, for people.
  std::string metric;  ///< The first objective.
  bool is_maximized = false;
  std::vector<Arm> arms;
};

struct CompareOptions {
  std::optional<double> target;  ///< A score whose reaching counts as a success.
  double significance = 0.05;
  std::uint64_t seed = 1;  ///< Of the bootstrap.
};

/// How often and how soon an arm reaches the target.
struct TargetSummary {
  statistics::Rate rate;
  std::optional<double> expected_evaluations;
};

struct ArmSummary {
  double median = 0;  ///< Of the best scores at the common budget.
  std::optional<statistics::Interval> interval;
  double area = 0;               ///< Median over runs of the area under the curve.
  std::optional<double> sealed;  ///< Median of the winners' sealed scores; where every run has one.
  std::optional<statistics::Interval> sealed_interval;
  std::optional<TargetSummary> target;
  std::vector<statistics::CurvePoint> curve;
};

/// Two arms in one measure.
struct Contrast {
  std::size_t first = 0;  ///< Index of the arm.
  std::size_t second = 0;
  bool is_sealed = false;  ///< False: the search's own score at the common budget.
  statistics::RankTest test;
  double p_adjusted = 1;          ///< Over all pairs of this measure (Holm).
  double probability_better = 0;  ///< That a run of the first is better than one of the second.
  statistics::Interval interval;  ///< Of that.
  bool is_shown = false;          ///< The adjusted p is below the significance.
  std::string verdict;            ///< One line for people.
};

struct Comparison {
  std::size_t evaluations = 0;  ///< The common budget: the shortest run.
  std::vector<ArmSummary> arms;
  std::vector<Contrast> contrasts;  ///< Every pair; the search's measure first.
  std::vector<std::string> notes;   ///< What a reader must know before believing it.
};

/// Compares every pair of arms. Errors: `invalid_argument` for fewer than two arms, an arm without
/// runs, or a run without a score.
Result<Comparison> compare(const Arms& arms, const CompareOptions& options);

}  // namespace cambrian::cli
