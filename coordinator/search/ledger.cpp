#include "coordinator/search/ledger.hpp"

#include <algorithm>
#include <limits>

namespace cambrian::search {
namespace {

constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();

std::int64_t add(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, std::max<std::int64_t>(b, 0), &sum) ? kUnlimited : sum;
}

std::int64_t multiply(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? kUnlimited : product;
}

/// True if `count` reservations of `each` fit on top of what is used.
bool fits(std::int64_t used, std::int64_t count, std::int64_t each, std::int64_t limit) {
  return limit == 0 || (used < limit && add(used, multiply(count, each)) <= limit);
}

bool is_over(std::int64_t used, std::int64_t limit) { return limit > 0 && used >= limit; }

double share(std::int64_t amount, std::int64_t limit) {
  return limit > 0 ? static_cast<double>(amount) / static_cast<double>(limit) : 0;
}

std::string describe(const char* what, std::int64_t used, std::int64_t limit) {
  return std::string("budget reached: ") + what + "=" + std::to_string(used) +
         " limit=" + std::to_string(limit);
}

}  // namespace

Ledger::Ledger(const Settings& settings)
    : budget_(settings.budget),
      tokens_reserved_each_(settings.tokens_reserved),
      cost_reserved_each_(settings.cost_reserved_micro_usd) {}

void Ledger::add_proposal_cost(std::int64_t tokens, std::int64_t cost_micro_usd) {
  used.tokens = add(used.tokens, tokens);
  used.cost_micro_usd = add(used.cost_micro_usd, cost_micro_usd);
}

void Ledger::add_gpu_time(std::int64_t gpu_time_ms) {
  used.gpu_time_ms = add(used.gpu_time_ms, gpu_time_ms);
}

void Ledger::set_wall_time(std::int64_t running_ms) {
  used.wall_time_ms = std::max(used.wall_time_ms, running_ms);
}

bool Ledger::can_reserve_proposal() const {
  const std::int64_t count = proposals_reserved_ + 1;
  return fits(used.tokens, count, tokens_reserved_each_, budget_.tokens) &&
         fits(used.cost_micro_usd, count, cost_reserved_each_, budget_.cost_micro_usd);
}

std::int64_t Ledger::evaluations_left(std::int64_t wanted) const {
  if (budget_.evaluations == 0) return kUnlimited;
  return std::max<std::int64_t>(0, budget_.evaluations - used.evaluations - wanted);
}

double Ledger::share_used() const {
  return std::min(1.0, std::max({share(used.evaluations, budget_.evaluations),
                                 share(used.tokens, budget_.tokens),
                                 share(used.cost_micro_usd, budget_.cost_micro_usd),
                                 share(used.gpu_time_ms, budget_.gpu_time_ms),
                                 share(used.wall_time_ms, budget_.wall_time_ms)}));
}

double Ledger::share_of(std::int64_t evaluations, std::int64_t tokens,
                        std::int64_t cost_micro_usd) const {
  if (budget_.evaluations == 0 && budget_.tokens == 0 && budget_.cost_micro_usd == 0) {
    return static_cast<double>(evaluations);
  }
  return std::max({share(evaluations, budget_.evaluations), share(tokens, budget_.tokens),
                   share(cost_micro_usd, budget_.cost_micro_usd)});
}

bool Ledger::is_time_over() const {
  return is_over(used.gpu_time_ms, budget_.gpu_time_ms) ||
         is_over(used.wall_time_ms, budget_.wall_time_ms);
}

std::optional<End> Ledger::find_reached() const {
  if (is_over(used.evaluations, budget_.evaluations)) {
    return End{EndReason::evaluations,
               describe("evaluations", used.evaluations, budget_.evaluations)};
  }
  // With proposals in flight the answer is not known yet: they may cost less than was reserved.
  const std::int64_t next = proposals_reserved_ == 0 ? 1 : 0;
  if (!fits(used.tokens, next, tokens_reserved_each_, budget_.tokens)) {
    return End{EndReason::tokens, describe("tokens", used.tokens, budget_.tokens) +
                                      " needed=" + std::to_string(tokens_reserved_each_)};
  }
  if (!fits(used.cost_micro_usd, next, cost_reserved_each_, budget_.cost_micro_usd)) {
    return End{EndReason::cost,
               describe("cost_micro_usd", used.cost_micro_usd, budget_.cost_micro_usd) +
                   " needed=" + std::to_string(cost_reserved_each_)};
  }
  if (is_over(used.gpu_time_ms, budget_.gpu_time_ms)) {
    return End{EndReason::gpu_time, describe("gpu_time_ms", used.gpu_time_ms, budget_.gpu_time_ms)};
  }
  if (is_over(used.wall_time_ms, budget_.wall_time_ms)) {
    return End{EndReason::wall_time,
               describe("wall_time_ms", used.wall_time_ms, budget_.wall_time_ms)};
  }
  return std::nullopt;
}

}  // namespace cambrian::search
