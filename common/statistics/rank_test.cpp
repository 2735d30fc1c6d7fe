#include "common/statistics/rank_test.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "common/base/assert.hpp"

namespace cambrian::statistics {
namespace {

struct Ranked {
  double u = 0;        ///< Of the first sample.
  double tie_sum = 0;  ///< Sum of t^3 - t over groups of equal values.
};

Ranked rank(std::span<const double> a, std::span<const double> b) {
  struct Value {
    double value;
    bool is_first;
  };
  std::vector<Value> all;
  all.reserve(a.size() + b.size());
  for (const double value : a) all.push_back({value, true});
  for (const double value : b) all.push_back({value, false});
  std::ranges::sort(all, {}, &Value::value);
  Ranked ranked;
  double rank_sum = 0;
  for (std::size_t begin = 0; begin < all.size();) {
    std::size_t end = begin;
    double first = 0;
    while (end < all.size() && all[end].value == all[begin].value) {
      first += all[end++].is_first ? 1 : 0;
    }
    const auto ties = static_cast<double>(end - begin);
    ranked.tie_sum += ties * ties * ties - ties;
    rank_sum += first * (static_cast<double>(begin + end) + 1) / 2;  // The mean of their ranks.
    begin = end;
  }
  const auto count = static_cast<double>(a.size());
  ranked.u = rank_sum - count * (count + 1) / 2;
  return ranked;
}

/// Probability of each U under equality: `counts[u]`, built up value by value. The number of ways
/// to reach u with i of the first and j of the second sample is that without the largest value:
/// if it is of the first, it beats all j others.
std::vector<double> distribution(std::size_t a, std::size_t b) {
  std::vector<std::vector<double>> row(b + 1, std::vector<double>{1});  // i = 0.
  for (std::size_t i = 1; i <= a; ++i) {
    std::vector<std::vector<double>> next(b + 1);
    next[0] = {1};
    for (std::size_t j = 1; j <= b; ++j) {
      // Probabilities, not counts: nothing overflows.
      const double first = static_cast<double>(i) / static_cast<double>(i + j);
      next[j].assign(i * j + 1, 0);
      for (std::size_t u = 0; u < row[j].size(); ++u) next[j][u + j] += first * row[j][u];
      for (std::size_t u = 0; u < next[j - 1].size(); ++u) {
        next[j][u] += (1 - first) * next[j - 1][u];
      }
    }
    row = std::move(next);
  }
  return row[b];
}

double exact_p(double u, std::size_t a, std::size_t b) {
  const std::vector<double> probabilities = distribution(a, b);
  double below = 0;
  double above = 0;
  for (std::size_t i = 0; i < probabilities.size(); ++i) {
    if (static_cast<double>(i) <= u) below += probabilities[i];
    if (static_cast<double>(i) >= u) above += probabilities[i];
  }
  return std::min(1.0, 2 * std::min(below, above));
}

double normal_p(const Ranked& ranked, double a, double b) {
  const double all = a + b;
  const double variance = a * b / 12 * (all + 1 - ranked.tie_sum / (all * (all - 1)));
  if (!(variance > 0)) return 1;  // All values are equal.
  const double distance = std::max(0.0, std::abs(ranked.u - a * b / 2) - 0.5);
  return std::erfc(distance / std::sqrt(variance) / std::numbers::sqrt2);
}

}  // namespace

RankTest mann_whitney(std::span<const double> a, std::span<const double> b) {
  CAMBRIAN_ASSERT(!a.empty() && !b.empty());
  const Ranked ranked = rank(a, b);
  const auto count_a = static_cast<double>(a.size());
  const auto count_b = static_cast<double>(b.size());
  RankTest test;
  test.u = ranked.u;
  test.share = ranked.u / (count_a * count_b);
  test.is_exact = ranked.tie_sum == 0 && a.size() <= kExactMax && b.size() <= kExactMax;
  test.p =
      test.is_exact ? exact_p(ranked.u, a.size(), b.size()) : normal_p(ranked, count_a, count_b);
  return test;
}

double smallest_p(std::size_t a, std::size_t b) {
  CAMBRIAN_ASSERT(a > 0 && b > 0);
  double ways = 1;  // Orders of the two samples; one of them is the most extreme.
  for (std::size_t i = 1; i <= a; ++i) {
    ways *= static_cast<double>(b + i) / static_cast<double>(i);
  }
  return std::min(1.0, 2 / ways);
}

double probability_larger(std::span<const double> a, std::span<const double> b) {
  CAMBRIAN_ASSERT(!a.empty() && !b.empty());
  return rank(a, b).u / (static_cast<double>(a.size()) * static_cast<double>(b.size()));
}

Interval probability_interval(double probability, std::size_t a, std::size_t b) {
  CAMBRIAN_ASSERT(a > 0 && b > 0 && probability >= 0 && probability <= 1);
  constexpr double kZ = 1.959963984540054;  // Of the normal distribution at 97.5 %.
  constexpr int kHalvings = 60;
  const auto count_a = static_cast<double>(a);
  const auto count_b = static_cast<double>(b);
  const double others = (count_a + count_b) / 2 - 1;
  // True if this probability is too far from the observed one.
  const auto is_out = [&](double true_one) {
    const double shape =
        1 + others * (1 - true_one) / (2 - true_one) + others * true_one / (1 + true_one);
    const double variance = true_one * (1 - true_one) * shape / (count_a * count_b);
    return (true_one - probability) * (true_one - probability) > kZ * kZ * variance;
  };
  // The observed one is in, the end is out, or the interval reaches to the end.
  const auto find = [&](double outside) {
    double inside = probability;
    for (int i = 0; i < kHalvings; ++i) {
      const double middle = std::midpoint(inside, outside);
      (is_out(middle) ? outside : inside) = middle;
    }
    return outside;
  };
  return {find(0), find(1)};
}

const char* effect_word(double share) {
  constexpr double kSmall = 0.06;
  constexpr double kMedium = 0.14;
  constexpr double kLarge = 0.21;
  const double distance = std::abs(share - 0.5);
  if (distance < kSmall) return "negligible";
  if (distance < kMedium) return "small";
  return distance < kLarge ? "medium" : "large";
}

std::vector<double> holm(std::span<const double> p_values) {
  std::vector<std::size_t> order(p_values.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return p_values[i]; });
  std::vector<double> adjusted(p_values.size());
  double largest = 0;
  for (std::size_t k = 0; k < order.size(); ++k) {
    const auto factor = static_cast<double>(order.size() - k);
    largest = std::max(largest, std::min(1.0, factor * p_values[order[k]]));
    adjusted[order[k]] = largest;
  }
  return adjusted;
}

}  // namespace cambrian::statistics
