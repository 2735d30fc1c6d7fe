#include "tests/unit/coordinator/search_driver.hpp"

namespace cambrian::search {

Settings settings_of(PolicyKind policy) {
  Settings settings;
  settings.seed = 7;
  settings.objectives = {{"accuracy", Goal::maximize, std::nullopt}};
  settings.policy = policy;
  settings.islands = 2;
  settings.features = {{"source_tokens", 8, 0, 80, false}};
  settings.operators = {{Operator::diff, 1}};
  settings.evaluations_parallel = 1;
  settings.proposals_parallel = 1;
  settings.final_repeats = 1;
  settings.budget.evaluations = 5;
  return settings;
}

const std::vector<Command>& Driver::send(const Event& event) {
  latest = search.handle(event);
  all.insert(all.end(), latest.begin(), latest.end());
  return latest;
}

const std::vector<Command>& Driver::start() { return send(Started{"seed", 10}); }

const std::vector<Command>& Driver::start_with_seed(double score_of_seed) {
  start();
  while (!search.best() && search.phase() != Phase::ended) {
    score(first_open_evaluation(), score_of_seed);
  }
  return latest;
}

const std::vector<Command>& Driver::answer(std::int64_t proposal,
                                           const std::vector<std::string>& digests,
                                           std::int64_t tokens, std::int64_t cost_micro_usd) {
  ProposalFinished event;
  event.proposal = ProposalNumber{proposal};
  for (const std::string& digest : digests) event.variants.push_back({digest, 10});
  event.tokens = tokens;
  event.cost_micro_usd = cost_micro_usd;
  return send(event);
}

const std::vector<Command>& Driver::score(std::int64_t evaluation, double accuracy) {
  EvaluationFinished event;
  event.evaluation = EvaluationNumber{evaluation};
  event.metrics = {{"accuracy", accuracy}};
  return send(event);
}

const std::vector<Command>& Driver::fail(std::int64_t evaluation, Outcome outcome) {
  EvaluationFinished event;
  event.evaluation = EvaluationNumber{evaluation};
  event.outcome = outcome;
  return send(event);
}

const std::vector<Command>& Driver::make_variant(double accuracy) {
  answer(first_open_proposal(), {"variant " + std::to_string(++digests_)});
  return score(first_open_evaluation(), accuracy);
}

void Driver::finish_evaluations(double accuracy) {
  while (!search.open_evaluations().empty()) score(first_open_evaluation(), accuracy);
}

}  // namespace cambrian::search
