#include "coordinator/search/race.hpp"

#include <cmath>
#include <vector>

#include "common/statistics/statistics.hpp"

namespace cambrian::search {

std::optional<double> lost_race(Goal goal, std::span<const double> own,
                                std::span<const double> best, const std::optional<Noise>& noise) {
  const std::size_t first_look = noise ? 1 : 2;
  if (own.size() < first_look || own.size() >= best.size()) return std::nullopt;
  std::vector<double> differences;
  for (std::size_t i = 0; i < own.size(); ++i) differences.push_back(own[i] - best[i]);
  const double difference = statistics::mean(differences);
  const double behind = goal == Goal::maximize ? -difference : difference;
  // Differences of scores at the ends of the numbers say nothing.
  if (!(behind > 0) || !std::isfinite(difference)) return std::nullopt;

  const auto count = static_cast<double>(own.size());
  // Of two scores: each has the noise.
  const double error = noise ? noise->deviation * std::sqrt(2 / count)
                             : statistics::standard_error(differences).value_or(0);
  const double freedom = noise ? noise->evaluations - 1 : count - 1;
  const auto looks = static_cast<double>(best.size() - first_look);
  const double bound = statistics::student_quantile(1 - kRaceError / looks, freedom);
  if (!(behind > bound * error)) return std::nullopt;
  return statistics::mean(best) + difference;
}

}  // namespace cambrian::search
