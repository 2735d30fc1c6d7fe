// What a small candidate holds, for a warm evaluator to rehearse: see ServeOptions in
// worker/adapters/sandbox/serve_forks.hpp.
#include <algorithm>
#include <cambrian/candidate.hpp>
#include <cmath>
#include <vector>

std::vector<double> rate_rooms(double size, const std::vector<double>& rooms) {
  std::vector<double> rates(rooms.size());
  double most = 0;
  for (std::size_t i = 0; i < rooms.size(); ++i) {
    const double left = rooms[i] - size;
    most = std::max(most, left);
    rates[i] = left < 1 ? 100 - left : std::pow(left, 2.0) / (1 + std::exp(-rooms[i] / 10));
    if (i > 0) rates[i] -= 0.5 * rates[i - 1];
  }
  for (double& rate : rates) rate = std::clamp(rate / most, -1e9, 1e9);
  return rates;
}
