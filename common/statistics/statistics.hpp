#pragma once

#include <optional>
#include <span>
#include <vector>

#include "common/base/rng.hpp"

namespace cambrian::statistics {

/// Statistics of repeated measurements. All inputs must be finite; sums run in the order given.
/// Complexity: linear, the bootstrap `resamples` times that.

/// Arithmetic mean of at least one value. Finite even where the plain sum overflows.
double mean(std::span<const double> values);

/// Standard error of the mean, by the unbiased variance. None for fewer than two values.
std::optional<double> standard_error(std::span<const double> values);

/// The value below which Student's t distribution has this share. `probability` above 0 and below
/// 1, `freedom` (degrees of freedom) above 0.
double student_quantile(double probability, double freedom);

/// A range that covers the true value with some confidence.
struct Interval {
  double low = 0;
  double high = 0;
  friend bool operator==(const Interval&, const Interval&) = default;
};

inline constexpr int kResamplesDefault = 2000;

/// How a bootstrap is made.
struct BootstrapOptions {
  double confidence = 0.95;  ///< Above 0, below 1.
  int resamples = kResamplesDefault;
};

/// Percentile interval of the mean by the bootstrap (Efron, "Bootstrap methods", Annals of
/// Statistics 7, 1979). The same generator gives the same interval. None for fewer than two values:
/// one measurement says nothing about its spread. With fewer than about ten values it is too
/// narrow.
std::optional<Interval> bootstrap_interval(std::span<const double> values, Rng rng,
                                           BootstrapOptions options = {});

/// How much `after` differs from `before`, value by value: both were measured with the same seeds.
struct PairedDifference {
  double mean = 0;
  std::optional<double> standard_error;
  std::optional<Interval> interval;  ///< By the bootstrap over pairs.
};

/// Needs two series of one length, at least one value each.
PairedDifference paired_difference(std::span<const double> before, std::span<const double> after,
                                   Rng rng, BootstrapOptions options = {});

/// The middle `confidence` of values: their percentile interval. Needs at least one.
Interval percentiles(std::vector<double> values, double confidence);

/// Quantile of sorted values by linear interpolation (type 7 of Hyndman and Fan, "Sample quantiles
/// in statistical packages", 1996). Needs at least one value; `probability` from 0 to 1.
double quantile(std::span<const double> sorted, double probability);

}  // namespace cambrian::statistics
