#pragma once

#include <string>

#include "coordinator/app/hub.hpp"
#include "coordinator/ports/control_store.hpp"

namespace cambrian::coordinator {

/// How a control compares with those of the other workers.
struct Comparison {
  bool is_known = false;  ///< False: the others have too few.
  bool is_off = false;
  std::string explanation;  ///< Of one that is off: what was measured, and what was expected.
};

/// Off is what fails where most controls of the others succeed, and a score further from the median
/// of theirs than any of these: six times their spread (median deviation, scaled to a standard
/// deviation), four times the task's noise, two percent of the median. Two other workers are
/// needed; where their scores differ, sixteen of these: the spread of few may be small by luck.
Comparison compare(const Control& control);

/// Compares what workers make of a campaign's seed, and takes those out of service whose results
/// were off twice in a row. Any number of coordinators may do so at once. Lives on the app's
/// thread.
class ControlWatch {
 public:
  ControlWatch(ControlStore& store, WorkStore& work, Hub& hub, milliseconds interval)
      : store_(store), work_(work), hub_(hub), interval_(interval) {}

  /// Runs until the hub closes.
  awaitable<void> run();

 private:
  awaitable<Status> look_once();
  awaitable<Status> judge(const Control& control);
  /// Also where an earlier try has failed.
  awaitable<Status> take_back_held();

  ControlStore& store_;
  WorkStore& work_;
  Hub& hub_;
  milliseconds interval_;
};

}  // namespace cambrian::coordinator
