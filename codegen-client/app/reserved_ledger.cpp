#include "codegen-client/app/reserved_ledger.hpp"

#include <utility>

namespace cambrian::codegen {

bool ReservedLedger::try_take(const Amount& most) {
  const std::lock_guard lock(mutex_);
  const bool has_tokens = tokens_ <= 0 || taken_.tokens + most.tokens <= tokens_;
  const bool has_money =
      cost_micro_usd_ <= 0 || taken_.cost_micro_usd + most.cost_micro_usd <= cost_micro_usd_;
  if (!has_tokens || !has_money) return false;
  taken_.tokens += most.tokens;
  taken_.cost_micro_usd += most.cost_micro_usd;
  return true;
}

void ReservedLedger::change_taken(const Amount& from, const Amount& to) {
  taken_.tokens += to.tokens - from.tokens;
  taken_.cost_micro_usd += to.cost_micro_usd - from.cost_micro_usd;
}

Result<int> ReservedLedger::begin(const CallIntent& intent, std::stop_token stop) {
  const Amount most{.tokens = intent.prompt_tokens + intent.output_tokens,
                    .cost_micro_usd = intent.cost_micro_usd};
  if (!try_take(most)) {
    return fail(Errc::exhausted, "the reserve of the proposal has no room: tokens_reserved=" +
                                     std::to_string(tokens_) +
                                     " cost_reserved_micro_usd=" + std::to_string(cost_micro_usd_));
  }
  auto number = ledger_.begin(intent, std::move(stop));
  const std::lock_guard lock(mutex_);
  if (number) {
    running_[*number] = most;
  } else {
    change_taken(most, {});
  }
  return number;
}

void ReservedLedger::end(int number, const CallRecord& record,
                         std::optional<std::chrono::milliseconds> pause) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto running = running_.extract(number); !running.empty()) {
      change_taken(running.mapped(),
                   {.tokens = record.usage.prompt_tokens + record.usage.completion_tokens,
                    .cost_micro_usd = record.cost_micro_usd});
    }
  }
  ledger_.end(number, record, pause);
}

}  // namespace cambrian::codegen
