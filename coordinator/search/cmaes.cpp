#include "coordinator/search/cmaes.hpp"

#include <algorithm>
#include <cmath>

#include "common/base/assert.hpp"

namespace cambrian::search {
namespace {

/// Bounds against a run that degenerates: rounding must never make a square root of less than 0.
constexpr double kStepMin = 1e-150;
constexpr double kStepMax = 1e150;
constexpr double kEigenvalueRatioMin = 1e-14;
constexpr int kSweepsMax = 50;

double norm(std::span<const double> vector) {
  double squares = 0;
  for (const double x : vector) squares += x * x;
  return std::sqrt(squares);
}

/// One rotation of Jacobi's method: makes the entry (p, q) zero.
void rotate(std::vector<double>& matrix, std::vector<double>& axes, std::size_t n, std::size_t p,
            std::size_t q) {
  const double theta = (matrix[q * n + q] - matrix[p * n + p]) / (2 * matrix[p * n + q]);
  const double t = (theta >= 0 ? 1.0 : -1.0) / (std::abs(theta) + std::sqrt(theta * theta + 1));
  const double c = 1 / std::sqrt(t * t + 1);
  const double s = t * c;
  for (std::size_t k = 0; k < n; ++k) {
    const double kp = matrix[k * n + p];
    const double kq = matrix[k * n + q];
    matrix[k * n + p] = c * kp - s * kq;
    matrix[k * n + q] = s * kp + c * kq;
  }
  for (std::size_t k = 0; k < n; ++k) {
    const double pk = matrix[p * n + k];
    const double qk = matrix[q * n + k];
    matrix[p * n + k] = c * pk - s * qk;
    matrix[q * n + k] = s * pk + c * qk;
  }
  for (std::size_t k = 0; k < n; ++k) {
    const double kp = axes[k * n + p];
    const double kq = axes[k * n + q];
    axes[k * n + p] = c * kp - s * kq;
    axes[k * n + q] = s * kp + c * kq;
  }
}

/// Eigenvectors in the columns of `axes`; the eigenvalues stay on the diagonal of `matrix`.
void diagonalize(std::vector<double>& matrix, std::vector<double>& axes, std::size_t n) {
  axes.assign(n * n, 0);
  for (std::size_t i = 0; i < n; ++i) axes[i * n + i] = 1;
  for (int sweep = 0; sweep < kSweepsMax; ++sweep) {
    double off = 0;
    double all = 0;
    for (std::size_t i = 0; i < n * n; ++i) all += matrix[i] * matrix[i];
    for (std::size_t p = 0; p < n; ++p) {
      for (std::size_t q = p + 1; q < n; ++q) off += matrix[p * n + q] * matrix[p * n + q];
    }
    if (off <= 1e-32 * all) return;
    for (std::size_t p = 0; p < n; ++p) {
      for (std::size_t q = p + 1; q < n; ++q) {
        if (matrix[p * n + q] != 0) rotate(matrix, axes, n, p, q);
      }
    }
  }
}

}  // namespace

Cmaes::Parameters::Parameters(std::size_t dimension) {
  const auto n = static_cast<double>(dimension);
  const auto population = 4 + static_cast<std::size_t>(3 * std::log(n));
  std::vector<double> raw;
  for (std::size_t i = 1; i <= population; ++i) {
    raw.push_back(std::log((static_cast<double>(population) + 1) / 2) -
                  std::log(static_cast<double>(i)));
  }
  parents = population / 2;
  double sum = 0;
  double squares = 0;
  double negative_sum = 0;
  double negative_squares = 0;
  for (std::size_t i = 0; i < population; ++i) {
    (i < parents ? sum : negative_sum) += raw[i];
    (i < parents ? squares : negative_squares) += raw[i] * raw[i];
  }
  mu_eff = sum * sum / squares;
  const double mu_eff_negative = negative_sum * negative_sum / negative_squares;
  c_sigma = (mu_eff + 2) / (n + mu_eff + 5);
  d_sigma = 1 + 2 * std::max(0.0, std::sqrt((mu_eff - 1) / (n + 1)) - 1) + c_sigma;
  c_c = (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n);
  c_1 = 2 / ((n + 1.3) * (n + 1.3) + mu_eff);
  c_mu = std::min(1 - c_1, 2 * (0.25 + mu_eff + 1 / mu_eff - 2) / ((n + 2) * (n + 2) + mu_eff));
  const double negative = std::min(
      {1 + c_1 / c_mu, 1 + 2 * mu_eff_negative / (mu_eff + 2), (1 - c_1 - c_mu) / (n * c_mu)});
  for (std::size_t i = 0; i < population; ++i) {
    weights.push_back(i < parents ? raw[i] / sum : raw[i] * negative / -negative_sum);
  }
  expected_norm = std::sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));
}

Cmaes::Cmaes(std::vector<double> mean, double step, Rng rng)
    : dimension_(mean.size()),
      parameters_(std::max<std::size_t>(mean.size(), 1)),
      rng_(rng),
      mean_(std::move(mean)),
      step_(step),
      covariance_(dimension_ * dimension_),
      lengths_(dimension_, 1),
      step_path_(dimension_),
      covariance_path_(dimension_) {
  CAMBRIAN_ASSERT(dimension_ >= 1 && dimension_ <= kDimensionMax && step_ > 0);
  for (std::size_t i = 0; i < dimension_; ++i) covariance_[i * dimension_ + i] = 1;
  axes_ = covariance_;
  sample();
}

double Cmaes::spread() const { return step_ * *std::ranges::max_element(lengths_); }

void Cmaes::sample() {
  const std::size_t population = parameters_.weights.size();
  points_.assign(population, mean_);
  directions_.assign(population, std::vector<double>(dimension_));
  for (std::size_t place = 0; place < population; ++place) {
    std::vector<double>& direction = directions_[place];
    for (std::size_t axis = 0; axis < dimension_; ++axis) {
      const double length = lengths_[axis] * rng_.normal();
      for (std::size_t i = 0; i < dimension_; ++i) {
        direction[i] += axes_[i * dimension_ + axis] * length;
      }
    }
    for (std::size_t i = 0; i < dimension_; ++i) points_[place][i] += step_ * direction[i];
  }
}

std::vector<double> Cmaes::whiten(std::span<const double> vector) const {
  std::vector<double> result(dimension_);
  for (std::size_t axis = 0; axis < dimension_; ++axis) {
    double share = 0;
    for (std::size_t i = 0; i < dimension_; ++i) share += axes_[i * dimension_ + axis] * vector[i];
    share /= lengths_[axis];
    for (std::size_t i = 0; i < dimension_; ++i) result[i] += axes_[i * dimension_ + axis] * share;
  }
  return result;
}

void Cmaes::tell(std::span<const std::size_t> order) {
  CAMBRIAN_ASSERT(order.size() == points_.size());
  std::vector<double> step(dimension_);
  move_mean(order, step);
  const Parameters& p = parameters_;
  const std::vector<double> white = whiten(step);
  const double share = std::sqrt(p.c_sigma * (2 - p.c_sigma) * p.mu_eff);
  for (std::size_t i = 0; i < dimension_; ++i) {
    step_path_[i] = (1 - p.c_sigma) * step_path_[i] + share * white[i];
  }
  const double length = norm(step_path_);
  ++generation_;
  const double begun = 1 - std::pow(1 - p.c_sigma, 2 * static_cast<double>(generation_));
  const auto n = static_cast<double>(dimension_);
  const bool is_stalled = length / std::sqrt(begun) >= (1.4 + 2 / (n + 1)) * p.expected_norm;
  const double covariance_share = is_stalled ? 0 : std::sqrt(p.c_c * (2 - p.c_c) * p.mu_eff);
  for (std::size_t i = 0; i < dimension_; ++i) {
    covariance_path_[i] = (1 - p.c_c) * covariance_path_[i] + covariance_share * step[i];
  }
  adapt_covariance(order, is_stalled);
  step_ *= std::exp(p.c_sigma / p.d_sigma * (length / p.expected_norm - 1));
  step_ = std::clamp(step_, kStepMin, kStepMax);
  decompose();
  sample();
}

void Cmaes::move_mean(std::span<const std::size_t> order, std::vector<double>& step) {
  for (std::size_t rank = 0; rank < parameters_.parents; ++rank) {
    const std::vector<double>& direction = directions_.at(order[rank]);
    for (std::size_t i = 0; i < dimension_; ++i) {
      step[i] += parameters_.weights[rank] * direction[i];
    }
  }
  for (std::size_t i = 0; i < dimension_; ++i) mean_[i] += step_ * step[i];
}

void Cmaes::adapt_covariance(std::span<const std::size_t> order, bool is_stalled) {
  const Parameters& p = parameters_;
  double weight_sum = 0;
  for (const double weight : p.weights) weight_sum += weight;
  const double lost = is_stalled ? p.c_c * (2 - p.c_c) : 0;
  const double kept = 1 + p.c_1 * lost - p.c_1 - p.c_mu * weight_sum;
  for (double& entry : covariance_) entry *= kept;
  const auto add = [this](std::span<const double> vector, double factor) {
    for (std::size_t i = 0; i < dimension_; ++i) {
      for (std::size_t j = 0; j < dimension_; ++j) {
        covariance_[i * dimension_ + j] += factor * (vector[i] * vector[j]);
      }
    }
  };
  add(covariance_path_, p.c_1);
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    const std::vector<double>& direction = directions_.at(order[rank]);
    double weight = p.weights[rank];
    if (weight < 0) {  // Scaled so that the covariance stays positive definite.
      const double length = norm(whiten(direction));
      weight *= static_cast<double>(dimension_) / std::max(length * length, 1e-30);
    }
    add(direction, p.c_mu * weight);
  }
}

void Cmaes::decompose() {
  std::vector<double> matrix = covariance_;
  diagonalize(matrix, axes_, dimension_);
  double largest = 0;
  for (std::size_t i = 0; i < dimension_; ++i) {
    largest = std::max(largest, matrix[i * dimension_ + i]);
  }
  CAMBRIAN_ASSERT(std::isfinite(largest) && largest > 0);
  for (std::size_t i = 0; i < dimension_; ++i) {
    lengths_[i] = std::sqrt(std::max(matrix[i * dimension_ + i], largest * kEigenvalueRatioMin));
  }
}

}  // namespace cambrian::search
