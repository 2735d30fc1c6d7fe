#pragma once

#include <optional>

#include "coordinator/ports/work_store.hpp"

namespace cambrian::coordinator {

/// What a worker made of a campaign's seed.
struct ControlScore {
  std::string worker;
  std::optional<double> score;  ///< None: the evaluation failed.
};

/// The control of one worker, an evaluation of the seed on the draws that all workers get, and the
/// latest ones of the others in the campaign.
struct Control {
  CampaignId campaign;
  std::string campaign_name;
  std::string metric;
  std::int64_t evaluation = 0;
  ControlScore own;
  std::vector<ControlScore> others;  ///< Without those in quarantine.
  std::optional<double> noise;       ///< Standard deviation of the task's scores, where known.
};

/// What compares workers. Controls are planted by `WorkStore::claim`. Any executor; never blocks
/// the caller. Every method may fail with `unavailable`, `exhausted` or `deadline_exceeded`.
class ControlStore {
 public:
  virtual ~ControlStore() = default;

  /// Those that came in and were not noted yet, of campaigns that run.
  virtual awaitable<Result<std::vector<Control>>> unjudged() = 0;

  /// Notes whether it was off; after one that was, the next comes as soon as the worker asks for
  /// work. How many in a row were off by now; 0 also where somebody else has noted it.
  virtual awaitable<Result<int>> note(Control control, bool is_off) = 0;

  /// No work for workers of this name from now on. What they hold.
  virtual awaitable<Result<std::vector<Lease>>> quarantine(std::string worker,
                                                           std::string evidence) = 0;
};

}  // namespace cambrian::coordinator
