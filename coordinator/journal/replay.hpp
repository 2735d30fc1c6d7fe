#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.hpp"
#include "coordinator/journal/codec.hpp"
#include "coordinator/search/search.hpp"

namespace cambrian::coordinator::journal {

/// Where the log and the repeated search part.
struct Difference {
  std::int64_t sequence = 0;  ///< Of the recorded event; of the last one where it is missing.
  std::string recorded;       ///< Type and JSON; empty: the log has no such event.
  std::string derived;        ///< Likewise; empty: the search made no such event.
};

/// Repeats a campaign from its log: hands the inputs to a new search and compares every derived
/// event with the recorded one, field by field. Needs no model, no worker and no database.
///
/// Memory: that of the search, and the derived events that the log has not shown yet.
class Replay {
 public:
  /// Takes the next event of the log; the first one has sequence 1. Events behind the first
  /// difference are not looked at. Errors: `invalid_argument` for a log that cannot be replayed (it
  /// has gaps, an unknown type, unreadable JSON, or was begun by a version that did not record the
  /// settings); the replay is of no use after one.
  Status take(std::int64_t sequence, std::string_view type, std::string_view json);

  /// No more events follow. For an ended campaign what was derived and not recorded is a
  /// difference; of one that runs, the driver may not have come so far.
  void finish();

  /// Finished search evaluations so far, and the score of the best variant after them; no score
  /// while there is none, or only one that breaks the constraints.
  std::int64_t evaluations() const { return search_ ? search_->consumption().evaluations : 0; }
  std::optional<double> best_score() const;

  std::int64_t inputs() const { return inputs_; }
  /// Recorded derived events that were found equal.
  std::int64_t derived() const { return derived_; }
  /// The log holds the end of the campaign.
  bool has_ended() const { return has_ended_; }
  const std::optional<Difference>& difference() const { return difference_; }

 private:
  Status begin(const Json& created);
  void take_input(const search::Event& event);
  void compare(std::string_view type, const Json& recorded);

  std::optional<search::Search> search_;
  std::deque<Derived> expected_;
  std::int64_t sequence_ = 0;
  std::int64_t inputs_ = 0;
  std::int64_t derived_ = 0;
  bool has_ended_ = false;
  std::optional<Difference> difference_;
};

}  // namespace cambrian::coordinator::journal
