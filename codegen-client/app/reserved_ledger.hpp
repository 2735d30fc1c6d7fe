#pragma once

#include <map>
#include <mutex>

#include "codegen-client/ports/call_ledger.hpp"

namespace cambrian::codegen {

/// Refuses a sending for which the reserve of its proposal has no room: what is sent again costs
/// again, and the first try may have been charged. What runs counts with the most that it may take,
/// what has ended with what it took. Any thread.
class ReservedLedger : public CallLedger {
 public:
  /// 0: no limit. The wrapped ledger must outlive it.
  ReservedLedger(CallLedger& ledger, std::int64_t tokens, std::int64_t cost_micro_usd)
      : ledger_(ledger), tokens_(tokens), cost_micro_usd_(cost_micro_usd) {}

  /// Errors besides those of the wrapped ledger: exhausted when the reserve has no room.
  Result<int> begin(const CallIntent& intent, std::stop_token stop) override;
  void end(int number, const CallRecord& record,
           std::optional<std::chrono::milliseconds> pause) override;

 private:
  struct Amount {
    std::int64_t tokens = 0;
    std::int64_t cost_micro_usd = 0;
  };

  bool try_take(const Amount& most);
  void change_taken(const Amount& from, const Amount& to);

  CallLedger& ledger_;
  const std::int64_t tokens_;
  const std::int64_t cost_micro_usd_;
  std::mutex mutex_;  // Guards what follows.
  Amount taken_;
  std::map<int, Amount> running_;
};

}  // namespace cambrian::codegen
