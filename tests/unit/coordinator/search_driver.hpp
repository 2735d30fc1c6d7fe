#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "coordinator/search/search.hpp"

namespace cambrian::search {

/// Small settings that are valid: maximise `accuracy`, random policy, one thing at a time.
Settings settings_of(PolicyKind policy = PolicyKind::random);

/// All commands of one kind, in order.
template <class C>
std::vector<C> all_of(const std::vector<Command>& commands) {
  std::vector<C> found;
  for (const Command& command : commands) {
    if (const C* value = std::get_if<C>(&command)) found.push_back(*value);
  }
  return found;
}

/// Feeds a search by hand: one line of a test is one thing that happens.
class Driver {
 public:
  explicit Driver(Settings settings) : search(std::move(settings)) {}

  const std::vector<Command>& send(const Event& event);
  /// Starts; the seed's digest is "seed".
  const std::vector<Command>& start();
  /// Starts and evaluates every repeat of the seed.
  const std::vector<Command>& start_with_seed(double score);
  /// A proposal answers with variants of these digests.
  const std::vector<Command>& answer(std::int64_t proposal, const std::vector<std::string>& digests,
                                     std::int64_t tokens = 0, std::int64_t cost_micro_usd = 0);
  const std::vector<Command>& score(std::int64_t evaluation, double accuracy);
  const std::vector<Command>& fail(std::int64_t evaluation,
                                   Outcome outcome = Outcome::compile_error);
  /// The lowest open proposal answers with one new variant, its first evaluation gives the score.
  const std::vector<Command>& make_variant(double accuracy);
  /// Finishes the lowest open evaluation until the campaign has ended or asks for proposals only.
  void finish_evaluations(double accuracy);

  RequestProposal last_proposal() const { return every<RequestProposal>().back(); }
  std::int64_t first_open_proposal() const { return search.open_proposals().at(0).value; }
  std::int64_t first_open_evaluation() const { return search.open_evaluations().at(0).value; }

  /// Commands of one kind since the start.
  template <class C>
  std::vector<C> every() const {
    return all_of<C>(all);
  }
  /// Commands of one kind of the last event.
  template <class C>
  std::vector<C> last() const {
    return all_of<C>(latest);
  }

  Search search;
  std::vector<Command> latest;
  std::vector<Command> all;

 private:
  std::int64_t digests_ = 0;
};

}  // namespace cambrian::search
