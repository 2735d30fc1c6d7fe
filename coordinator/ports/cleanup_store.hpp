#pragma once

#include "coordinator/ports/work_store.hpp"

namespace cambrian::coordinator {

/// Takes away what nobody needs any more, a little at a time. Any executor; never blocks the
/// caller; any number of coordinators at once. Every method may fail with `unavailable`,
/// `exhausted` or `deadline_exceeded`.
class CleanupStore {
 public:
  virtual ~CleanupStore() = default;

  /// Deletes some rows of a campaign that its user deleted, at most `count` of one kind and what
  /// hangs on them; in the end the campaign itself. False: nothing is left to delete.
  virtual awaitable<Result<bool>> purge(int count) = 0;

  /// Takes away some details of a campaign that ended so long ago, at most `count` rows of one
  /// kind: work items and their attempts, outputs and diagnostics of evaluations, answers of
  /// proposals. What a replay or an export needs stays. False: there is no such campaign.
  virtual awaitable<Result<bool>> compact(milliseconds age, int count) = 0;

  /// Forgets agents that were silent for a week, requests of deletions after a day, tokens that
  /// ended 90 days ago, entries of the audit log after a year or behind a million younger ones, and
  /// checkpoints after an hour, unless an open item names them.
  virtual awaitable<Status> forget() = 0;

  /// No result that was made or begun before now is found again by content, in any campaign, and
  /// no task is known as repeatable or noisy: for when a worker may have made wrong ones. Campaigns
  /// keep what they have. Gives how many results could be found until now.
  virtual awaitable<Result<std::int64_t>> disown_results() = 0;
};

}  // namespace cambrian::coordinator
