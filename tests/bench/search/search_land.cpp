// Searches on interpreted bin packing: the coordinator's search and the embedded code model as they
// are, in one thread, without service, compiler and sandbox. Prints the best scores of each arm.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "codegen-client/model_server/mutation/mutator.hpp"
#include "common/source/constants.hpp"
#include "common/source/token_digest.hpp"
#include "coordinator/ports/words.hpp"
#include "coordinator/search/search.hpp"
#include "coordinator/search/settings.hpp"
#include "tests/bench/search/bin_packing.hpp"

namespace cambrian::bench {
namespace {

using namespace search;
namespace model = codemodel;

constexpr const char* kFile = "priority.cpp";
constexpr auto kLanguage = source::Language::cpp;

struct Options {
  std::vector<std::string> arms = {"random", "islands"};
  int seeds = 10;
  int first_seed = 1;
  int evaluations = 400;
  int parallel = 4;
  int threads = 2;
  BinPacking::Family family{.is_weibull = true, .items = 5000, .instances = 2};
  std::string program = CAMBRIAN_SEED_PROGRAM;
  bool prints_best = false;
  bool prints_fates = false;
};

/// The settings that a campaign of this arm has; fields behind colons, as in scripts/bench search.
Settings settings_of(const std::string& arm, const Options& options, std::uint64_t seed) {
  std::istringstream parts(arm);
  std::string policy;
  std::getline(parts, policy, ':');
  Settings settings;
  settings.seed = seed;
  settings.objectives = {{"excess_percent", Goal::minimize, std::nullopt}};
  static const std::map<std::string, PolicyKind> kPolicies = {
      {"random", PolicyKind::random},
      {"sequential", PolicyKind::sequential},
      {"hill_climb", PolicyKind::hill_climb},
      {"clade", PolicyKind::clade},
      {"islands", PolicyKind::islands}};
  const auto known = kPolicies.find(policy);
  if (known == kPolicies.end()) throw std::invalid_argument("no such policy: " + policy);
  settings.policy = known->second;
  settings.children = settings.policy == PolicyKind::sequential ? 20 : 8;
  settings.climb_from = kClimbFromDefault;
  settings.features = {{"source_tokens", 8, 50, 450, false}};
  settings.final_repeats = 0;
  settings.evaluations_parallel = options.parallel;
  settings.proposals_parallel = options.parallel;
  settings.budget.evaluations = options.evaluations;
  double tune = 0;
  double simplify = 0;
  settings.islands = 0;
  for (std::string field; std::getline(parts, field, ':');) {
    const auto at = field.find('=');
    const auto name = field.substr(0, at);
    if (name == "selection") {
      const auto selection = coordinator::parse_word<Selection>(field.substr(at + 1));
      if (!selection) throw std::invalid_argument("no such selection: " + field.substr(at + 1));
      settings.selection = *selection;
      continue;
    }
    const double value = std::stod(field.substr(at + 1));
    if (name == "islands") {
      settings.islands = static_cast<int>(value);
    } else if (name == "exploitation") {
      settings.exploitation = value;
    } else if (name == "climb_from") {
      settings.climb_from = value;
    } else if (name == "children") {
      settings.children = static_cast<int>(value);
    } else if (name == "tune") {
      tune = value;
    } else if (name == "simplify") {
      simplify = value;
    } else if (name == "learn_shares") {
      settings.learns_shares = value != 0;
    } else {
      throw std::invalid_argument("no such field: " + field);
    }
  }
  if (settings.islands == 0) settings.islands = default_islands(options.evaluations);
  settings.reset_interval = default_reset_interval(options.evaluations, settings.islands);
  const double rest = 1 - tune - simplify;
  settings.operators = {{Operator::diff, 0.7 * rest},
                        {Operator::rewrite, 0.1 * rest},
                        {Operator::crossover, 0.2 * rest}};
  if (tune > 0) settings.operators.push_back({Operator::tune, tune});
  if (simplify > 0) settings.operators.push_back({Operator::simplify, simplify});
  return settings;
}

/// What became of the variants in which an operator of the code model had a part.
struct Fate {
  int variants = 0;
  int failed = 0;
  int equal = 0;   ///< The parent's score.
  int better = 0;  ///< Than the parent.
  int best = 0;    ///< Than all before.
};
using Fates = std::map<std::string, Fate>;

class Campaign {
 public:
  Campaign(const Settings& settings, const BinPacking& land, const std::string& seed_program)
      : land_(land), search_(settings) {
    programs_[VariantNumber{0}] = seed_program;
    const auto digest = source::token_digest(seed_program, kLanguage);
    take(search_.handle(Started{digest.digest, digest.count}));
  }

  /// Evaluations finish in the order of their requests.
  void run() {
    while (search_.phase() != Phase::ended) {
      if (!untold_.empty()) {
        tell_constants();
      } else if (const auto open = search_.open_proposals(); !open.empty()) {
        answer(open.front());
      } else {
        evaluate(search_.open_evaluations().front());
      }
    }
  }

  double best() const { return search_.best()->score; }
  const std::string& best_program() const { return programs_.at(search_.best()->variant); }
  const Fates& fates() const { return fates_; }

 private:
  void take(const std::vector<Command>& commands) {
    for (const Command& command : commands) {
      if (const auto* proposal = std::get_if<RequestProposal>(&command)) {
        requests_[proposal->proposal] = *proposal;
      } else if (const auto* evaluation = std::get_if<RequestEvaluation>(&command)) {
        variants_[evaluation->evaluation] = evaluation->variant;
      } else if (const auto* wanted = std::get_if<FindConstants>(&command)) {
        untold_.push_back(wanted->variant);
      } else if (const auto* added = std::get_if<AddVariant>(&command)) {
        if (added->proposal) {
          programs_[added->variant] = drafts_.at(*added->proposal);
          origins_[added->variant] = *added->proposal;
        }
      }
    }
  }

  model::Program program_of(VariantNumber variant) const {
    return {.files = {{kFile, programs_.at(variant)}}, .languages = {{kFile, kLanguage}}};
  }

  void tell_constants() {
    ConstantsFound event{.variant = untold_.back(), .constants = {}};
    untold_.pop_back();
    for (const auto& one : source::find_constants(program_of(event.variant).files, kLanguage)) {
      event.constants.push_back({one.value, one.low, one.high, one.is_logarithmic});
    }
    take(search_.handle(event));
  }

  /// Empty: there is none.
  std::string draft(const RequestProposal& wanted) {
    const auto parent = program_of(wanted.parents.front());
    if (wanted.operation == Operator::tune) {
      const auto tuned = source::replace_constants(parent.files, kLanguage, wanted.constants);
      return tuned ? tuned->at(kFile) : "";
    }
    model::MutationRequest request;
    request.parent = parent;
    for (std::size_t i = 1; i < wanted.parents.size(); ++i) {
      request.donors.push_back(program_of(wanted.parents[i]));
    }
    for (const auto inspiration : wanted.inspirations) {
      request.donors.push_back(program_of(inspiration));
    }
    request.seed = wanted.seed;
    request.task = wanted.operation == Operator::crossover  ? model::Task::crossover
                   : wanted.operation == Operator::rewrite  ? model::Task::rewrite
                   : wanted.operation == Operator::simplify ? model::Task::simplify
                                                            : model::Task::diff;
    const auto proposal = model::propose(request);
    if (proposal) {
      auto& names = operators_[wanted.proposal];
      names.assign(proposal->operators.begin(), proposal->operators.end());
      names.push_back("operators=" + std::to_string(names.size()));
    }
    return proposal ? proposal->files.at(kFile) : "";
  }

  void answer(ProposalNumber number) {
    ProposalFinished event;
    event.proposal = number;
    if (auto text = draft(requests_.at(number)); !text.empty()) {
      const auto digest = source::token_digest(text, kLanguage);
      event.variants.push_back({digest.digest, digest.count});
      drafts_[number] = std::move(text);
    }
    take(search_.handle(event));
  }

  void evaluate(EvaluationNumber number) {
    EvaluationFinished event;
    event.evaluation = number;
    const auto score = land_.score(programs_.at(variants_.at(number)));
    note(variants_.at(number), score);
    if (score) {
      event.metrics = {{"excess_percent", *score}};
    } else {
      event.outcome = Outcome::compile_error;
    }
    take(search_.handle(event));
  }

  void note(VariantNumber variant, std::optional<double> score) {
    const double before = search_.best() ? search_.best()->score : 0;
    if (score) scores_[variant] = *score;
    const auto origin = origins_.find(variant);
    if (origin == origins_.end()) return;
    const auto parent = scores_.find(requests_.at(origin->second).parents.front());
    for (const std::string& name : operators_[origin->second]) {
      Fate& fate = fates_[name];
      ++fate.variants;
      if (!score) {
        ++fate.failed;
      } else if (parent != scores_.end()) {
        fate.equal += *score == parent->second ? 1 : 0;
        fate.better += *score < parent->second ? 1 : 0;
        fate.best += *score < before ? 1 : 0;
      }
    }
  }

  const BinPacking& land_;
  Search search_;
  Fates fates_;
  std::map<ProposalNumber, std::vector<std::string>> operators_;
  std::map<VariantNumber, ProposalNumber> origins_;
  std::map<VariantNumber, double> scores_;
  std::map<VariantNumber, std::string> programs_;
  std::map<ProposalNumber, RequestProposal> requests_;
  std::map<ProposalNumber, std::string> drafts_;
  std::map<EvaluationNumber, VariantNumber> variants_;
  std::vector<VariantNumber> untold_;  // Whose constants are wanted.
};

void print_fates(const std::vector<Fates>& campaigns) {
  Fates sums;
  for (const Fates& fates : campaigns) {
    for (const auto& [name, fate] : fates) {
      Fate& sum = sums[name];
      sum.variants += fate.variants;
      sum.failed += fate.failed;
      sum.equal += fate.equal;
      sum.better += fate.better;
      sum.best += fate.best;
    }
  }
  std::printf("%-24s %8s %8s %8s %8s %8s\n", "operator", "variants", "failed", "equal", "better",
              "best");
  for (const auto& [name, fate] : sums) {
    std::printf("%-24s %8d %8d %8d %8d %8d\n", name.c_str(), fate.variants, fate.failed, fate.equal,
                fate.better, fate.best);
  }
}

int run(const Options& options) {
  std::ifstream file(options.program);
  const std::string seed_program{std::istreambuf_iterator<char>(file), {}};
  const BinPacking land(options.family, 1);
  const auto seed_score = land.score(seed_program);
  if (!seed_score) {
    std::cerr << "the interpreter cannot read the seed program: " << options.program << '\n';
    return 1;
  }
  for (const std::string& arm : options.arms) settings_of(arm, options, 1);  // Throws early.
  std::printf("seed %.3f\n", *seed_score);
  for (const std::string& arm : options.arms) {
    std::vector<double> scores(static_cast<std::size_t>(options.seeds));
    std::vector<std::string> programs(scores.size());
    std::vector<Fates> fates(scores.size());
    std::atomic<std::size_t> next = 0;
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < options.threads; ++i) {
        threads.emplace_back([&] {
          for (std::size_t k = next++; k < scores.size(); k = next++) {
            const auto seed = static_cast<std::uint64_t>(options.first_seed) + k;
            Campaign campaign(settings_of(arm, options, seed), land, seed_program);
            campaign.run();
            scores[k] = campaign.best();
            programs[k] = campaign.best_program();
            fates[k] = campaign.fates();
          }
        });
      }
    }
    if (options.prints_best) {
      for (const std::string& program : programs) std::printf("%s\n", program.c_str());
    }
    if (options.prints_fates) print_fates(fates);
    std::ranges::sort(scores);
    std::printf("%-24s median %.3f |", arm.c_str(), scores[scores.size() / 2]);
    for (const double score : scores) std::printf(" %.2f", score);
    std::printf("\n");
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace cambrian::bench

int main(int argc, char** argv) {
  cambrian::bench::Options options;
  CLI::App app("Compares searches on interpreted bin packing.");
  app.add_option("--arms", options.arms, "policies, fields behind colons")->delimiter(',');
  app.add_option("--seeds", options.seeds)->capture_default_str();
  app.add_option("--first-seed", options.first_seed)->capture_default_str();
  app.add_option("--evaluations", options.evaluations)->capture_default_str();
  app.add_option("--parallel", options.parallel, "evaluations in flight")->capture_default_str();
  app.add_option("--threads", options.threads)->capture_default_str();
  app.add_option("--instances", options.family.instances)->capture_default_str();
  app.add_option("--items", options.family.items)->capture_default_str();
  app.add_option("--program", options.program, "the seed program")->capture_default_str();
  app.add_flag("--best", options.prints_best, "print the best program of each campaign");
  app.add_flag("--operators", options.prints_fates,
               "print what became of the variants of each operator of the code model");
  bool is_uniform = false;
  app.add_flag("--uniform", is_uniform, "the family of 20 to 100 in 150");
  CLI11_PARSE(app, argc, argv);
  options.family.is_weibull = !is_uniform;
  try {
    return cambrian::bench::run(options);
  } catch (const std::exception& error) {
    std::cerr << "search_land: " << error.what() << '\n';
    return 1;
  }
}
