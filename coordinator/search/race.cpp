#include "coordinator/search/race.hpp"

#include <cmath>
#include <vector>

#include "common/statistics/statistics.hpp"

namespace cambrian::search {

std::optional<double> find_lost_score(Goal goal, std::span<const double> own,
                                      std::span<const double> best,
                                      const std::optional<Noise>& noise) {
  const bool is_known = noise && noise->deviation > 0;
  const std::size_t first_look = is_known ? kFirstLookKnown : kFirstLook;
  if (own.size() < first_look || own.size() >= best.size()) return std::nullopt;
  std::vector<double> differences;
  for (std::size_t i = 0; i < own.size(); ++i) differences.push_back(own[i] - best[i]);
  const double difference = statistics::mean(differences);
  const double center = statistics::mean(best);
  const double score = center + difference;
  const double behind = goal == Goal::maximize ? -difference : difference;
  // Differences at the ends of the numbers say nothing, nor such as vanish beside the best's mean.
  const bool is_worse = goal == Goal::maximize ? score < center : score > center;
  if (!is_worse || !std::isfinite(score)) return std::nullopt;

  const auto count = static_cast<double>(own.size());
  // Of two scores: each has the noise.
  const double error = is_known ? noise->deviation * std::sqrt(2 / count)
                                : statistics::standard_error(differences).value_or(0);
  const double freedom = is_known ? noise->evaluations - 1 : count - 1;
  const auto looks = static_cast<double>(best.size() - first_look);
  const double bound = statistics::student_quantile(1 - kRaceError / looks, freedom);
  return behind > bound * error ? std::optional(score) : std::nullopt;
}

}  // namespace cambrian::search
