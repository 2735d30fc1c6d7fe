#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstdlib>
#include <map>
#include <ranges>
#include <set>

#include "tests/unit/coordinator/search_world.hpp"

// Whole campaigns against agents that answer in any order, fail, repeat themselves, answer too much
// or nothing and report nonsense, while the user pauses and stops. A shadow of what is open is kept
// from the commands alone; after every event it is compared with the rules in search.hpp.

namespace cambrian::search {
namespace {

/// Of a quick run; CAMBRIAN_HISTORIES asks for another number.
constexpr std::uint64_t kHistories = 3000;
constexpr int kEventsMax = 20'000;  ///< A campaign that is longer does not end.

class World {
 public:
  explicit World(std::uint64_t seed)
      : rng_(Rng(seed).split("world")),
        settings_(random_settings(rng_)),
        search_(settings_),
        agents_(rng_),
        jumps_(settings_, shadow_) {
    is_careless_user_ = rng_.chance(0.3);
  }

  void run() {
    send(Started{"seed", 20});
    while (shadow_.phase != Phase::ended) {
      expect(events_.size() < kEventsMax, "the campaign does not end");
      step();
    }
    for (int i = 0; i < 5; ++i) send_late();
    check_end();
    check_replay();
    check_pauses_change_nothing();
  }

 private:
  // ---- What may happen. ----

  void step() {
    if (shadow_.phase == Phase::paused && rng_.chance(0.3)) return send(ResumeRequested{});
    if (is_careless_user_ && rng_.chance(0.02)) return send(PauseRequested{});
    if (is_careless_user_ && rng_.chance(0.02)) return send(ResumeRequested{});
    if (is_careless_user_ && rng_.chance(0.005)) return send_stop();
    if (rng_.chance(0.05)) return send(TimePassed{time_ += rng_.between(-20, 100)});
    if (rng_.chance(0.02)) return send_late();
    if (rng_.chance(0.02)) return send_charge();
    if (!shadow_.constants_wanted.empty() && rng_.chance(0.5)) return send_constants();
    const std::size_t open = shadow_.proposals.size() + shadow_.evaluations.size();
    if (open == 0) {
      expect(shadow_.phase == Phase::paused, "nothing is open, yet the campaign is not over");
      return send(ResumeRequested{});
    }
    const std::size_t choice = rng_.below(open);
    if (choice < shadow_.proposals.size()) return finish_proposal(nth(shadow_.proposals, choice));
    finish_evaluation(nth(shadow_.evaluations, choice - shadow_.proposals.size()));
  }

  template <class Map>
  static typename Map::mapped_type nth(const Map& map, std::size_t n) {
    return std::next(map.begin(), static_cast<std::ptrdiff_t>(n))->second;
  }

  void finish_proposal(const RequestProposal& request) {
    const ProposalFinished event = agents_.answer_to(request, rng_);
    shadow_.proposals.erase(request.proposal);
    send(event);
  }

  void finish_evaluation(const RequestEvaluation& request) {
    const EvaluationFinished event = agents_.result_of(request, rng_);
    shadow_.evaluations.erase(request.evaluation);
    if (!request.is_final) {
      ++shadow_.finished;
      ++shadow_.results[request.variant];
      note_score(request, event, settings_, shadow_);
      jumps_.take(request, event);
      is_reset_due_ =
          settings_.reset_interval > 0 && shadow_.finished % settings_.reset_interval == 0;
    }
    send(event);
    is_reset_due_ = false;
  }

  void send_constants() {
    const VariantNumber variant = shadow_.constants_wanted.back();
    if (rng_.chance(0.9)) shadow_.constants_wanted.pop_back();  // Or it is told once more.
    auto& constants = shadow_.constants[variant];
    if (constants.empty()) {
      for (std::int64_t count = rng_.between(0, 4); count > 0; --count) {
        constants.push_back({0.5, 0.1, rng_.uniform() + 0.6, rng_.chance(0.5)});
      }
    }
    send(ConstantsFound{variant, constants});
  }

  void send_stop() {
    StopRequested event;
    std::set<EvaluationNumber> withdrawn;
    for (const auto& [number, request] : shadow_.evaluations) {
      if (rng_.chance(0.5)) {
        event.begun.push_back(number);
      } else {
        withdrawn.insert(number);
      }
    }
    send(event);
    expect(shadow_.reason == EndReason::user, "a stop ends the campaign as the user's");
    expect(std::ranges::includes(shadow_.cancelled_evaluations, withdrawn),
           "a stop withdraws what is not begun");
  }

  /// An attempt failed and will be made again: it is paid for all the same.
  void send_charge() {
    const auto used = search_.consumption();
    send(AttemptCharged{.tokens = 3, .cost_micro_usd = 2, .gpu_time_ms = 1});
    const auto& now = search_.consumption();
    expect(now.tokens == used.tokens + 3 && now.cost_micro_usd == used.cost_micro_usd + 2 &&
               now.gpu_time_ms == used.gpu_time_ms + 1,
           "failed attempts are charged");
    expect(now.evaluations == used.evaluations && now.proposals == used.proposals,
           "failed attempts are not counted");
  }

  /// An agent had begun what was cancelled, or something comes twice.
  void send_late() {
    const std::int64_t gpu_time = search_.consumption().gpu_time_ms;
    const std::int64_t evaluations = search_.consumption().evaluations;
    if (!shadow_.cancelled_evaluations.empty()) {
      EvaluationFinished event;
      event.evaluation = *shadow_.cancelled_evaluations.begin();
      event.metrics = {{"score", 0.5}};
      event.gpu_time_ms = 3;
      shadow_.cancelled_evaluations.erase(shadow_.cancelled_evaluations.begin());
      send(event);
      expect(search_.consumption().gpu_time_ms == gpu_time + 3, "late GPU time is counted");
    } else if (!shadow_.cancelled_proposals.empty()) {
      const std::int64_t tokens = search_.consumption().tokens;
      ProposalFinished event;
      event.proposal = *shadow_.cancelled_proposals.begin();
      event.variants = {{"late", 1}};
      event.tokens = 5;
      shadow_.cancelled_proposals.erase(shadow_.cancelled_proposals.begin());
      send(event);
      expect(search_.consumption().tokens == tokens + 5, "late tokens are counted");
    } else {
      send(EvaluationFinished{EvaluationNumber{shadow_.last_evaluation + 5}, {}, {}, 1});
      send(ProposalFinished{ProposalNumber{shadow_.last_proposal + 5}, {{"odd", 1}}, 1, 1, false});
      expect(search_.consumption().gpu_time_ms == gpu_time, "unknown numbers are ignored");
    }
    expect(search_.consumption().evaluations == evaluations, "late results are not counted");
  }

  // ---- What must hold. ----

  void send(const Event& event) {
    shadow_.members = search_.members();
    const bool was_paused = shadow_.phase == Phase::paused;
    events_.push_back(event);
    history_.push_back(search_.handle(event));
    const bool stays_paused = (was_paused || std::holds_alternative<PauseRequested>(event)) &&
                              !std::holds_alternative<ResumeRequested>(event) &&
                              !std::holds_alternative<StopRequested>(event) &&
                              shadow_.phase != Phase::ended;
    for (const Command& command : history_.back()) {
      if (stays_paused) check_is_no_work(command);
      std::visit([this](const auto& value) { apply(value); }, command);
    }
    check_state();
    if (settings_.policy == PolicyKind::islands) check_islands();
    if (settings_.policy == PolicyKind::pareto) check_best_is_kept();
    if (settings_.policy == PolicyKind::clade) check_all_are_kept();
  }

  void apply(const RequestProposal& request) {
    expect(request.proposal.value == ++shadow_.last_proposal, "proposals are numbered in order");
    expect(shadow_.phase == Phase::running, "proposals belong to the running phase");
    expect(request.variants >= 1 && request.variants <= settings_.variants_per_proposal,
           "a proposal asks for 1 to variants_per_proposal");
    expect(request.parents.size() == (request.operation == Operator::crossover ? 2U : 1U),
           "a crossover has two parents, others one");
    std::set<VariantNumber> named(request.parents.begin(), request.parents.end());
    named.insert(request.inspirations.begin(), request.inspirations.end());
    expect(named.size() == request.parents.size() + request.inspirations.size(),
           "parents and inspirations are distinct");
    if (request.operation == Operator::repair) {
      check_repair(request, settings_, shadow_);
      named.erase(request.parents.front());
    }
    for (const VariantNumber variant : named) {
      expect(shadow_.settled.at(variant).state == VariantState::evaluated,
             "parents and inspirations are evaluated");
      expect(!is_doubted(shadow_.settled.at(variant)), "no parent has a score that is in doubt");
    }
    for (const VariantNumber variant : request.failures) {
      expect(shadow_.settled.at(variant).state == VariantState::failed, "failures have failed");
    }
    shadow_.proposals.emplace(request.proposal, request);
    shadow_.asked[request.proposal] = request.variants;
    const Budget& budget = settings_.budget;
    const auto open = std::ranges::count_if(shadow_.proposals, [](const auto& entry) {
      return entry.second.operation != Operator::tune;
    });
    expect(budget.tokens == 0 ||
               search_.consumption().tokens + open * settings_.tokens_reserved <= budget.tokens,
           "reserved tokens fit into the budget");
    if (request.operation == Operator::tune) {
      check_tuned(request);
    } else if (settings_.policy == PolicyKind::islands && request.operation != Operator::repair) {
      check_no_leak(request, named);
    }
  }

  void check_tuned(const RequestProposal& request) {
    const VariantNumber parent = request.parents.front();
    const auto& constants = shadow_.constants.at(parent);
    expect(request.variants == 1 && request.inspirations.empty() && request.model.empty(),
           "tune needs no model");
    expect(!constants.empty() && request.constants.size() == constants.size(),
           "tune gives each constant a value");
    for (std::size_t i = 0; i < constants.size(); ++i) {
      expect(request.constants[i] >= constants[i].low && request.constants[i] <= constants[i].high,
             "constants stay within their bounds");
    }
    shadow_.island_of[request.proposal] = shadow_.tuned_on.at(parent);
  }

  void apply(const FindConstants& command) {
    expect(shadow_.phase == Phase::running, "tuning belongs to the running phase");
    const auto next = shadow_.last_proposal + 1;
    const auto island = settings_.policy == PolicyKind::islands ? next % settings_.islands : 0;
    const auto members = search_.members();
    expect(std::ranges::count(members.at(static_cast<std::size_t>(island)), command.variant,
                              [](const Member& member) { return member.scored.variant; }) == 1,
           "what is tuned may become a parent on that island");
    expect(shadow_.tuned_on.emplace(command.variant, static_cast<int>(island)).second,
           "no variant is tuned twice");
    const auto& added = shadow_.variants.at(command.variant);
    expect(!added.proposal || added.operation != Operator::tune, "nor what came from tuning");
    shadow_.constants_wanted.push_back(command.variant);
  }

  void check_no_leak(const RequestProposal& request, const std::set<VariantNumber>& named) {
    const auto island = static_cast<std::size_t>(request.proposal.value % settings_.islands);
    std::set<VariantNumber> on_island;
    const auto islands = search_.members();
    for (const Member& member : islands.at(island)) {
      on_island.insert(member.scored.variant);
    }
    expect(std::ranges::includes(on_island, named), "parents and inspirations share an island");
    shadow_.island_of[request.proposal] = static_cast<int>(island);
  }

  void apply(const RequestEvaluation& request) {
    expect(request.evaluation.value == ++shadow_.last_evaluation,
           "evaluations are numbered in order");
    shadow_.evaluations.emplace(request.evaluation, request);
    expect(!shadow_.variants.at(request.variant).duplicate_of, "duplicates are not evaluated");
    if (request.is_final) {
      expect(shadow_.phase == Phase::finalizing, "finals belong to the finalizing phase");
      ++shadow_.finals_requested;
      return;
    }
    expect(request.split == Split::validation, "the search never sees the sealed split");
    expect(shadow_.phase == Phase::running || shadow_.phase == Phase::draining,
           "no search evaluation after the search");
    const bool is_seed = request.variant.value == 0;
    jumps_.apply(request);
    if (request.jump) return;
    expect(++shadow_.requested[request.variant] <=
               settings_.repeats + (is_seed ? settings_.noise_repeats : 0),
           "at most `repeats` evaluations of a variant, and the noise of the seed");
    check_turn(request, settings_, shadow_);
  }

  void apply(const AddVariant& command) {
    expect(command.variant.value == static_cast<std::int64_t>(shadow_.variants.size()),
           "variants are numbered in order");
    if (command.proposal && settings_.policy == PolicyKind::islands && !command.duplicate_of) {
      expect(command.island == shadow_.island_of.at(*command.proposal),
             "a child is born on the island of its proposal");
    }
    if (command.duplicate_of) {
      expect(!shadow_.variants.at(*command.duplicate_of).duplicate_of, "names the original");
    }
    if (command.proposal) {
      const auto asked = static_cast<std::size_t>(shadow_.asked.at(*command.proposal));
      expect(command.index < asked, "a proposal gives no more than it was asked for");
    }
    for (const VariantNumber parent : command.parents) {
      expect(command.generation > shadow_.variants.at(parent).generation, "generations rise");
    }
    shadow_.variants.emplace(command.variant, command);
  }

  void apply(const SettleVariant& command) {
    expect(shadow_.settled.emplace(command.variant, command).second, "a variant settles once");
    jumps_.apply(command);
    check_race(command, settings_, shadow_);
    const bool is_duplicate = shadow_.variants.at(command.variant).duplicate_of.has_value();
    expect(is_duplicate == (command.state == VariantState::duplicate), "duplicates say so");
    expect((command.state == VariantState::evaluated) == command.score.has_value(),
           "a score comes with success only");
    for (const auto& [number, request] : shadow_.evaluations) {
      expect(request.variant != command.variant, "nothing is open of a settled variant");
    }
  }

  void apply(const SetBest& command) {
    const Scored now{
        command.variant, command.score,
        violation_of(settings_.constraints, 0, shadow_.settled.at(command.variant).metrics)};
    const Ranking ranking(settings_.objectives[0].goal);
    expect(!shadow_.best || ranking(now, *shadow_.best), "the best only gets better");
    expect(shadow_.settled.at(command.variant).score == command.score, "has the settled score");
    expect(command.variant.value == 0 || has_all_repeats(command.variant),
           "the best has all its repeats");
    jumps_.apply(command, now);
    shadow_.best = now;
  }

  bool has_all_repeats(VariantNumber variant) {
    const auto confirmation = shadow_.settled.at(variant).confirmation;
    return shadow_.results[variant] ==
           settings_.repeats + (confirmation == Confirmation::confirmed ? 1 : 0);
  }

  void apply(const SetNoise& command) {
    expect(std::isfinite(command.deviation) && command.deviation >= 0, "noise is a number");
    expect(command.evaluations >= 2 && command.evaluations <= settings_.noise_repeats,
           "noise is measured by what was asked for");
    expect(search_.noise_deviation() == command.deviation && !shadow_.noise, "noise is told once");
    shadow_.noise = Noise{command.deviation, command.evaluations};
    jumps_.set_noise(command.deviation);
  }

  void apply(const CancelProposals& command) {
    for (const ProposalNumber number : command.proposals) {
      expect(shadow_.proposals.erase(number) == 1, "cancels what is open");
      shadow_.cancelled_proposals.insert(number);
    }
  }

  void apply(const CancelEvaluations& command) {
    for (const EvaluationNumber number : command.evaluations) {
      expect(shadow_.evaluations.erase(number) == 1, "cancels what is open");
      shadow_.cancelled_evaluations.insert(number);
    }
  }

  void apply(const SetPhase& command) {
    expect(shadow_.phase != Phase::ended, "an ended campaign stays so");
    shadow_.phase = command.phase;
    shadow_.reason = command.reason;
    expect((command.reason == EndReason::none) == command.explanation.empty(),
           "every end is explained");
  }

  void check_state() {
    std::int64_t open = 0;
    for (const auto& [number, request] : shadow_.evaluations) open += request.is_final ? 0 : 1;
    const std::int64_t budget = settings_.budget.evaluations;
    expect(budget == 0 || shadow_.finished + open <= budget, "never more than the budget");
    expect(shadow_.evaluations.size() <= static_cast<std::size_t>(settings_.evaluations_parallel),
           "never more than evaluations_parallel");
    expect(shadow_.proposals.size() <= static_cast<std::size_t>(settings_.proposals_parallel),
           "never more than proposals_parallel");
    expect(shadow_.finished == search_.consumption().evaluations, "evaluations are counted");
    expect(shadow_.phase == search_.phase() && shadow_.reason == search_.end_reason(),
           "the phase is announced");
    expect(search_.best() == shadow_.best, "the best is announced");
    expect(std::ranges::equal(search_.open_proposals(), std::views::keys(shadow_.proposals)),
           "open proposals");
    expect(std::ranges::equal(search_.open_evaluations(), std::views::keys(shadow_.evaluations)),
           "open evaluations");
  }

  /// A population has a member of the best score, and no more members than allowed.
  void check_best_is_kept() {
    const auto members = search_.members().at(0);
    expect(members.size() <= static_cast<std::size_t>(settings_.island_size),
           "the population is bounded");
    if (!shadow_.best) return;
    expect(std::ranges::any_of(members,
                               [&](const Member& member) {
                                 return member.scored.score == shadow_.best->score &&
                                        member.scored.violation == shadow_.best->violation;
                               }),
           "a variant of the best score is never lost");
  }

  /// Every variant that has all its repeats, or lost its race, is a member, once.
  void check_all_are_kept() {
    std::set<VariantNumber> full;
    for (const auto& [number, settled] : shadow_.settled) {
      const bool is_full = number.value == 0 || shadow_.lost.contains(number) ||
                           (has_all_repeats(number) && !is_doubted(settled));
      if (settled.state == VariantState::evaluated && is_full) full.insert(number);
    }
    std::set<VariantNumber> kept;
    const auto members = search_.members().at(0);
    for (const Member& member : members) kept.insert(member.scored.variant);
    expect(kept.size() == members.size() && kept == full, "no variant is lost or doubled");
  }

  /// Emptied, and begun anew with the best of another island. What the same event settled may have
  /// come behind it: jumps that were held, and are none any more.
  bool is_new(const std::vector<std::vector<Member>>& islands, std::size_t island) const {
    const auto& members = islands[island];
    if (!is_reset_due_ || members == shadow_.members.at(island)) return false;
    const auto settled = all_of<SettleVariant>(history_.back());
    const auto is_older = [&settled](const Member& member) {
      return std::ranges::count(settled, member.scored.variant, &SettleVariant::variant) == 0;
    };
    return std::ranges::count_if(members, is_older) <= 1;
  }

  void check_islands() {
    const Ranking ranking(settings_.objectives[0].goal);
    const auto islands = search_.members();
    bool has_best = !shadow_.best.has_value();
    for (std::size_t i = 0; i < islands.size(); ++i) {
      std::set<VariantNumber> numbers;
      std::set<std::int64_t> cells;
      for (const Member& member : islands[i]) {
        numbers.insert(member.scored.variant);
        cells.insert(member.cell);
        has_best = has_best || member.scored == *shadow_.best;
        if (!is_new(islands, i)) check_arrival(i, member);
      }
      expect(numbers.size() == islands[i].size(), "no variant is twice on an island");
      expect(cells.size() == islands[i].size(), "one elite for a cell");
      expect(islands[i].size() <= static_cast<std::size_t>(settings_.island_size),
             "islands are bounded");
      const auto& before = shadow_.members.at(i);
      expect(before.empty() || !ranking(before.front().scored, islands[i].front().scored),
             "the best of an island is never lost");
      if (!is_new(islands, i)) check_elites(before, islands[i]);
    }
    expect(has_best, "the best variant lives on an island");
  }

  /// An elite leaves its cell only for a better one, or as one of the worst of a full island.
  void check_elites(const std::vector<Member>& before, const std::vector<Member>& after) {
    const Ranking ranking(settings_.objectives[0].goal);
    for (const Member& old : before) {
      const auto heir = std::ranges::find(after, old.cell, &Member::cell);
      if (heir != after.end()) {
        expect(!ranking(old.scored, heir->scored), "an elite yields to a better one only");
      } else {
        expect(after.size() == static_cast<std::size_t>(settings_.island_size) &&
                   ranking(after.back().scored, old.scored),
               "a full island loses its worst one only");
      }
    }
  }

  void check_arrival(std::size_t island, const Member& member) {
    const auto was_on = [&](std::size_t i) {
      return std::ranges::find(shadow_.members.at(i), member.scored.variant, [](const Member& m) {
               return m.scored.variant;
             }) != shadow_.members.at(i).end();
    };
    if (was_on(island)) return;
    const AddVariant& added = shadow_.variants.at(member.scored.variant);
    if (!added.proposal || added.island == static_cast<int>(island)) return;
    const std::size_t count = shadow_.members.size();
    const std::size_t previous = (island + count - 1) % count;
    expect(shadow_.finished % settings_.migration_interval == 0 &&
               (was_on(previous) || added.island == static_cast<int>(previous)),
           "others come by migration from the island before only");
  }

  void check_end() {
    expect(shadow_.proposals.empty() && shadow_.evaluations.empty(), "nothing is left open");
    expect(shadow_.reason != EndReason::none, "the end has a reason");
    if (shadow_.reason == EndReason::evaluations) {
      expect(shadow_.finished == settings_.budget.evaluations, "exactly the budget");
    }
    const bool has_finals = shadow_.best && shadow_.reason != EndReason::user;
    const std::int64_t finalists = shadow_.best && shadow_.best->variant.value != 0 ? 2 : 1;
    if (has_finals) {
      expect(shadow_.finals_requested == 2 * finalists * settings_.final_repeats, "all finals");
    }
    check_verdicts(settings_, shadow_, search_.consumption().duplicates);
  }

  void check_replay() {
    Search again(settings_);
    for (std::size_t i = 0; i < events_.size(); ++i) {
      expect(again.handle(events_[i]) == history_[i], "a replay gives the same commands");
    }
    expect(again.consumption() == search_.consumption(), "a replay gives the same counts");
    expect(again.members() == search_.members(), "a replay gives the same archive");
  }

  void check_pauses_change_nothing() {
    Search again(settings_);
    bool is_paused = false;
    for (std::size_t i = 0; i < events_.size(); ++i) {
      if (i > 0 && !is_paused && rng_.chance(0.3)) {
        for (const Event& event : {Event(PauseRequested{}), Event(ResumeRequested{})}) {
          for (const Command& command : again.handle(event)) {
            expect(std::holds_alternative<SetPhase>(command),
                   "a pause between events does nothing");
          }
        }
      }
      expect(again.handle(events_[i]) == history_[i], "a pause changes nothing afterwards");
      is_paused = again.phase() == Phase::paused;
    }
  }

  Rng rng_;
  Settings settings_;
  Search search_;
  Shadow shadow_;
  Agents agents_;
  JumpShadow jumps_;
  std::vector<Event> events_;
  std::vector<std::vector<Command>> history_;
  bool is_reset_due_ = false;
  bool is_careless_user_ = false;
  std::int64_t time_ = 0;

 public:
  EndReason reason() const { return shadow_.reason; }
  std::size_t races_lost() const { return shadow_.lost.size(); }
  std::map<Confirmation, int> confirmations() const {
    std::map<Confirmation, int> counts;
    for (const auto& [number, settled] : shadow_.settled) ++counts[settled.confirmation];
    return counts;
  }
};

/// A number of the environment.
std::optional<std::uint64_t> number_of(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

TEST_CASE("Search: keeps its rules in random histories", "[unit][search][histories]") {
  const auto given = number_of("CAMBRIAN_TEST_SEED");
  const std::uint64_t first = given.value_or(1);
  const std::uint64_t count = given ? 1 : number_of("CAMBRIAN_HISTORIES").value_or(kHistories);
  std::map<EndReason, int> reasons;
  std::map<Confirmation, int> confirmations;
  std::size_t races_lost = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    INFO("CAMBRIAN_TEST_SEED=" << seed);
    World world(seed);
    world.run();
    ++reasons[world.reason()];
    for (const auto& [confirmation, times] : world.confirmations()) {
      confirmations[confirmation] += times;
    }
    races_lost += world.races_lost();
  }
  if (given) return;
  // The histories reach every end: otherwise the test would not test them.
  for (const EndReason reason :
       {EndReason::evaluations, EndReason::tokens, EndReason::cost, EndReason::gpu_time,
        EndReason::wall_time, EndReason::target, EndReason::user, EndReason::failure}) {
    INFO("reason=" << static_cast<int>(reason));
    CHECK(reasons[reason] >= 20);
  }
  for (const Confirmation confirmation :
       {Confirmation::confirmed, Confirmation::disputed, Confirmation::unconfirmed}) {
    INFO("confirmation=" << static_cast<int>(confirmation));
    CHECK(confirmations[confirmation] >= 100);
  }
  CHECK(races_lost >= 100);
}

}  // namespace
}  // namespace cambrian::search
