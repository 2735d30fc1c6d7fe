#pragma once

#include <optional>

#include "coordinator/ports/work_store.hpp"

namespace cambrian::coordinator {

/// What a worker made of a campaign's seed.
struct ControlScore {
  std::string worker;
  std::optional<double> score;  ///< None: the evaluation failed.
};

/// The control of one worker: an evaluation of the seed on the draws that all workers get.
struct Control {
  CampaignId campaign;
  std::string campaign_name;
  std::string metric;
  std::int64_t evaluation = 0;
  ControlScore own;
  std::vector<ControlScore> others;  ///< The latest 200 of workers that are not in quarantine.
  std::optional<double> noise;       ///< Standard deviation of the task's scores, where known.
};

/// What compares workers. Controls are planted by `WorkStore::claim`, at most one for a worker at a
/// time, and none by claims of those in quarantine. Any executor; never blocks the caller. Every
/// method may fail with `unavailable`, `exhausted` or `deadline_exceeded`.
class ControlStore {
 public:
  virtual ~ControlStore() = default;

  /// Those that came in and were not noted yet.
  virtual awaitable<Result<std::vector<Control>>> unjudged() = 0;

  /// Notes that the control was looked at. The next one comes after `interval`, or after 20 times
  /// as long as this one took; after one that was off as soon as the worker may get one. Returns
  /// how many in a row were off by now; 0 also where somebody else has noted it.
  virtual awaitable<Result<int>> note(Control control, bool is_off, milliseconds interval) = 0;

  /// No work for workers of this name from now on. No change where they are in quarantine already.
  virtual awaitable<Status> quarantine(std::string worker, std::string evidence) = 0;

  /// What workers in quarantine hold, at most 200, by campaign.
  virtual awaitable<Result<std::vector<Lease>>> held() = 0;
};

}  // namespace cambrian::coordinator
