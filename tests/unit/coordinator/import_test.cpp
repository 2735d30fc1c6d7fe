#include "coordinator/journal/import.hpp"

#include <catch2/catch_test_macros.hpp>
#include <functional>

#include "tests/unit/coordinator/search_driver.hpp"

namespace cambrian::coordinator::journal {
namespace {

using search::PolicyKind;

/// Runs a whole campaign of random answers and keeps it as an export has it.
class Exporter {
 public:
  explicit Exporter(PolicyKind policy) : settings_(make_settings(policy)), search_(settings_) {
    send(search::Started{"seed", 10});
    while (search_.phase() != search::Phase::ended) step();
    auto& record = archive_.record;
    record.best_variant = search_.best()->variant.value;
    record.best_score = search_.best()->score;
    record.seed_score = search_.seed_score();
    record.noise_deviation = search_.noise_deviation();
    record.last_sequence = static_cast<std::int64_t>(archive_.events.size());
    record.consumption.evaluations = search_.consumption().evaluations;
    record.consumption.final_evaluations = search_.consumption().final_evaluations;
    record.consumption.duplicates = search_.consumption().duplicates;
  }

  const CampaignArchive& archive() const { return archive_; }

 private:
  static search::Settings make_settings(PolicyKind policy) {
    auto settings = search::settings_of(policy);
    settings.operators = {{search::Operator::diff, 0.5},
                          {search::Operator::crossover, 0.2},
                          {search::Operator::tune, 0.5}};
    if (search::may_repair(policy)) settings.operators.push_back({search::Operator::repair, 0.5});
    settings.learns_shares = true;
    settings.evaluations_parallel = 4;
    settings.proposals_parallel = 2;
    settings.budget.evaluations = 50;
    settings.noise_repeats = 3;
    settings.reset_interval = 10;
    settings.climb_from = 0.5;
    settings.confirm_sigma = 1;
    return settings;
  }

  void log(const std::string& type, const Json& payload) {
    archive_.events.push_back({.sequence = static_cast<std::int64_t>(archive_.events.size()) + 1,
                               .time = {},
                               .type = type,
                               .variant = {},
                               .message = "it happened",
                               .json = payload.dump()});
  }

  void send(const search::Event& event) {
    Json payload = to_json(event);
    if (archive_.events.empty()) payload["settings"] = to_json(settings_);
    if (std::holds_alternative<search::ProposalFinished>(event)) {
      payload.update({{"outcome", "success"}, {"rejections", Json::array()}, {"agent", "a"}});
    }
    log(type_of(event), payload);
    for (const auto& command : search_.handle(event)) {
      Json content = Json::object();
      if (const auto* added = std::get_if<search::AddVariant>(&command)) content = add(*added);
      std::visit([this](const auto& value) { note(value); }, command);
      if (auto derived = derived_of(command)) {
        derived->payload.update(content);
        log(derived->type, derived->payload);
      }
    }
    if (wanted_) {
      const auto variant = *std::exchange(wanted_, std::nullopt);
      send(search::ConstantsFound{variant, {{0.5, 0.1, 1, false}}});
    }
  }

  Json add(const search::AddVariant& added) {
    VariantRecord record;
    record.number = added.variant.value;
    for (const auto parent : added.parents) record.parents.push_back(parent.value);
    if (added.proposal) record.operation = added.operation;
    record.island = added.island;
    record.generation = added.generation;
    if (added.duplicate_of) record.duplicate_of = added.duplicate_of->value;
    record.files = {{"a.cpp", "sha " + std::to_string(record.number)}};
    record.rationale = "why " + std::to_string(record.number);
    archive_.variants.push_back(record);
    return {{"files", Json::array({{{"path", "a.cpp"}, {"sha256", record.files[0].sha256}}})},
            {"token_digest", "tokens " + std::to_string(record.number)},
            {"source_tokens", 10}};
  }

  VariantRecord& variant(search::VariantNumber number) {
    return archive_.variants.at(static_cast<std::size_t>(number.value));
  }

  void note(const search::SettleVariant& command) {
    auto& record = variant(command.variant);
    record.state = command.state;
    record.metrics = command.metrics;
    record.score = command.score;
    record.confirmation = command.confirmation;
    record.jump_score = command.jump_score;
    record.second_score = command.second_score;
  }
  void note(const search::RequestEvaluation& command) {
    owner_[command.evaluation.value] = command.variant;
    variant(command.variant)
        .evaluations.push_back({.number = command.evaluation.value,
                                .split = command.split,
                                .seed = command.seed,
                                .is_final = command.is_final,
                                .is_confirmation = command.jump.has_value(),
                                .result = {},
                                .agent = "w",
                                .finished_at = {}});
  }
  void note(const search::FindConstants& command) { wanted_ = command.variant; }
  void note(const search::SetPhase& command) {
    archive_.record.state = state_of(command);
    archive_.record.end_reason = command.reason;
    archive_.record.reason = command.explanation;
  }
  template <class Other>
  void note(const Other& /*command*/) {}

  void step() {
    const auto proposals = search_.open_proposals();
    if (!proposals.empty() && rng_.chance(0.6)) {
      return send(search::ProposalFinished{
          rng_.pick(proposals), {{"d" + std::to_string(rng_.below(60)), rng_.between(1, 80)}}, 7});
    }
    const auto evaluations = search_.open_evaluations();
    if (evaluations.empty()) return;
    search::EvaluationFinished finished;
    finished.evaluation = rng_.pick(evaluations);
    finished.metrics = {{"accuracy", rng_.uniform()}, {"third", 1.0 / 3}};
    if (finished.evaluation.value != 1 && rng_.chance(0.2)) {
      finished.outcome = search::Outcome::crash;
      finished.metrics.clear();
    }
    for (auto& one : variant(owner_.at(finished.evaluation.value)).evaluations) {
      if (one.number != finished.evaluation.value) continue;
      one.result.emplace();
      one.result->outcome = finished.outcome;
      one.result->metrics = finished.metrics;
    }
    send(finished);
  }

  search::Settings settings_;
  search::Search search_;
  Rng rng_{5};
  CampaignArchive archive_;
  std::map<std::int64_t, search::VariantNumber> owner_;
  std::optional<search::VariantNumber> wanted_;
};

/// A variant with a result of its own.
VariantRecord& evaluated(CampaignArchive& archive) {
  for (auto& variant : archive.variants) {
    if (variant.number > 0 && variant.score) return variant;
  }
  throw std::runtime_error("no variant was evaluated");
}

EventRecord& last_of(CampaignArchive& archive, const std::string& type) {
  for (auto event = archive.events.rbegin(); event != archive.events.rend(); ++event) {
    if (event->type == type) return *event;
  }
  throw std::runtime_error("no event " + type);
}

void change(EventRecord& event, const std::string& field, const Json& value) {
  Json payload = Json::parse(event.json);
  payload[field] = value;
  event.json = payload.dump();
}

TEST_CASE("verify: a whole campaign comes through, with what only the search knew",
          "[unit][coordinator]") {
  for (const auto policy : {PolicyKind::random, PolicyKind::islands, PolicyKind::hill_climb}) {
    const Exporter exporter(policy);
    const auto imported = verify(exporter.archive());
    INFO((imported ? "" : imported.error().message));
    REQUIRE(imported);
    CHECK(imported->started.seed_token_digest == "seed");
    CHECK(imported->settings.policy == policy);
    REQUIRE(imported->variants.size() == exporter.archive().variants.size());
    CHECK_FALSE(imported->variants[0].proposal);
    CHECK(imported->variants[1].proposal);
    CHECK(imported->variants[1].token_digest == "tokens 1");
    CHECK(imported->variants[1].record.rationale == "why 1");
    REQUIRE_FALSE(imported->proposals.empty());
    std::int64_t made = 0;
    for (const auto& proposal : imported->proposals) {
      CHECK(proposal.request.proposal.value == ++made);
      CHECK(proposal.request.parents.size() ==
            (proposal.request.operation == search::Operator::crossover ? 2U : 1U));
    }
    CHECK(imported->proposals[0].outcome == ProposalOutcome::success);
  }
}

TEST_CASE("verify: refuses whatever does not fit the log", "[unit][coordinator]") {
  using Change = std::function<void(CampaignArchive&)>;
  const std::vector<std::pair<const char*, Change>> changes = {
      {"no events", [](auto& a) { a.events.clear(); }},
      {"cut log", [](auto& a) { a.events.pop_back(); }},
      {"gap", [](auto& a) { a.events.erase(a.events.begin() + 5); }},
      {"other sequence", [](auto& a) { a.events[7].sequence = 99; }},
      {"not JSON", [](auto& a) { a.events[3].json = "{"; }},
      {"unknown word", [](auto& a) { change(last_of(a, "evaluation_finished"), "outcome", "x"); }},
      {"wrong kind", [](auto& a) { change(last_of(a, "variant_added"), "files", 7); }},
      {"no content", [](auto& a) { change(last_of(a, "variant_added"), "files", nullptr); }},
      {"other best", [](auto& a) { change(last_of(a, "best_changed"), "score", 2); }},
      {"other files", [](auto& a) { evaluated(a).files[0].sha256 = "other"; }},
      {"other parents", [](auto& a) { evaluated(a).parents = {7}; }},
      {"other score", [](auto& a) { evaluated(a).score = 2; }},
      {"other metrics", [](auto& a) { evaluated(a).metrics["accuracy"] = 2; }},
      {"other operator", [](auto& a) { evaluated(a).operation = search::Operator::rewrite; }},
      {"other generation", [](auto& a) { ++evaluated(a).generation; }},
      {"other number", [](auto& a) { std::swap(a.variants[1], a.variants[2]); }},
      {"variant too few", [](auto& a) { a.variants.pop_back(); }},
      {"variant too many", [](auto& a) { a.variants.push_back(a.variants[1]); }},
      {"other result",
       [](auto& a) { evaluated(a).evaluations[0].result->metrics["accuracy"] = 2; }},
      {"other outcome",
       [](auto& a) { evaluated(a).evaluations[0].result->outcome = search::Outcome::timeout; }},
      {"no result", [](auto& a) { evaluated(a).evaluations[0].result.reset(); }},
      {"other seed", [](auto& a) { ++evaluated(a).evaluations[0].seed; }},
      {"other split", [](auto& a) { evaluated(a).evaluations[0].split = search::Split::sealed; }},
      {"final", [](auto& a) { evaluated(a).evaluations[0].is_final = true; }},
      {"evaluation too few", [](auto& a) { evaluated(a).evaluations.pop_back(); }},
      {"evaluation twice",
       [](auto& a) {
         auto& list = evaluated(a).evaluations;
         list.push_back(list[0]);
       }},
      {"other state", [](auto& a) { a.record.state = CampaignState::stopped; }},
      {"other reason", [](auto& a) { a.record.end_reason = search::EndReason::target; }},
      {"other winner", [](auto& a) { a.record.best_variant = 0; }},
      {"no winner", [](auto& a) { a.record.best_variant.reset(); }},
      {"other seed score", [](auto& a) { a.record.seed_score = 2; }},
      {"other noise", [](auto& a) { a.record.noise_deviation = 2; }},
      {"other count", [](auto& a) { ++a.record.consumption.evaluations; }},
      {"other end", [](auto& a) { ++a.record.last_sequence; }},
  };
  const Exporter exporter(PolicyKind::islands);
  for (const auto& [what, apply] : changes) {
    CAPTURE(what);
    auto archive = exporter.archive();
    apply(archive);
    const auto imported = verify(archive);
    REQUIRE_FALSE(imported);
    CHECK(imported.error().code == Errc::invalid_argument);
  }
}

TEST_CASE("verify: metrics that did not fit into a message are the log's", "[unit][coordinator]") {
  auto archive = Exporter(PolicyKind::random).archive();
  auto& variant = evaluated(archive);
  const auto metrics = variant.evaluations[0].result->metrics;
  variant.evaluations[0].result->metrics.clear();
  const auto imported = verify(archive);
  REQUIRE(imported);
  const auto& record = imported->variants[static_cast<std::size_t>(variant.number)].record;
  CHECK(record.evaluations[0].result->metrics == metrics);
}

}  // namespace
}  // namespace cambrian::coordinator::journal
