#pragma once

#include <optional>

#include "coordinator/search/ranking.hpp"
#include "coordinator/search/recent_gains.hpp"
#include "coordinator/search/types.hpp"

namespace cambrian::search {

/// Which scores are too good to be taken from one worker.
///
/// A variant **jumps** when it ranks before the best one and its score beats that one's by more
/// than `confirm_sigma` times sigma. Sigma is the noise of the task where it was measured and is
/// not 0. Otherwise it is what is usual: the median of the recent gains (`RecentGains`) by which a
/// best variant beat the one before, the lower of two. Before the first gain nothing is usual,
/// sigma is 0, and any gain is a jump. So a task whose scores do not vary pays for what is unusual,
/// not for each step: docs/comparing.md has figures.
///
/// Another evaluation **confirms** a jump when it ranks before that best one too, with at least
/// `kShareConfirmed` of the gain: what was a lie or luck for the most part does not count.
class JumpGate {
 public:
  static constexpr double kShareConfirmed = 0.5;

  explicit JumpGate(const Settings& settings);

  bool is_on() const { return sigmas_ > 0; }
  /// A new best variant follows another one.
  void note_best(const Scored& now, const Scored& before);
  /// The standard deviation of one evaluation was measured.
  void note_noise(double deviation) { noise_ = deviation; }

  double sigma() const;
  /// The jump of a variant above the best one, if it is one.
  std::optional<Jump> find_jump(const Scored& scored, const Scored& best) const;
  bool is_confirmed(const Jump& jump, const Scored& best, const Scored& second) const;

 private:
  double gain(double score, double best) const;

  double sigmas_;
  Goal goal_;
  Ranking ranking_;
  double noise_ = 0;
  RecentGains gains_;
};

}  // namespace cambrian::search
