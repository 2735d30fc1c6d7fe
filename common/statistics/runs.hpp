#pragma once

#include <optional>
#include <span>
#include <vector>

#include "common/statistics/statistics.hpp"

/// Statistics of repeated runs of a search: each run is its best score after every evaluation.
namespace cambrian::statistics {

/// Median, and its percentile interval by the bootstrap. None of the latter for fewer than two
/// values. Needs at least one.
double median(std::span<const double> values);
std::optional<Interval> median_interval(std::span<const double> values, Rng rng,
                                        BootstrapOptions options = {});

/// A median with its interval at one place of a curve.
struct CurvePoint {
  std::size_t evaluations = 0;  ///< From 1.
  double median = 0;
  Interval interval;  ///< Equal to the median for a single run.
};

/// Places at which a curve is shown: all of a short one, else about so many, denser at the
/// beginning, where curves move.
std::vector<std::size_t> curve_places(std::size_t length, std::size_t count_max = 60);

/// The median curve of several runs of equal length with pointwise intervals: whole runs are drawn
/// anew, so that the values of one run stay together. At the places given, from 1.
std::vector<CurvePoint> median_curve(std::span<const std::vector<double>> runs,
                                     std::span<const std::size_t> places, Rng rng,
                                     BootstrapOptions options = {});

/// Mean of a best-so-far curve: the area under it over its length. Rewards being good early.
double area_under(std::span<const double> curve);

/// How many of so many attempts succeeded, with Wilson's score interval ("Probable inference, the
/// law of succession, and statistical inference", JASA 22, 1927), without continuity correction.
struct Rate {
  double ratio = 0;
  Interval interval;
};
/// Needs at least one attempt; `confidence` 0.95.
Rate success_rate(std::size_t successes, std::size_t attempts);

/// The first evaluation, from 1, after which a run is as good as the target; none where it never
/// is.
std::optional<std::size_t> evaluations_to(std::span<const double> curve, double target,
                                          bool is_maximized);

/// Expected evaluations until the target with restarts: those spent by all runs, successful ones
/// until they succeeded, over the number of successes. None without a success. Source: Hansen et
/// al., "COCO: performance assessment" (arXiv 1605.03560), where it is called aRT.
std::optional<double> expected_evaluations(std::span<const std::vector<double>> runs, double target,
                                           bool is_maximized);

}  // namespace cambrian::statistics
