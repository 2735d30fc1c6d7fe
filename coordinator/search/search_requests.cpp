#include <algorithm>
#include <cmath>

#include "coordinator/search/search.hpp"

// Proposals: what is asked for, and what is learned from it.
namespace cambrian::search {

void Search::request_proposals() {
  if (!best_) return;  // The seed is not evaluated yet.
  for (int variants = next_proposal_size(); variants > 0; variants = next_proposal_size()) {
    request_proposal(variants);
  }
}

int Search::next_proposal_size() const {
  if (proposals_.size() >= static_cast<std::size_t>(settings_.proposals_parallel)) return 0;
  if (!ledger_.can_reserve_proposal()) return 0;
  const auto in_flight = static_cast<std::int64_t>(variants_.size()) + variants_expected_;
  const auto open = static_cast<std::int64_t>(evaluations_.size());
  // One is kept back for a jump among what is in flight.
  const std::int64_t kept = gate_.is_on() && in_flight > 0 ? 1 : 0;
  const std::int64_t left = ledger_.evaluations_left(evaluations_wanted() + kept);
  // One more may get fewer repeats. Where variants take turns, two could then run out together: so
  // with races it is alone, and the last one.
  const bool is_last = in_flight == 0 && left < settings_.repeats;
  const bool is_one_short = left % settings_.repeats > 0 && (!settings_.races || is_last);
  const std::int64_t size = std::min<std::int64_t>(
      {settings_.variants_per_proposal, settings_.evaluations_parallel, policy_->room(in_flight),
       left / settings_.repeats + (is_one_short ? 1 : 0)});
  const auto occupied = open + static_cast<std::int64_t>(backlog_.size()) + variants_expected_;
  return occupied + size <= settings_.evaluations_parallel ? static_cast<int>(size) : 0;
}

void Search::request_proposal(int variants) {
  const ProposalNumber number{++last_proposal_};
  const Rng rng = rng_.split("proposal").split(static_cast<std::uint64_t>(number.value));
  std::vector<double> weights = operators_.weights();
  Rng draw = rng.split("operator");
  std::size_t place = draw.weighted(weights);
  Operator drawn = settings_.operators[place].kind;
  while (drawn == Operator::tune || drawn == Operator::repair) {
    const bool is_requested = drawn == Operator::tune
                                  ? request_tuned(number, place, rng)
                                  : request_repair(number, place, rng, variants);
    if (is_requested) return;
    weights[place] = 0;
    draw = draw.split("instead");
    place = draw.weighted(weights);
    drawn = settings_.operators[place].kind;
  }
  const Choice choice =
      policy_->choose({.proposal = number,
                       .parents = drawn == Operator::crossover ? 2U : 1U,
                       .inspirations = static_cast<std::size_t>(settings_.inspirations),
                       .budget_used = ledger_.share_used()},
                      rng.split("parents"));
  RequestProposal command;
  command.proposal = number;
  const bool lacks_parent = drawn == Operator::crossover && choice.parents.size() < 2;
  command.operation = lacks_parent ? Operator::diff : drawn;
  Origin origin{.operation = command.operation, .island = choice.island, .operator_place = place};
  for (const Member& parent : choice.parents) {
    command.parents.push_back(parent.scored.variant);
    origin.generation = std::max(origin.generation, parent.generation + 1);
    if (!origin.bred_best || ranking_(parent.scored, *origin.bred_best)) {
      origin.bred_best = parent.scored;
    }
  }
  origin.parents = origin.bred_from = command.parents;
  command.inspirations = choice.inspirations;
  if (choice.shows_failures) command.failures = pick_failures(choice);
  ask_model(std::move(command), std::move(origin), rng, variants);
}

/// The newest failed variant of the island whose turn it is, if there is one to mend. The policy is
/// asked for the island alone.
bool Search::request_repair(ProposalNumber number, std::size_t place, const Rng& rng,
                            int variants) {
  const Choice choice = policy_->choose({.proposal = number}, rng.split("parents"));
  const auto found = std::ranges::find_if(failures_, [&](const Failure& failure) {
    return failure.is_to_mend && failure.origin.island == choice.island;
  });
  if (found == failures_.end()) return false;
  found->is_to_mend = false;
  RequestProposal command;
  command.proposal = number;
  command.operation = Operator::repair;
  command.parents = {found->variant};
  command.inspirations = {found->origin.bred_from.front()};
  command.failures = {found->variant};
  Origin origin = found->origin;
  origin.parents = command.parents;
  origin.operation = Operator::repair;
  origin.operator_place = place;
  ++origin.generation;
  ++origin.repairs;
  ask_model(std::move(command), std::move(origin), rng, variants);
  return true;
}

/// What all proposals have that go to a model.
void Search::ask_model(RequestProposal command, Origin origin, const Rng& rng, int variants) {
  command.seed = rng.split("seed").next();
  command.variants = variants;
  if (!settings_.models.empty()) {
    origin.model_place = rng.split("model").weighted(models_.weights());
    const ModelShare& model = settings_.models[*origin.model_place];
    command.model = model.model;
    command.temperature = model.temperature;
  }
  ledger_.reserve_proposal();
  variants_expected_ += variants;
  proposals_.emplace(command.proposal, OpenProposal{std::move(origin), variants});
  emit(std::move(command));
}

/// The next point of a run as a proposal. False: there is none now.
bool Search::request_tuned(ProposalNumber number, std::size_t place, const Rng& rng) {
  if (!tuner_.is_running()) begin_tuning(number, rng);
  auto draft = tuner_.draw();
  if (!draft) return false;
  RequestProposal command;
  command.proposal = number;
  command.operation = Operator::tune;
  command.parents = {draft->parent.scored.variant};
  command.constants = std::move(draft->values);
  ++variants_expected_;
  proposals_.emplace(number, OpenProposal{{.parents = command.parents,
                                           .bred_from = command.parents,
                                           .bred_best = draft->parent.scored,
                                           .operation = command.operation,
                                           .island = draft->island,
                                           .generation = draft->parent.generation + 1,
                                           .sample = draft->sample,
                                           .operator_place = place},
                                          1});
  emit(std::move(command));
  return true;
}

/// The best variant first, then those that the policy would choose.
void Search::begin_tuning(ProposalNumber number, const Rng& rng) {
  for (const bool wants_leader : {true, false}) {
    const Choice choice =
        policy_->choose({.proposal = number, .wants_leader = wants_leader}, rng.split("tune"));
    const Member& parent = choice.parents.front();
    if (!tuner_.is_new(parent.scored.variant)) continue;
    tuner_.begin(parent, choice.island);
    emit(FindConstants{parent.scored.variant});
    return;
  }
}

std::vector<VariantNumber> Search::pick_failures(const Choice& choice) const {
  std::vector<VariantNumber> picked;
  const auto count = static_cast<std::size_t>(settings_.failures);
  const auto take = [&](const auto& fits) {
    for (const Failure& failure : failures_) {
      if (picked.size() == count) return;
      if (fits(failure) && std::ranges::count(picked, failure.variant) == 0) {
        picked.push_back(failure.variant);
      }
    }
  };
  const VariantNumber parent = choice.parents.front().scored.variant;
  take([&](const Failure& failure) { return failure.origin.bred_from.front() == parent; });
  // Others of the same island: what one island learns reaches the next by migration only.
  take([&](const Failure& failure) { return failure.origin.island == choice.island; });
  return picked;
}

/// What an operator and a model led to.
void Search::learn(const Origin& origin, const std::optional<Scored>& scored) {
  if (!settings_.learns_shares || !origin.bred_best) return;
  const Scored& before = *origin.bred_best;
  // Where a constraint is kept better, no number says by how much.
  if (scored && scored->violation < before.violation) return;
  const bool is_better = scored && ranking_(*scored, before);
  const double gain = is_better ? std::abs(scored->score - before.score) : 0;
  if (!std::isfinite(gain)) return;
  operators_.tell(origin.operator_place, gain, origin.cost);
  if (origin.model_place) models_.tell(*origin.model_place, gain, origin.cost);
}

}  // namespace cambrian::search
