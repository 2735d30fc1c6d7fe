#include "coordinator/adapters/postgres/codec.hpp"

#include <catch2/catch_test_macros.hpp>
#include <limits>

using namespace cambrian;
using namespace cambrian::coordinator;

namespace {

using postgres::Json;

Json through_text(const Json& json) { return Json::parse(json.dump()); }

search::Event round_trip(const search::Event& event) {
  return postgres::event_from_json(postgres::type_of(event),
                                   through_text(postgres::to_json(event)));
}

}  // namespace

TEST_CASE("codec: inputs of the log read back as they were", "[unit][coordinator]") {
  const search::EvaluationFinished evaluation{
      .evaluation = {7},
      .outcome = search::Outcome::not_finite,
      .metrics = {{"third", 1.0 / 3}, {"tiny", std::numeric_limits<double>::denorm_min()}},
      .gpu_time_ms = 12};
  const auto back = std::get<search::EvaluationFinished>(round_trip(evaluation));
  CHECK(back.evaluation == evaluation.evaluation);
  CHECK(back.outcome == evaluation.outcome);
  CHECK(back.metrics == evaluation.metrics);
  CHECK(back.gpu_time_ms == 12);

  const search::ProposalFinished proposal{.proposal = {3},
                                          .variants = {{"digest", 5}, {"other", 6}},
                                          .tokens = 100,
                                          .cost_micro_usd = 9,
                                          .is_quota_exhausted = true,
                                          .is_infrastructure = true};
  const auto made = std::get<search::ProposalFinished>(round_trip(proposal));
  REQUIRE(made.variants.size() == 2);
  CHECK(made.variants[1].token_digest == "other");
  CHECK(made.variants[1].source_tokens == 6);
  CHECK(made.tokens == 100);
  CHECK(made.is_quota_exhausted);
  CHECK(made.is_infrastructure);
  // Logs of versions that did not know this field.
  auto old = postgres::to_json(proposal);
  old.erase("is_infrastructure");
  CHECK_FALSE(std::get<search::ProposalFinished>(
                  postgres::event_from_json("proposal_finished", through_text(old)))
                  .is_infrastructure);

  const search::ConstantsFound constants{.variant = {5},
                                         .constants = {{0.1, 0.025, 0.4, true}, {0, -1, 1, false}}};
  const auto found = std::get<search::ConstantsFound>(round_trip(constants));
  CHECK(found.variant == constants.variant);
  CHECK(found.constants == constants.constants);

  const search::StopRequested stop{.begun = {{4}, {9}}};
  CHECK(std::get<search::StopRequested>(round_trip(stop)).begun == stop.begun);
  const auto charged =
      std::get<search::AttemptCharged>(round_trip(search::AttemptCharged{1, 2, 3}));
  CHECK(charged.tokens == 1);
  CHECK(charged.cost_micro_usd == 2);
  CHECK(charged.gpu_time_ms == 3);
  CHECK(std::get<search::TimePassed>(round_trip(search::TimePassed{5})).running_ms == 5);
  CHECK(std::holds_alternative<search::PauseRequested>(round_trip(search::PauseRequested{})));
  CHECK(std::get<search::Started>(round_trip(search::Started{"seed", 44})).seed_source_tokens ==
        44);
  CHECK_THROWS(postgres::event_from_json("unheard_of", Json::object()));
}

TEST_CASE("codec: a definition reads back as it was", "[unit][coordinator]") {
  CampaignDefinition definition;
  definition.settings.seed = std::numeric_limits<std::uint64_t>::max();
  definition.settings.objectives = {{"loss", search::Goal::minimize, 0.1},
                                    {"size", search::Goal::maximize, std::nullopt}};
  definition.settings.features = {{"source_tokens", 5, 1, 1e6, true}};
  definition.settings.operators = {{search::Operator::crossover, 0.25},
                                   {search::Operator::tune, 0.5},
                                   {search::Operator::repair, 0.125},
                                   {search::Operator::simplify, 0.5},
                                   {search::Operator::explain, 0.5}};
  definition.settings.tune_evaluations = 33;
  definition.settings.races = true;
  definition.settings.noise_repeats = 5;
  definition.settings.confirm_sigma = 2.5;
  definition.settings.reset_interval = 66;
  definition.settings.climb_from = 0.25;
  definition.settings.learns_shares = true;
  definition.settings.models = {{"big", 2, 0.7}, {"", 1, std::nullopt}};
  definition.settings.policy = search::PolicyKind::clade;
  definition.settings.generations = 77;
  definition.settings.constraints = {{"size", std::nullopt, 0.5}};
  definition.settings.budget = {1, 2, 3, 4, 5};
  definition.settings.tokens_reserved = 77;
  definition.started = {"digest", 12};
  definition.seed_files = {{"a.cpp", "sha"}};
  definition.language = "python";
  definition.parameters = {{"rounds", 10.5}};
  definition.instructions = "be \"brief\"\n";
  definition.attempt_budget_min = milliseconds(1234);
  definition.early_stop = {search::EarlyStopRule::halving, {0.1, 0.75}, 3, 0.25};
  const auto json = through_text(postgres::to_json(definition));
  const auto back = postgres::definition_from_json(json);
  // Every field of the settings went through: the JSON of the copy is the same.
  CHECK(postgres::to_json(back) == json);
  CHECK(back.settings.seed == definition.settings.seed);
  CHECK(back.settings.objectives == definition.settings.objectives);
  CHECK(back.settings.models == definition.settings.models);
  CHECK(back.settings.operators == definition.settings.operators);
  CHECK(back.settings.learns_shares);
  CHECK(back.settings.races);
  CHECK(back.settings.budget == definition.settings.budget);
  CHECK(back.early_stop == definition.early_stop);
  CHECK(back.settings.policy == search::PolicyKind::clade);
  CHECK(back.settings.constraints == definition.settings.constraints);
  // Campaigns of versions that did not know these fields.
  auto old = json;
  old["settings"].erase("generations");
  old["settings"].erase("constraints");
  old["settings"].erase("noise_repeats");
  old["settings"].erase("confirm_sigma");
  old["settings"].erase("reset_interval");
  old["settings"].erase("climb_from");
  old["settings"].erase("learns_shares");
  old["settings"].erase("races");
  old.erase("early_stop");
  CHECK_FALSE(postgres::definition_from_json(old).early_stop);
  CHECK(postgres::definition_from_json(old).settings.climb_from == 0);
  CHECK_FALSE(postgres::definition_from_json(old).settings.learns_shares);
  CHECK_FALSE(postgres::definition_from_json(old).settings.races);
  CHECK(postgres::definition_from_json(old).settings.noise_repeats == 0);
  CHECK(postgres::definition_from_json(old).settings.confirm_sigma == 0);
  CHECK(postgres::definition_from_json(old).settings.reset_interval == 0);
  CHECK(postgres::definition_from_json(old).settings.generations == search::Settings().generations);
  CHECK(back.instructions == definition.instructions);
}

TEST_CASE("codec: campaigns without prompts and selection are of older versions",
          "[unit][coordinator]") {
  CampaignDefinition definition;
  definition.prompts = {{"diff", "change \"one\" thing\n"}};
  definition.settings.selection = search::Selection::novelty;
  auto json = through_text(postgres::to_json(definition));
  const auto back = postgres::definition_from_json(json);
  CHECK(back.settings.selection == search::Selection::novelty);
  CHECK(back.prompts == definition.prompts);
  json["settings"].erase("selection");
  json.erase("prompts");
  const auto old = postgres::definition_from_json(json);
  CHECK(old.prompts.empty());
  CHECK(old.settings.selection == search::Selection::rank);
}

TEST_CASE("codec: arrays keep quotes and backslashes", "[unit][coordinator]") {
  CHECK(postgres::text_array({"a", "b\"c", "d\\e", ""}) == R"({"a","b\"c","d\\e",""})");
  CHECK(postgres::number_array({}) == "{}");
  CHECK(postgres::number_array({1, -2}) == "{1,-2}");
}

TEST_CASE("codec: an agent reads back as it was, and one of an older coordinator has no trouble",
          "[unit][coordinator]") {
  AgentDescription agent;
  agent.slots = 0;
  agent.runtimes = {"cpp"};
  agent.sandbox_walls = {"seccomp"};
  agent.trouble = "its disk is full";
  auto json = through_text(postgres::to_json(agent));
  const AgentDescription back = postgres::agent_from_json(json);
  CHECK(back.slots == 0);
  CHECK(back.runtimes == agent.runtimes);
  CHECK(back.sandbox_walls == agent.sandbox_walls);
  CHECK(back.trouble == "its disk is full");
  json.erase("trouble");
  CHECK(postgres::agent_from_json(json).trouble.empty());
}
