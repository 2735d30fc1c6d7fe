#include "tests/bench/search/bin_packing.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/base/rng.hpp"
#include "tests/bench/search/interpreter.hpp"

namespace cambrian::bench {
namespace {

constexpr int kWeibullCapacity = 100;
constexpr int kUniformCapacity = 150;
constexpr std::size_t kUnusedBins = 2;

/// As the judge of the task draws them.
int draw_item(bool is_weibull, Rng& rng) {
  constexpr double kShape = 3;
  constexpr double kScale = 45;
  if (!is_weibull) return static_cast<int>(rng.between(20, 100));
  const double value = kScale * std::pow(-std::log1p(-rng.uniform()), 1 / kShape);
  return static_cast<int>(std::clamp(std::floor(value), 1.0, 100.0));
}

/// Bins that were used; empty where a score is not finite.
std::optional<std::size_t> pack(Interpreter& priority, const std::vector<int>& items,
                                double capacity) {
  std::vector<double> room(kUnusedBins, capacity);  // Without those that are full.
  std::size_t full = 0;
  std::vector<std::size_t> fitting;
  std::vector<double> fitting_room;
  for (const int item : items) {
    fitting.clear();
    fitting_room.clear();
    for (std::size_t bin = 0; bin < room.size(); ++bin) {
      if (room[bin] < item) continue;
      fitting.push_back(bin);
      fitting_room.push_back(room[bin]);
    }
    const auto scores = priority.run(item, fitting_room);
    if (!std::ranges::all_of(scores, [](double score) { return std::isfinite(score); })) {
      return std::nullopt;
    }
    const auto best = static_cast<std::size_t>(std::ranges::max_element(scores) - scores.begin());
    const std::size_t bin = fitting[best];
    room[bin] -= item;
    if (room[bin] == 0) {
      room.erase(room.begin() + static_cast<std::ptrdiff_t>(bin));
      ++full;
    }
    while (room.size() < kUnusedBins || room[room.size() - kUnusedBins] < capacity ||
           room.back() < capacity) {
      room.push_back(capacity);
    }
  }
  const auto used = std::ranges::count_if(room, [=](double left) { return left < capacity; });
  return full + static_cast<std::size_t>(used);
}

}  // namespace

BinPacking::BinPacking(const Family& family, std::uint64_t seed)
    : capacity_(family.is_weibull ? kWeibullCapacity : kUniformCapacity),
      instances_(static_cast<std::size_t>(family.instances)) {
  const Rng rng(seed);
  for (std::size_t i = 0; i < instances_.size(); ++i) {
    Rng own = rng.split(i);
    for (int k = 0; k < family.items; ++k) {
      instances_[i].push_back(draw_item(family.is_weibull, own));
    }
  }
}

std::optional<double> BinPacking::score(const std::string& program) const {
  auto priority = Interpreter::read(program);
  if (!priority) return std::nullopt;
  double sum = 0;
  for (const auto& items : instances_) {
    const auto used = pack(*priority, items, capacity_);
    if (!used) return std::nullopt;
    const auto total = std::accumulate(items.begin(), items.end(), std::int64_t{0});
    const auto bound = static_cast<double>((total + capacity_ - 1) / capacity_);
    sum += 100 * (static_cast<double>(*used) - bound) / bound;
  }
  return sum / static_cast<double>(instances_.size());
}

}  // namespace cambrian::bench
