#include "coordinator/journal/import.hpp"

#include <map>
#include <tuple>
#include <utility>

#include "coordinator/journal/replay.hpp"
#include "coordinator/ports/words.hpp"
#include "coordinator/search/search.hpp"

namespace cambrian::coordinator::journal {
namespace {

Error misfit(const std::string& what) {
  return {Errc::invalid_argument, "the export does not verify: " + what};
}

Error misfit(const std::string& what, std::int64_t number) {
  return misfit(what + std::to_string(number));
}

/// Compares an archive with what its log says, step by step.
class Verifier {
 public:
  explicit Verifier(const CampaignArchive& archive) : archive_(archive) {}

  Result<Imported> run() {
    CAMBRIAN_TRY_STATUS(prove_log());
    CAMBRIAN_TRY_STATUS(repeat_search());
    CAMBRIAN_TRY_STATUS(check_variants());
    CAMBRIAN_TRY_STATUS(check_evaluations());
    CAMBRIAN_TRY_STATUS(check_end());
    fill_proposals();
    return std::move(imported_);
  }

 private:
  /// What the log says of a variant's content.
  struct Content {
    std::vector<SourceFile> files;
    std::string token_digest;
    std::int64_t source_tokens = 0;
  };

  Status prove_log() const {
    Replay replay;
    for (const auto& event : archive_.events) {
      CAMBRIAN_TRY_STATUS(replay.take(event.sequence, event.type, event.json));
    }
    replay.finish();
    if (!replay.has_ended()) {
      return fail(misfit("the campaign had not ended when it was exported"));
    }
    if (const auto& difference = replay.difference()) {
      return fail(misfit("the search repeats another event, recorded: " + difference->recorded +
                         " derived: " + difference->derived));
    }
    return {};
  }

  /// What the search requested, which the log does not hold, and what the log holds besides.
  Status repeat_search() {
    for (const auto& event : archive_.events) {
      const Json payload = Json::parse(event.json);
      if (event.type == "campaign_created") begin(payload);
      if (event.type == "variant_added") add_content(payload);
      if (event.type == "proposal_finished") proposals_[payload.at("proposal")] = payload;
      if (!is_input(event.type)) continue;
      const auto input = event_from_json(event.type, payload);
      if (const auto* finished = std::get_if<search::EvaluationFinished>(&input)) {
        results_[finished->evaluation.value] = *finished;
      }
      for (const auto& command : search_->handle(input)) {
        std::visit([this](const auto& value) { note(value); }, command);
      }
    }
    return {};
  }

  void begin(const Json& created) {
    imported_.settings = settings_from_json(created.at("settings"));
    imported_.started = {.seed_token_digest = created.at("seed_token_digest"),
                         .seed_source_tokens = created.at("seed_source_tokens")};
    search_.emplace(imported_.settings);
  }

  void add_content(const Json& payload) {
    Content content{.files = {},
                    .token_digest = payload.at("token_digest"),
                    .source_tokens = payload.at("source_tokens")};
    for (const auto& file : payload.at("files")) {
      content.files.push_back({.path = file.at("path"), .sha256 = file.at("sha256")});
    }
    contents_[payload.at("variant")] = std::move(content);
  }

  void note(const search::RequestProposal& command) {
    imported_.proposals.push_back(
        {.request = command, .outcome = {}, .variants = {}, .rejections = {}, .agent = {}});
  }
  void note(const search::RequestEvaluation& command) {
    requests_[command.evaluation.value] = command;
  }
  void note(const search::AddVariant& command) { added_.push_back(command); }
  void note(const search::SettleVariant& command) { settled_[command.variant.value] = command; }
  void note(const search::SetPhase& command) { phase_ = command; }
  template <class Other>
  void note(const Other& /*command*/) {}

  Status check_variants() {
    if (archive_.variants.size() != added_.size()) {
      return fail(misfit("variants by the log: ", static_cast<std::int64_t>(added_.size())));
    }
    for (std::size_t i = 0; i < added_.size(); ++i) {
      CAMBRIAN_TRY_STATUS(check_variant(added_[i], archive_.variants[i]));
    }
    return {};
  }

  Status check_variant(const search::AddVariant& added, const VariantRecord& told) {
    const std::int64_t number = added.variant.value;
    ImportedVariant variant{.record = told, .proposal = {}, .token_digest = {}};
    VariantRecord& record = variant.record;
    const Content& content = contents_.at(number);
    record.number = number;
    record.files = content.files;
    record.parents.clear();
    for (const auto parent : added.parents) record.parents.push_back(parent.value);
    record.operation.reset();
    if (added.proposal) {
      record.operation = added.operation;
      variant.proposal = added.proposal->value;
    }
    record.island = added.island;
    record.generation = added.generation;
    record.duplicate_of.reset();
    if (added.duplicate_of) record.duplicate_of = added.duplicate_of->value;
    settle(record);
    variant.token_digest = content.token_digest;
    variant.source_tokens = content.source_tokens;
    const auto key = [](const VariantRecord& one) {
      return std::tie(one.number, one.files, one.parents, one.operation, one.island, one.generation,
                      one.duplicate_of, one.state, one.metrics, one.score, one.confirmation,
                      one.jump_score, one.second_score);
    };
    if (key(record) != key(told)) return fail(misfit("the log knows another variant ", number));
    imported_.variants.push_back(std::move(variant));
    return {};
  }

  void settle(VariantRecord& record) const {
    const auto found = settled_.find(record.number);
    const bool is_settled = found != settled_.end();
    record.state = is_settled ? found->second.state : search::VariantState::pending;
    record.metrics = is_settled ? found->second.metrics : std::map<std::string, double>();
    record.score = is_settled ? found->second.score : std::nullopt;
    record.confirmation = is_settled ? found->second.confirmation : search::Confirmation::none;
    record.jump_score = is_settled ? found->second.jump_score : std::nullopt;
    record.second_score = is_settled ? found->second.second_score : std::nullopt;
    record.outcome.reset();
    if (is_settled && record.state != search::VariantState::duplicate) {
      record.outcome = found->second.outcome;
    }
  }

  Status check_evaluations() {
    for (auto& variant : imported_.variants) {
      for (auto& evaluation : variant.record.evaluations) {
        CAMBRIAN_TRY_STATUS(check_evaluation(variant.record.number, evaluation));
        requests_.erase(evaluation.number);
      }
    }
    if (requests_.empty()) return {};
    return fail(misfit("there is no evaluation ", requests_.begin()->first));
  }

  Status check_evaluation(std::int64_t variant, EvaluationRecord& told) const {
    const auto request = requests_.find(told.number);
    if (request == requests_.end() || request->second.variant.value != variant ||
        request->second.split != told.split || request->second.seed != told.seed ||
        request->second.is_final != told.is_final ||
        request->second.jump.has_value() != told.is_confirmation) {
      return fail(misfit("the search requested no such evaluation: ", told.number));
    }
    const auto result = results_.find(told.number);
    const bool has_result = result != results_.end();
    if (has_result != told.result.has_value()) {
      return fail(misfit("the log knows another end of evaluation ", told.number));
    }
    if (!has_result) return {};
    // The latest of very many evaluations come without metrics: the log has them.
    const bool has_metrics = !told.result->metrics.empty();
    if (told.result->outcome != result->second.outcome ||
        (has_metrics && told.result->metrics != result->second.metrics)) {
      return fail(misfit("the log knows another result of evaluation ", told.number));
    }
    told.result->metrics = result->second.metrics;
    return {};
  }

  Status check_end() const {
    const auto& record = archive_.record;
    const auto& used = record.consumption;
    const auto best = search_->best();
    const bool has_best =
        best ? record.best_variant == best->variant.value && record.best_score == best->score
             : !record.best_variant && !record.best_score;
    if (record.state != state_of(phase_) || record.end_reason != phase_.reason ||
        record.reason != phase_.explanation) {
      return fail(misfit("the log knows another end of the campaign"));
    }
    if (!has_best || record.seed_score != search_->seed_score() ||
        record.noise_deviation != search_->noise_deviation()) {
      return fail(misfit("the log knows another best variant, or another noise"));
    }
    const auto& derived = search_->consumption();
    if (record.last_sequence != static_cast<std::int64_t>(archive_.events.size()) ||
        used.evaluations != derived.evaluations || used.duplicates != derived.duplicates ||
        used.final_evaluations != derived.final_evaluations) {
      return fail(misfit("the log knows other counts of what the campaign used"));
    }
    return {};
  }

  void fill_proposals() {
    for (auto& proposal : imported_.proposals) {
      const auto found = proposals_.find(proposal.request.proposal.value);
      if (found == proposals_.end()) continue;
      const Json& ended = found->second;
      proposal.outcome = parse_word<ProposalOutcome>(ended.at("outcome").get<std::string>());
      proposal.rejections = ended.at("rejections").get<std::vector<std::string>>();
      proposal.agent = ended.at("agent");
      proposal.request.model = ended.value("model", proposal.request.model);
    }
    for (const auto& variant : imported_.variants) {
      if (!variant.proposal) continue;
      imported_.proposals.at(static_cast<std::size_t>(*variant.proposal - 1))
          .variants.push_back({.files = variant.record.files,
                               .token_digest = variant.token_digest,
                               .source_tokens = variant.source_tokens,
                               .rationale = variant.record.rationale});
    }
  }

  const CampaignArchive& archive_;
  Imported imported_;
  std::optional<search::Search> search_;
  search::SetPhase phase_;
  std::vector<search::AddVariant> added_;
  std::map<std::int64_t, search::SettleVariant> settled_;
  std::map<std::int64_t, search::RequestEvaluation> requests_;
  std::map<std::int64_t, search::EvaluationFinished> results_;
  std::map<std::int64_t, Content> contents_;
  std::map<std::int64_t, Json> proposals_;
};

}  // namespace

Result<Imported> verify(const CampaignArchive& archive) {
  try {
    return Verifier(archive).run();
  } catch (const std::exception& error) {
    return fail(misfit(std::string("the log cannot be read: ") + error.what()));
  }
}

}  // namespace cambrian::coordinator::journal
