#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "common/base/rng.hpp"

namespace cambrian::search {

/// Covariance matrix adaptation: searches a few real numbers by samples of a normal distribution
/// whose mean, step size and shape follow the samples that rank first. Sees ranks only, so that
/// scales and outliers of scores do not matter. Minimising or maximising is the caller's order.
///
/// Deterministic: the same start, generator and orders give the same points, bit for bit, on
/// machines whose `log` and `exp` agree. A generation costs O(dimension^3).
///
/// Source: Hansen, "The CMA Evolution Strategy: A Tutorial" (arXiv 1604.00772), with the default
/// parameters of its table 1, negative weights included.
class Cmaes {
 public:
  static constexpr std::size_t kDimensionMax = 32;

  /// `mean` has 1 to `kDimensionMax` finite numbers; `step` is positive: the standard deviation at
  /// the start, about a third of the range in which the best point is looked for.
  Cmaes(std::vector<double> mean, double step, Rng rng);

  /// The points of the present generation.
  const std::vector<std::vector<double>>& points() const { return points_; }

  /// Ends the generation: the places of its points, every one once, the best first.
  void tell(std::span<const std::size_t> order);

  const std::vector<double>& mean() const { return mean_; }
  double step() const { return step_; }
  /// The standard deviation along the longest axis.
  double spread() const;

 private:
  /// What follows from the dimension alone; the names are those of the tutorial.
  struct Parameters {
    explicit Parameters(std::size_t dimension);

    std::vector<double> weights;  ///< By rank; the sum of the positive ones is 1.
    std::size_t parents = 0;      ///< Positive weights.
    double mu_eff = 0;
    double c_sigma = 0;
    double d_sigma = 0;
    double c_c = 0;
    double c_1 = 0;
    double c_mu = 0;
    double expected_norm = 0;  ///< Of a standard normal vector.
  };

  void sample();
  void move_mean(std::span<const std::size_t> order, std::vector<double>& step);
  void adapt_covariance(std::span<const std::size_t> order, bool is_stalled);
  void decompose();
  /// The inverse square root of the covariance times a vector.
  std::vector<double> whiten(std::span<const double> vector) const;

  std::size_t dimension_;
  Parameters parameters_;
  Rng rng_;
  std::vector<double> mean_;
  double step_;
  std::vector<double> covariance_;  ///< Row by row, symmetric.
  std::vector<double> axes_;        ///< Its eigenvectors in columns.
  std::vector<double> lengths_;     ///< Roots of its eigenvalues.
  std::vector<double> step_path_;
  std::vector<double> covariance_path_;
  std::size_t generation_ = 0;
  std::vector<std::vector<double>> points_;
  std::vector<std::vector<double>> directions_;  ///< (point - mean) / step, by place.
};

}  // namespace cambrian::search
