#include "cli/output/eta.hpp"

#include <algorithm>
#include <array>

#include "cli/output/text.hpp"

namespace cambrian::cli {
namespace {

/// Weight of a look that covers a minute: the pace of the last minutes decides.
constexpr double kSmoothingSeconds = 60;

struct Use {
  const char* budget;
  double used;
  double limit;
};

std::array<Use, 4> uses_of(const user::v1::Campaign& campaign) {
  const auto& used = campaign.consumption();
  const auto& budget = campaign.spec().budget();
  return {{{"evaluations", static_cast<double>(used.evaluations()),
            static_cast<double>(budget.evaluations())},
           {"tokens", static_cast<double>(used.tokens()), static_cast<double>(budget.tokens())},
           {"cost", static_cast<double>(used.cost_micro_usd()) / 1e6, budget.cost_usd()},
           {"gpu_time", to_seconds(used.gpu_time()), to_seconds(budget.gpu_time())}}};
}

}  // namespace

void EtaEstimator::update(const user::v1::Campaign& campaign) {
  const double now = to_seconds(campaign.consumption().wall_time());
  const double elapsed = now - to_seconds(last_.consumption().wall_time());
  if (has_looked_ && elapsed < 1) {
    last_.set_state(campaign.state());
    return;
  }
  const auto uses = uses_of(campaign);
  for (std::size_t i = 0; i < uses.size(); ++i) {
    Pace& pace = paces_[i];
    // The first look has the whole run behind it.
    const double recent =
        has_looked_ ? (uses[i].used - pace.used) / elapsed : (now > 0 ? uses[i].used / now : 0);
    // At the beginning there is little that could be smoothed.
    const double weight =
        has_looked_ ? std::max(elapsed / (elapsed + kSmoothingSeconds), elapsed / now) : 1;
    pace = {uses[i].budget, uses[i].used, uses[i].limit,
            pace.per_second + weight * (recent - pace.per_second)};
  }
  last_ = campaign;
  has_looked_ = true;
}

std::optional<Eta> EtaEstimator::estimate() const {
  if (!has_looked_ || last_.state() != user::v1::CAMPAIGN_STATE_RUNNING) return std::nullopt;
  std::optional<Eta> eta;
  const auto offer = [&](double seconds, const char* budget) {
    const std::chrono::milliseconds remaining(
        static_cast<std::int64_t>(std::clamp(seconds, 0.0, 1e9) * 1000));
    if (!eta || remaining < eta->remaining) eta = Eta{remaining, budget};
  };
  for (const Pace& pace : paces_) {
    if (pace.limit > 0 && pace.per_second > 0) {
      offer((pace.limit - pace.used) / pace.per_second, pace.budget);
    }
  }
  const double wall_limit = to_seconds(last_.spec().budget().wall_time());
  if (wall_limit > 0) offer(wall_limit - to_seconds(last_.consumption().wall_time()), "wall_time");
  return eta;
}

}  // namespace cambrian::cli
