#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "coordinator/search/types.hpp"

namespace cambrian::search {

/// What a campaign has used so far. Final evaluations count in `final_evaluations` and
/// `gpu_time_ms` only.
struct Consumption {
  std::int64_t evaluations = 0;         ///< Finished search evaluations, failed ones included.
  std::int64_t evaluations_failed = 0;  ///< Those of them that failed.
  std::int64_t final_evaluations = 0;
  std::int64_t proposals = 0;         ///< Finished proposals.
  std::int64_t proposals_failed = 0;  ///< Those of them from which no variant came.
  std::int64_t variants = 0;          ///< The seed and duplicates included.
  std::int64_t duplicates = 0;
  std::int64_t tokens = 0;
  std::int64_t cost_micro_usd = 0;
  std::int64_t gpu_time_ms = 0;
  std::int64_t wall_time_ms = 0;  ///< Pauses left out; as of the last TimePassed.
  friend bool operator==(const Consumption&, const Consumption&) = default;
};

/// Why a search ends.
struct End {
  EndReason reason = EndReason::none;
  std::string explanation;
};

/// The budgets: what is used, what is reserved, what is left. Sums saturate: an absurd number from
/// an agent exhausts a budget but never wraps it.
class Ledger {
 public:
  /// Keeps its own copy of the few settings that it needs.
  explicit Ledger(const Settings& settings);

  /// Sets aside tokens and money for one more proposal.
  void reserve_proposal() { ++proposals_reserved_; }
  /// Gives back what was set aside for one proposal; its real cost comes by `add_proposal_cost`.
  void release_proposal() { --proposals_reserved_; }
  void add_proposal_cost(std::int64_t tokens, std::int64_t cost_micro_usd);
  void add_gpu_time(std::int64_t gpu_time_ms);
  /// The running time only grows: an older report changes nothing.
  void set_wall_time(std::int64_t running_ms);

  /// True if one more proposal fits into what is neither used nor reserved.
  bool can_reserve_proposal() const;
  /// Evaluations that are neither finished nor among `wanted`; a very large number without a limit.
  std::int64_t evaluations_left(std::int64_t wanted) const;
  /// The first budget that is reached. Tokens and money are also reached when nothing is reserved
  /// and the next proposal would not fit.
  std::optional<End> find_reached() const;
  /// From 0 to 1, of the budget of which the largest share is used; reserves are left out.
  double share_used() const;
  /// What so much costs: a share of that budget of which it takes most. Without a budget of these
  /// the number of evaluations, as if all took the same time.
  double share_of(std::int64_t evaluations, std::int64_t tokens, std::int64_t cost_micro_usd) const;
  /// True if a budget of time is reached.
  bool is_time_over() const;

  Consumption used;

 private:
  Budget budget_;
  std::int64_t tokens_reserved_each_;
  std::int64_t cost_reserved_each_;
  std::int64_t proposals_reserved_ = 0;
};

}  // namespace cambrian::search
