#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <functional>
#include <map>
#include <numbers>
#include <set>

#include "coordinator/search/settings.hpp"
#include "tests/unit/coordinator/search_driver.hpp"

// Does the search search? A program is a vector of numbers, and the model knows nothing: it changes
// a number of a parent at random, and mixes two parents for a crossover. Only a policy that builds
// on what was found gets anywhere; whether it should build on the best alone depends on the land.
// The islands are those that a campaign of this budget has by default.

namespace cambrian::search {
namespace {

using Program = std::vector<double>;

/// Larger scores are better.
struct Land {
  std::function<Program(Rng&)> seed;
  std::function<double(const Program&)> score;
  std::function<void(Program&, Rng&)> vary;
};

constexpr double kOptimum = 4;

void step(Program& program, Rng& rng) { program[rng.below(program.size())] += rng.normal(); }

/// One hill far from the seed: whatever climbs gets there.
Land hill() {
  return {.seed = [](Rng&) { return Program(6); },
          .score =
              [](const Program& program) {
                double squares = 0;
                for (const double x : program) squares += (x - kOptimum) * (x - kOptimum);
                return -std::sqrt(squares);
              },
          .vary = step};
}

/// The same with a valley around each whole number (Rastrigin's function).
Land ripples() {
  constexpr double kDepth = 3;
  return {.seed = [](Rng&) { return Program(6); },
          .score =
              [](const Program& program) {
                double sum = 0;
                for (const double x : program) {
                  const double off = x - kOptimum;
                  sum += off * off + kDepth * (1 - std::cos(2 * std::numbers::pi * off));
                }
                return -sum;
              },
          .vary = step};
}

/// Blocks of four bits that lead away from their best value: a block scores 4 when all are ones,
/// otherwise the more the fewer there are (Goldberg's deceptive trap).
Land traps() {
  constexpr std::size_t kBlocks = 6;
  constexpr std::size_t kBits = 4;
  return {.seed =
              [](Rng& rng) {
                Program program(kBlocks * kBits);
                for (double& bit : program) bit = rng.chance(0.5) ? 1 : 0;
                return program;
              },
          .score =
              [](const Program& program) {
                double sum = 0;
                for (std::size_t block = 0; block < kBlocks; ++block) {
                  const auto first = program.begin() + static_cast<std::ptrdiff_t>(block * kBits);
                  const auto ones = std::count(first, first + kBits, 1.0);
                  sum += ones == kBits ? 4 : 0.8 * static_cast<double>(3 - ones);
                }
                return sum;
              },
          .vary =
              [](Program& program, Rng& rng) {
                do {
                  double& bit = program[rng.below(program.size())];
                  bit = 1 - bit;
                } while (rng.chance(0.3));
              }};
}

class Walk {
 public:
  Walk(const Land& land, const Settings& settings, bool has_liar = false, double noise = 0)
      : land_(land), search_(settings), rng_(settings.seed), noise_(noise), has_liar_(has_liar) {
    programs_[VariantNumber{0}] = {land_.seed(rng_), kSeedTokens};
  }

  /// The best score after the budget is used. Evaluations finish in the order of their requests.
  double run() {
    take(search_.handle(Started{"seed", kSeedTokens}));
    while (search_.phase() != Phase::ended) {
      if (const auto open = search_.open_proposals(); !open.empty()) {
        answer(open.front());
      } else {
        evaluate(search_.open_evaluations().front());
      }
    }
    return search_.best()->score;
  }

  /// What the best variant is worth, whatever its worker said.
  double best_in_truth() const {
    return land_.score(programs_.at(search_.best()->variant).program);
  }
  std::int64_t confirmations() const { return confirmations_; }

 private:
  static constexpr std::uint64_t kWorkers = 4;
  static constexpr double kLie = 4;
  static constexpr std::int64_t kSeedTokens = 40;
  struct Draft {
    Program program;
    std::int64_t tokens = 0;
  };

  void take(const std::vector<Command>& commands) {
    for (const auto& request : all_of<RequestProposal>(commands)) {
      requests_[request.proposal] = request;
    }
    for (const auto& request : all_of<RequestEvaluation>(commands)) {
      variant_of_[request.evaluation] = request.variant;
      if (!request.is_final) workers_[request.evaluation] = draw_worker(request);
      if (request.jump) ++confirmations_;
    }
    for (const auto& added : all_of<AddVariant>(commands)) {
      if (added.proposal) programs_[added.variant] = drafts_.at(*added.proposal);
    }
  }

  /// Another one confirms. The first of them lies, except about the seed.
  std::uint64_t draw_worker(const RequestEvaluation& request) {
    if (!has_liar_ || request.variant.value == 0) return kWorkers;
    auto worker = rng_.below(kWorkers);
    if (request.jump && worker == evaluated_by_.at(request.variant)) {
      worker = (worker + 1) % kWorkers;
    }
    evaluated_by_[request.variant] = worker;
    return worker;
  }

  void answer(ProposalNumber number) {
    const RequestProposal& request = requests_.at(number);
    Draft draft = programs_.at(request.parents.front());
    if (request.operation == Operator::crossover) {
      const Program& other = programs_.at(request.parents.back()).program;
      for (std::size_t i = 0; i < other.size(); ++i) {
        if (rng_.chance(0.5)) draft.program[i] = other[i];
      }
    }
    land_.vary(draft.program, rng_);
    draft.tokens = std::clamp<std::int64_t>(draft.tokens + rng_.between(-12, 12), 1, 79);
    drafts_[number] = draft;
    take(search_.handle(ProposalFinished{
        number, {{"draft " + std::to_string(number.value), draft.tokens}}, 1, 0, false}));
  }

  void evaluate(EvaluationNumber number) {
    EvaluationFinished event;
    event.evaluation = number;
    event.metrics = {{"accuracy", land_.score(programs_.at(variant_of_.at(number)).program)}};
    if (const auto worker = workers_.find(number); worker != workers_.end()) {
      if (worker->second == 0) event.metrics["accuracy"] += kLie;
    }
    if (noise_ > 0) event.metrics["accuracy"] += noise_ * rng_.normal();
    // Some do not compile.
    const VariantNumber variant = variant_of_.at(number);
    const bool is_first = variant.value > 0 && compiled_.insert(variant).second;
    if (is_first && rng_.chance(0.25)) event.outcome = Outcome::compile_error;
    take(search_.handle(event));
  }

  const Land& land_;
  Search search_;
  Rng rng_;
  std::map<VariantNumber, Draft> programs_;
  std::map<ProposalNumber, Draft> drafts_;
  std::map<ProposalNumber, RequestProposal> requests_;
  std::map<EvaluationNumber, VariantNumber> variant_of_;
  std::map<EvaluationNumber, std::uint64_t> workers_;
  std::map<VariantNumber, std::uint64_t> evaluated_by_;
  std::set<VariantNumber> compiled_;
  std::int64_t confirmations_ = 0;
  double noise_;
  bool has_liar_;
};

constexpr int kSeeds = 15;
constexpr int kParallel = 4;

Settings settings_for(std::uint64_t seed, PolicyKind policy, std::int64_t evaluations,
                      int parallel = kParallel) {
  Settings settings = settings_of(policy);
  settings.seed = seed;
  settings.islands = default_islands(evaluations);
  settings.reset_interval = default_reset_interval(evaluations, settings.islands);
  settings.climb_from = kClimbFromDefault;
  settings.operators = {{Operator::diff, 0.8}, {Operator::crossover, 0.2}};
  settings.budget.evaluations = evaluations;
  settings.evaluations_parallel = parallel;
  settings.proposals_parallel = parallel;
  return settings;
}

/// The best scores of all seeds, ascending.
std::vector<double> bests(const Land& land, PolicyKind policy, std::int64_t evaluations,
                          int parallel = kParallel) {
  std::vector<double> scores;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    scores.push_back(Walk(land, settings_for(seed, policy, evaluations, parallel)).run());
  }
  std::ranges::sort(scores);
  return scores;
}

double median_best(const Land& land, PolicyKind policy, std::int64_t evaluations,
                   int parallel = kParallel) {
  return bests(land, policy, evaluations, parallel)[kSeeds / 2];
}

/// How often a run of the first is better than one of the second; ties count half.
double share_better(const std::vector<double>& first, const std::vector<double>& second) {
  double wins = 0;
  for (const double a : first) {
    for (const double b : second) wins += a > b ? 1 : a == b ? 0.5 : 0;
  }
  return wins / static_cast<double>(first.size() * second.size());
}

TEST_CASE("Search: policies that build on what they found beat independent samples",
          "[unit][search]") {
  const Land land = hill();
  const auto median = [&](PolicyKind policy) { return median_best(land, policy, 300); };
  const double random = median(PolicyKind::random);
  const double hill_climb = median(PolicyKind::hill_climb);
  const double islands = median(PolicyKind::islands);
  const double sequential = median(PolicyKind::sequential);
  const double pareto = median(PolicyKind::pareto);
  const double clade = median(PolicyKind::clade);
  INFO("random=" << random << " sequential=" << sequential << " hill_climb=" << hill_climb
                 << " islands=" << islands << " pareto=" << pareto << " clade=" << clade);
  // The seed is 9.8 away; one step from it cannot come nearer than about 8.
  CHECK(random < -8);
  CHECK(hill_climb > -4);
  CHECK(islands > -1.5);
  CHECK(pareto > -5);
  CHECK(clade > -5);
  // Conditioned on what was found, but selecting nothing: between the two.
  CHECK(sequential > random);
  CHECK(sequential < -4);
}

TEST_CASE("Search: islands keep up with the hill climber, and pass it where hills deceive",
          "[unit][search]") {
  const auto share = [](const Land& land, PolicyKind other, std::int64_t evaluations) {
    return share_better(bests(land, PolicyKind::islands, evaluations),
                        bests(land, other, evaluations));
  };
  for (const std::int64_t evaluations : {100, 400}) {
    CAPTURE(evaluations);
    CHECK(share(hill(), PolicyKind::hill_climb, evaluations) > 0.25);
    CHECK(share(traps(), PolicyKind::hill_climb, evaluations) > 0.4);
    CHECK(share(hill(), PolicyKind::random, evaluations) == 1);
    CHECK(share(ripples(), PolicyKind::random, evaluations) == 1);
    CHECK(share(traps(), PolicyKind::random, evaluations) > 0.8);
  }
  CHECK(share(traps(), PolicyKind::hill_climb, 2000) > 0.6);
}

TEST_CASE("Search: a worker that lies seldom wins where jumps are confirmed", "[unit][search]") {
  const Land land = hill();
  int deceived = 0;
  int deceived_all_the_same = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    CAPTURE(seed);
    auto settings = settings_for(seed, PolicyKind::islands, 300);
    Walk trusting(land, settings, true);
    const double believed = trusting.run();
    deceived += believed > trusting.best_in_truth() ? 1 : 0;
    settings.confirm_sigma = kConfirmSigmaDefault;
    Walk confirming(land, settings, true);
    const double confirmed = confirming.run();
    deceived_all_the_same += confirmed > confirming.best_in_truth() ? 1 : 0;
  }
  CHECK(deceived == kSeeds);
  // By lies that are no larger than honest gains were, which are no jumps.
  CHECK(deceived_all_the_same <= kSeeds / 5);
}

TEST_CASE("Search: confirming jumps costs few evaluations", "[unit][search]") {
  for (const PolicyKind policy : {PolicyKind::islands, PolicyKind::hill_climb}) {
    const Land land = hill();
    std::int64_t confirmations = 0;
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      auto settings = settings_for(seed, policy, 300);
      settings.confirm_sigma = kConfirmSigmaDefault;
      Walk walk(land, settings);
      walk.run();
      confirmations += walk.confirmations();
    }
    CHECK(confirmations >= kSeeds);  // The first gain of each.
    CHECK(confirmations <= kSeeds * 300 / 30);
  }
}

TEST_CASE("Search: what confirming jumps costs, by land and budget", "[.][unit][bench]") {
  const std::pair<const char*, Land> lands[] = {
      {"hill", hill()}, {"ripples", ripples()}, {"traps", traps()}};
  for (const auto& [name, land] : lands) {
    for (const std::int64_t evaluations : {100, 400, 2000}) {
      for (const PolicyKind policy : {PolicyKind::islands, PolicyKind::hill_climb}) {
        std::vector<double> trusting = bests(land, policy, evaluations);
        std::vector<double> confirming;
        double confirmations = 0;
        for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
          auto settings = settings_for(seed, policy, evaluations);
          settings.confirm_sigma = kConfirmSigmaDefault;
          Walk walk(land, settings);
          confirming.push_back(walk.run());
          confirmations += static_cast<double>(walk.confirmations());
        }
        std::ranges::sort(confirming);
        WARN(name << (policy == PolicyKind::islands ? " islands" : " hill_climb")
                  << " evaluations=" << evaluations << " trusting=" << trusting[kSeeds / 2]
                  << " confirming=" << confirming[kSeeds / 2]
                  << " confirmations each=" << confirmations / kSeeds
                  << " share of confirming better=" << share_better(confirming, trusting));
      }
    }
  }
}

TEST_CASE("Search: islands against the controls, by land and budget", "[.][unit][bench]") {
  const std::pair<const char*, Land> lands[] = {
      {"hill", hill()}, {"ripples", ripples()}, {"traps", traps()}};
  for (const auto& [name, land] : lands) {
    for (const std::int64_t evaluations : {100, 400, 2000}) {
      const auto islands = bests(land, PolicyKind::islands, evaluations);
      const auto hill_climb = bests(land, PolicyKind::hill_climb, evaluations);
      WARN(name << " evaluations=" << evaluations << " islands=" << islands[kSeeds / 2]
                << " hill_climb=" << hill_climb[kSeeds / 2]
                << " random=" << median_best(land, PolicyKind::random, evaluations)
                << " share of islands better than hill_climb="
                << share_better(islands, hill_climb));
    }
  }
}

TEST_CASE("Search: what races save where scores are noisy", "[.][unit][bench]") {
  constexpr std::uint64_t kRuns = 300;
  const std::pair<const char*, Land> lands[] = {{"hill", hill()}, {"traps", traps()}};
  struct Way {
    const char* name;
    int repeats;
    bool races;
    int noise_repeats;
  };
  const Way ways[] = {{"one evaluation", 1, false, 0},
                      {"five repeats", 5, false, 0},
                      {"race", 5, true, 0},
                      {"race, noise known", 5, true, 10}};
  for (const auto& [name, land] : lands) {
    for (const double noise : {0.3, 1.0}) {
      std::vector<std::vector<double>> truths;
      for (const Way& way : ways) {
        auto& own = truths.emplace_back();
        for (std::uint64_t seed = 1; seed <= kRuns; ++seed) {
          auto settings = settings_for(seed, PolicyKind::islands, 1000);
          settings.repeats = way.repeats;
          settings.races = way.races;
          settings.noise_repeats = way.noise_repeats;
          Walk walk(land, settings, false, noise);
          walk.run();
          own.push_back(walk.best_in_truth());
        }
        std::ranges::sort(own);
        WARN(name << " noise=" << noise << " " << way.name << ": median in truth "
                  << own[own.size() / 2] << ", share better than one evaluation "
                  << share_better(own, truths[0]) << ", than five repeats "
                  << (truths.size() > 1 ? share_better(own, truths[1]) : 0.5));
      }
    }
  }
}

TEST_CASE("Search: a deep queue makes islands learn later", "[.][unit][bench]") {
  const Land land = hill();
  for (const int parallel : {1, 4, 16, 64}) {
    WARN("parallel=" << parallel
                     << " islands=" << median_best(land, PolicyKind::islands, 300, parallel)
                     << " hill_climb=" << median_best(land, PolicyKind::hill_climb, 300, parallel));
  }
}

}  // namespace
}  // namespace cambrian::search
