#include "cli/output/eta.hpp"

#include <algorithm>
#include <array>

#include "cli/output/text.hpp"

namespace cambrian::cli {
namespace {

/// Weight of a look that covers a minute: the pace of the last minutes decides.
constexpr double kSmoothingSeconds = 60;
/// Below this the pace is that of the start, which builds what later evaluations find ready.
constexpr std::int64_t kEvaluationsMin = 3;
/// Nothing new is news only after so many times the last pause.
constexpr double kStallPauses = 2;

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
  if (has_looked_ && now - to_seconds(last_.consumption().wall_time()) < 1) {
    last_.set_state(campaign.state());
    return;
  }
  const auto uses = uses_of(campaign);
  for (std::size_t i = 0; i < uses.size(); ++i) {
    Pace& pace = paces_[i];
    const double elapsed = now - pace.at_seconds;
    const bool is_more = uses[i].used > pace.used;
    // Between two evaluations time passes and the estimate falls; the pace is as it was.
    if (has_looked_ && !is_more && elapsed < kStallPauses * pace.pause_seconds) continue;
    // The first look has the whole run behind it.
    const double recent =
        has_looked_ ? (uses[i].used - pace.used) / elapsed : (now > 0 ? uses[i].used / now : 0);
    // At the beginning there is little that could be smoothed.
    const double weight =
        has_looked_ ? std::max(elapsed / (elapsed + kSmoothingSeconds), elapsed / now) : 1;
    pace = {uses[i].budget,
            uses[i].used,
            uses[i].limit,
            pace.per_second + weight * (recent - pace.per_second),
            now,
            has_looked_ && is_more ? elapsed : pace.pause_seconds};
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
  const double now = to_seconds(last_.consumption().wall_time());
  for (const Pace& pace : paces_) {
    const bool is_known = last_.consumption().evaluations() >= kEvaluationsMin;
    if (is_known && pace.limit > 0 && pace.per_second > 0) {
      offer((pace.limit - pace.used) / pace.per_second - (now - pace.at_seconds), pace.budget);
    }
  }
  const double wall_limit = to_seconds(last_.spec().budget().wall_time());
  if (wall_limit > 0) offer(wall_limit - now, "wall_time");
  return eta;
}

}  // namespace cambrian::cli
