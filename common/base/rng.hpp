#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace cambrian {

/// Pseudo-random numbers that are the same on every platform and standard library, so that a seed
/// repeats a run. Value type: copying one forks the sequence.
///
/// xoshiro256** seeded by splitmix64 (Blackman and Vigna, "Scrambled linear pseudorandom number
/// generators", ACM TOMS 47, 2021). Not for secrets. Not safe to share between threads.
class Rng {
 public:
  explicit Rng(std::uint64_t seed);

  /// An independent generator for one purpose. The same seed and label give the same generator,
  /// whatever was drawn from this one before.
  Rng split(std::string_view label) const;
  Rng split(std::uint64_t label) const;

  std::uint64_t next();
  /// Uniform in [0, bound); bound > 0. Without modulo bias.
  std::uint64_t below(std::uint64_t bound);
  /// Uniform in [low, high], both included.
  std::int64_t between(std::int64_t low, std::int64_t high);
  /// Uniform in [0, 1) with 53 bits.
  double uniform();
  /// Standard normal deviate (Marsaglia's polar method).
  double normal();
  /// True with this probability.
  bool chance(double probability) { return uniform() < probability; }
  /// Index drawn in proportion to the weights: finite, not negative, with a positive sum.
  std::size_t weighted(std::span<const double> weights);

  template <class T>
  void shuffle(std::vector<T>& values) {
    for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

  template <class T>
  const T& pick(const std::vector<T>& values) {
    return values[below(values.size())];
  }

 private:
  std::uint64_t seed_;
  std::uint64_t state_[4];
};

}  // namespace cambrian
