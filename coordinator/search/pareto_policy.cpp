#include "coordinator/search/pareto_policy.hpp"

#include <algorithm>
#include <iterator>

#include "common/base/assert.hpp"

namespace cambrian::search {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class Point>
bool dominates(const Point& a, const Point& b) {
  const double violation = a.member.scored.violation;
  const double other = b.member.scored.violation;
  if (violation != other) return violation < other;
  bool is_better = false;
  for (std::size_t i = 0; i < a.losses.size(); ++i) {
    if (a.losses[i] > b.losses[i]) return false;
    is_better = is_better || a.losses[i] < b.losses[i];
  }
  return is_better;
}

template <class Point>
bool is_equal(const Point& a, const Point& b) {
  return a.losses == b.losses && a.member.scored.violation == b.member.scored.violation;
}

}  // namespace

ParetoPolicy::ParetoPolicy(const Settings& settings)
    : settings_(settings), ranking_(settings.objectives.front().goal) {}

ParetoPolicy::Point ParetoPolicy::point_of(const Evaluated& variant) const {
  Point point{{variant.scored, variant.generation, 0}, {}, 0};
  point.losses.reserve(settings_.objectives.size());
  for (const Objective& objective : settings_.objectives) {
    const bool is_first = point.losses.empty();
    const auto found = variant.metrics.find(objective.metric);
    if (!is_first && found == variant.metrics.end()) {
      point.losses.push_back(kInfinity);
      continue;
    }
    const double value = is_first ? variant.scored.score : found->second;
    point.losses.push_back(objective.goal == Goal::maximize ? -value : value);
  }
  return point;
}

void ParetoPolicy::add(const Evaluated& variant) {
  Point point = point_of(variant);
  for (const Front& front : fronts_) {
    for (const Point& held : front) {
      if (is_equal(held, point)) return;
    }
  }
  insert(std::move(point));
  if (ranked_.size() + 1 > static_cast<std::size_t>(settings_.island_size)) drop_worst();
  ranked_.clear();
  for (std::size_t i = 0; i < fronts_.size(); ++i) {
    for (const Point& held : fronts_[i]) {
      ranked_.push_back(held.member);
      ranked_.back().cell = static_cast<std::int64_t>(i);
    }
  }
}

void ParetoPolicy::insert(Point point) {
  const auto is_dominated = [&](const Front& front) {
    return std::ranges::any_of(front, [&](const Point& held) { return dominates(held, point); });
  };
  // Whatever dominates it in one front is itself dominated in every front before.
  auto level = std::ranges::partition_point(fronts_, is_dominated) - fronts_.begin();
  Front arriving;
  arriving.push_back(std::move(point));
  // What the arriving ones dominate sinks by one front, and so on.
  for (; !arriving.empty(); ++level) {
    if (level == std::ssize(fronts_)) fronts_.emplace_back();
    Front& front = fronts_[static_cast<std::size_t>(level)];
    const auto is_beaten = [&](const Point& held) {
      return std::ranges::any_of(arriving, [&](const Point& one) { return dominates(one, held); });
    };
    const auto beaten = std::ranges::stable_partition(front, std::not_fn(is_beaten));
    Front sinking(std::make_move_iterator(beaten.begin()), std::make_move_iterator(beaten.end()));
    front.erase(beaten.begin(), beaten.end());
    std::ranges::move(arriving, std::back_inserter(front));
    sort_by_crowding(front);
    arriving = std::move(sinking);
  }
}

void ParetoPolicy::sort_by_crowding(Front& front) const {
  for (Point& point : front) point.crowding = 0;
  for (std::size_t i = 0; i < settings_.objectives.size(); ++i) {
    std::ranges::sort(front, [&](const Point& a, const Point& b) {
      if (a.losses[i] != b.losses[i]) return a.losses[i] < b.losses[i];
      return ranking_(a.member.scored, b.member.scored);
    });
    const double range = front.back().losses[i] - front.front().losses[i];
    front.front().crowding = kInfinity;
    front.back().crowding = kInfinity;
    if (!(range > 0) || range == kInfinity) continue;
    for (std::size_t k = 1; k + 1 < front.size(); ++k) {
      front[k].crowding += (front[k + 1].losses[i] - front[k - 1].losses[i]) / range;
    }
  }
  std::ranges::sort(front, [&](const Point& a, const Point& b) {
    if (a.crowding != b.crowding) return a.crowding > b.crowding;
    return ranking_(a.member.scored, b.member.scored);
  });
}

void ParetoPolicy::drop_worst() {
  // Sorted: the most crowded, of those the worst of the first objective. No other front changes.
  Front& last = fronts_.back();
  last.pop_back();
  if (last.empty()) {
    fronts_.pop_back();
  } else {
    sort_by_crowding(last);
  }
}

std::size_t ParetoPolicy::pick_parent(Rng& rng) const {
  if (!rng.chance(settings_.exploitation)) return rng.below(ranked_.size());
  const double u = rng.uniform();
  return static_cast<std::size_t>(static_cast<double>(ranked_.size()) * (u * u * u));
}

Choice ParetoPolicy::choose(const Wish& wish, Rng rng) const {
  CAMBRIAN_ASSERT(!ranked_.empty());
  Choice choice;
  const std::size_t first = pick_parent(rng);
  choice.parents.push_back(ranked_[first]);
  if (wish.parents > 1 && ranked_.size() > 1) {
    std::size_t other = pick_parent(rng);
    if (other == first) other = (first + 1 + rng.below(ranked_.size() - 1)) % ranked_.size();
    choice.parents.push_back(ranked_[other]);
  }
  choice.inspirations = pick_inspirations(ranked_, choice.parents, wish.inspirations, rng);
  return choice;
}

std::vector<std::vector<Member>> ParetoPolicy::members() const { return {ranked_}; }

}  // namespace cambrian::search
