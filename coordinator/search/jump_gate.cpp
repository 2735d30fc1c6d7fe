#include "coordinator/search/jump_gate.hpp"

#include <cmath>

namespace cambrian::search {

JumpGate::JumpGate(const Settings& settings)
    : sigmas_(settings.confirm_sigma), goal_(settings.objectives.front().goal), ranking_(goal_) {}

void JumpGate::note_best(const Scored& now, const Scored& before) {
  const double gained = gain(now.score, before.score);
  // None where it is the best for keeping the constraints.
  if (gained <= 0 || !std::isfinite(gained)) return;
  gains_.note(gained);
}

double JumpGate::sigma() const { return noise_ > 0 ? noise_ : gains_.usual(); }

std::optional<Jump> JumpGate::find_jump(const Scored& scored, const Scored& best) const {
  if (!is_on() || !ranking_(scored, best)) return std::nullopt;
  const Jump jump{scored.score, best.score, sigma()};
  if (gain(jump.score, jump.best) > sigmas_ * jump.sigma) return jump;
  return std::nullopt;
}

bool JumpGate::is_confirmed(const Jump& jump, const Scored& best, const Scored& second) const {
  return ranking_(second, best) &&
         gain(second.score, jump.best) >= kShareConfirmed * gain(jump.score, jump.best);
}

double JumpGate::gain(double score, double best) const {
  return goal_ == Goal::maximize ? score - best : best - score;
}

}  // namespace cambrian::search
