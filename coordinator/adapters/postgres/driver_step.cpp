#include "coordinator/adapters/postgres/driver_step.hpp"

#include <algorithm>

#include "coordinator/adapters/postgres/result_reuse.hpp"
#include "coordinator/adapters/postgres/tuning.hpp"

namespace cambrian::coordinator::postgres {
namespace {

constexpr const char* kLock =
    "SELECT applied_sequence, last_sequence, state, definition, priority, end_reason, reason,"
    " task_digest"
    " FROM campaign WHERE id = $1 AND driver_epoch = $2 FOR NO KEY UPDATE";
constexpr const char* kInsertProposal =
    "INSERT INTO proposal (campaign_id, number, operator, parents, inspirations, failures, seed,"
    " variants, model, temperature) VALUES ($1, $2, $3, $4::bigint[], $5::bigint[], $6::bigint[],"
    " $7::numeric, $8, $9, $10)";
constexpr const char* kInsertItem =
    "INSERT INTO work_item (campaign_id, kind, number, priority, runtime, sandbox_level, gpus,"
    " model, attempt_budget_min_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
// Those who evaluated the variant before, by name: what runs under one name may be one machine.
constexpr const char* kInsertConfirmation =
    "INSERT INTO work_item (campaign_id, kind, number, priority, runtime, sandbox_level, gpus,"
    " model, attempt_budget_min_ms, other_than) SELECT $1::bigint, $2::text, $3::bigint,"
    " $4::integer, $5::text, $6::integer, $7::integer, $8::text, $9::bigint,"
    " ARRAY(SELECT DISTINCT e.agent_name FROM evaluation e WHERE e.campaign_id = $1::bigint"
    "  AND e.variant = $10::bigint AND e.agent_name <> '' ORDER BY 1)";
constexpr const char* kFindProposed =
    "SELECT p.result_variants -> $3::integer, p.model FROM proposal p"
    " WHERE p.campaign_id = $1 AND p.number = $2";
constexpr const char* kInsertVariant =
    "INSERT INTO variant (campaign_id, number, parents, proposal, operator, model, island,"
    " generation, duplicate_of, files, token_digest, source_tokens, rationale, state)"
    " VALUES ($1, $2, $3::bigint[], $4, $5, $6, $7, $8, $9, $10::jsonb, $11, $12, $13, $14)";
constexpr const char* kSettleVariant =
    "UPDATE variant SET state = $3, outcome = $4, metrics = $5::jsonb, score = $6,"
    " confirmation = $7, jump_score = $8, second_score = $9, settled_at = now()"
    " WHERE campaign_id = $1 AND number = $2";
constexpr const char* kCancelItems =
    "UPDATE work_item SET state = 'cancelled' WHERE campaign_id = $1 AND kind = $2"
    " AND number = ANY($3::bigint[]) AND state IN ('ready', 'leased')";
// After the items: only then no agent can claim one of them and leave an attempt that nobody ends.
constexpr const char* kCancelAttempts =
    "UPDATE attempt a SET ended_at = now(), outcome = 'cancelled' FROM work_item w"
    " WHERE w.campaign_id = $1 AND w.kind = $2 AND w.number = ANY($3::bigint[])"
    " AND w.state = 'cancelled' AND a.item_id = w.id AND a.epoch = w.epoch AND a.ended_at IS NULL";
constexpr const char* kOpenItems =
    "SELECT kind, number FROM work_item WHERE campaign_id = $1 AND state IN ('ready', 'leased')";
constexpr const char* kStoreStep =
    "UPDATE campaign SET applied_sequence = $2, last_sequence = $3,"
    " running_ms = running_ms + CASE WHEN state = 'running' THEN"
    "  least(extract(epoch FROM now() - coalesce(accrued_at, now())) * 1000, 4000)::bigint"
    "  ELSE 0 END, accrued_at = now(),"
    " state = $4, end_reason = $5, reason = $6,"
    " ended_at = CASE WHEN $7 THEN now() ELSE ended_at END,"
    " driver_id = CASE WHEN $7 THEN NULL ELSE driver_id END,"
    " best_variant = coalesce($8, best_variant), best_score = coalesce($9, best_score),"
    " seed_score = coalesce($10, seed_score), duplicates = duplicates + $11,"
    " noise_deviation = coalesce($12, noise_deviation) WHERE id = $1";

/// One step in progress. Each overload carries out one kind of command.
class Step {
 public:
  Step(pqxx::work& transaction, CampaignId campaign, const pqxx::row& row)
      : transaction_(transaction),
        campaign_(campaign),
        last_sequence_(row[1].as<std::int64_t>()),
        definition_(definition_from_json(json_of(row[3]))),
        priority_(row[4].as<int>()),
        end_reason_(known_word<search::EndReason>(row[5].view())),
        reason_(row[6].as<std::string>()) {
    definition_.task_digest = row[7].as<std::string>();
    state_.state = known_word<CampaignState>(row[2].view());
  }

  void operator()(const search::RequestProposal& command) {
    std::optional<double> temperature = command.temperature;
    execute(transaction_, kInsertProposal,
            pqxx::params{campaign_.value, command.proposal.value, word(command.operation),
                         id_array(command.parents), id_array(command.inspirations),
                         id_array(command.failures), std::to_string(command.seed), command.variants,
                         command.model, temperature});
    if (command.operation == search::Operator::tune) {
      tuned_.push_back(command);
      return;
    }
    execute(transaction_, kInsertItem,
            pqxx::params{campaign_.value, "proposal", command.proposal.value, priority_, "", 0, 0,
                         command.model, 0});
    ++state_.proposals_added;
  }

  void operator()(const search::FindConstants& command) { untold_.push_back(command); }

  void operator()(const search::RequestEvaluation& command) {
    const EvaluationContent content{.task_digest = definition_.task_digest,
                                    .parameters = Json(definition_.parameters).dump(),
                                    .gpus = definition_.gpus};
    const bool is_reusing = definition_.reuses_results && !command.is_final && !command.jump;
    insert_evaluation(transaction_, campaign_, command, is_reusing ? &content : nullptr);
    if (is_reusing) {
      reusable_.push_back(command);
    } else {
      insert_item(command);
    }
    if (command.jump) append_jump(command);
  }

  void operator()(const search::AddVariant& command) {
    const bool is_seed = !command.proposal.has_value();
    ProposedVariant content;
    std::string model;
    std::optional<std::string> operation;
    std::optional<std::int64_t> proposal;
    if (is_seed) {
      content = {.files = definition_.seed_files,
                 .token_digest = definition_.started.seed_token_digest,
                 .source_tokens = definition_.started.seed_source_tokens,
                 .rationale = ""};
    } else {
      proposal = command.proposal->value;
      operation = word(command.operation);
      content = find_proposed(command, model);
    }
    std::optional<std::int64_t> duplicate_of;
    if (command.duplicate_of) duplicate_of = command.duplicate_of->value;
    if (duplicate_of) ++duplicates_;
    execute(
        transaction_, kInsertVariant,
        pqxx::params{campaign_.value, command.variant.value, id_array(command.parents), proposal,
                     operation, model, command.island, command.generation, duplicate_of,
                     to_json(content.files).dump(), content.token_digest, content.source_tokens,
                     content.rationale, duplicate_of ? "duplicate" : "pending"});
    append_added(command, content);
  }

  void operator()(const search::SettleVariant& command) {
    std::optional<std::string> outcome;
    if (command.state != search::VariantState::duplicate) outcome = word(command.outcome);
    std::optional<std::string> confirmation;
    if (command.jump_score) confirmation = word(command.confirmation);
    execute(transaction_, kSettleVariant,
            pqxx::params{campaign_.value, command.variant.value, word(command.state), outcome,
                         Json(command.metrics).dump(), command.score, confirmation,
                         command.jump_score, command.second_score});
    if (command.variant.value == 0 && command.score) seed_score_ = command.score;
    const bool is_stopped = command.outcome == search::Outcome::stopped_early;
    auto message = "variant " + std::to_string(command.variant.value) + " " +
                   (is_stopped ? "stopped early" : word(command.state));
    if (command.score) message += ": score " + short_number(*command.score);
    if (command.state == search::VariantState::failed && !is_stopped) message += ": " + *outcome;
    if (confirmation) {
      message += ", a jump to " + short_number(*command.jump_score) + " is " + *confirmation;
      if (command.second_score) message += " by " + short_number(*command.second_score);
    }
    append(command, command.variant.value, std::move(message));
  }

  void operator()(const search::SetBest& command) {
    best_ = command;
    append(command, command.variant.value,
           "variant " + std::to_string(command.variant.value) + " is the best: score " +
               short_number(command.score));
  }

  void operator()(const search::SetNoise& command) {
    noise_deviation_ = command.deviation;
    append(command, std::nullopt,
           "the seed's score varies by " + short_number(command.deviation) + " over " +
               std::to_string(command.evaluations) + " evaluations");
  }

  void operator()(const search::CancelProposals& command) {
    std::erase_if(tuned_, [&command](const search::RequestProposal& request) {
      return std::ranges::find(command.proposals, request.proposal) != command.proposals.end();
    });
    cancel(WorkKind::proposal, id_array(command.proposals));
  }

  void operator()(const search::CancelEvaluations& command) {
    std::erase_if(reusable_, [&command](const search::RequestEvaluation& request) {
      return std::ranges::find(command.evaluations, request.evaluation) !=
             command.evaluations.end();
    });
    cancel(WorkKind::evaluation, id_array(command.evaluations));
  }

  void operator()(const search::SetPhase& command) {
    state_.state = journal::state_of(command);
    if (command.phase != search::Phase::paused) {
      end_reason_ = command.reason;
      reason_ = command.explanation;
    }
    if (has_ended(state_.state)) cancel_rest();
    auto message = "campaign is " + word(state_.state);
    if (!command.explanation.empty()) message += ": " + command.explanation;
    append(command, std::nullopt, std::move(message));
  }

  StepState store(std::int64_t applied) {
    for (const auto& command : untold_) {
      insert_event(transaction_, campaign_, ++last_sequence_,
                   find_constants(transaction_, campaign_, definition_, command));
    }
    for (const auto& command : tuned_) {
      insert_event(transaction_, campaign_, ++last_sequence_,
                   make_tuned(transaction_, campaign_, definition_, command));
    }
    for (const auto& command : reusable_) {
      if (const auto event =
              reuse_result(transaction_, campaign_, command, definition_.task_digest)) {
        insert_event(transaction_, campaign_, ++last_sequence_, *event);
        ++state_.evaluations_reused;
      } else {
        insert_item(command);
      }
    }
    std::optional<std::int64_t> best_variant;
    std::optional<double> best_score;
    if (best_) {
      best_variant = best_->variant.value;
      best_score = best_->score;
    }
    execute(transaction_, kStoreStep,
            pqxx::params{campaign_.value, applied, last_sequence_, word(state_.state),
                         word(end_reason_), reason_, has_ended(state_.state), best_variant,
                         best_score, seed_score_, duplicates_, noise_deviation_});
    return state_;
  }

 private:
  void insert_item(const search::RequestEvaluation& command) {
    pqxx::params parameters{campaign_.value,
                            "evaluation",
                            command.evaluation.value,
                            priority_,
                            definition_.runtime,
                            definition_.sandbox_level,
                            definition_.gpus,
                            "",
                            definition_.attempt_budget_min.count()};
    if (command.jump) parameters.append(command.variant.value);
    execute(transaction_, command.jump ? kInsertConfirmation : kInsertItem, parameters);
    ++state_.evaluations_added;
  }

  void append_jump(const search::RequestEvaluation& command) {
    const auto& jump = *command.jump;
    append(command, command.variant.value,
           "variant " + std::to_string(command.variant.value) + " jumps: score " +
               short_number(jump.score) + " against " + short_number(jump.best) +
               (jump.sigma > 0 ? ", where " + short_number(jump.sigma) + " is usual" : "") +
               "; another worker is to confirm it");
  }

  /// `content` is what the search does not know: it is added to what a replay derives.
  void append(const search::Command& command, std::optional<std::int64_t> variant,
              std::string message, const Json& content = Json::object()) {
    auto derived = journal::derived_of(command);
    derived->payload.update(content);
    insert_event(transaction_, campaign_, ++last_sequence_,
                 {.type = std::move(derived->type),
                  .is_input = false,
                  .variant = variant,
                  .message = std::move(message),
                  .payload = std::move(derived->payload)});
  }

  ProposedVariant find_proposed(const search::AddVariant& command, std::string& model) {
    const auto row = execute(transaction_, kFindProposed,
                             pqxx::params{campaign_.value, command.proposal->value,
                                          static_cast<int>(command.index)})
                         .one_row();
    model = row[1].as<std::string>();
    return proposed_from_json(Json::array({json_of(row[0])})).front();
  }

  void append_added(const search::AddVariant& command, const ProposedVariant& content) {
    Json parents = Json::array();
    for (const auto& parent : command.parents) parents.push_back(parent.value);
    auto message = "variant " + std::to_string(command.variant.value);
    message += command.proposal ? " by " + word(command.operation) + " of " + parents.dump()
                                : std::string(" is the seed");
    if (command.duplicate_of) {
      message += ", equal to " + std::to_string(command.duplicate_of->value);
    }
    append(command, command.variant.value, std::move(message),
           {{"source_tokens", content.source_tokens},
            {"token_digest", content.token_digest},
            {"files", to_json(content.files)}});
  }

  /// Withdraws items whether or not an agent works on them; that agent learns it at its next call.
  void cancel(WorkKind kind, const std::string& numbers) {
    const pqxx::params parameters{campaign_.value, word(kind), numbers};
    execute(transaction_, kCancelItems, parameters);
    const auto ended = execute(transaction_, kCancelAttempts, parameters).affected_rows();
    state_.cancelled.insert(state_.cancelled.end(), static_cast<std::size_t>(ended),
                            EndedAttempt{kind, "cancelled"});
  }

  /// An ended campaign has no open work, whatever the search forgot.
  void cancel_rest() {
    untold_.clear();
    tuned_.clear();
    reusable_.clear();
    std::vector<std::int64_t> evaluations;
    std::vector<std::int64_t> proposals;
    for (const auto& row : execute(transaction_, kOpenItems, pqxx::params{campaign_.value})) {
      (row[0].view() == "evaluation" ? evaluations : proposals)
          .push_back(row[1].as<std::int64_t>());
    }
    if (!evaluations.empty()) cancel(WorkKind::evaluation, number_array(evaluations));
    if (!proposals.empty()) cancel(WorkKind::proposal, number_array(proposals));
  }

  pqxx::work& transaction_;
  CampaignId campaign_;
  std::int64_t last_sequence_;
  CampaignDefinition definition_;
  int priority_;
  search::EndReason end_reason_;
  std::string reason_;
  StepState state_;
  std::optional<search::SetBest> best_;
  std::optional<double> seed_score_;
  std::optional<double> noise_deviation_;
  std::int64_t duplicates_ = 0;
  /// What the coordinator answers itself: at the end, when all that the step says is known.
  std::vector<search::FindConstants> untold_;
  std::vector<search::RequestProposal> tuned_;
  /// Looked for at the end: what the step cancels itself is not, and the results that are found
  /// come behind everything that the step says.
  std::vector<search::RequestEvaluation> reusable_;
};

}  // namespace

Error applied_differs(const pqxx::field& applied) {
  return {Errc::outcome_unknown,
          "the stored campaign is another one: applied_sequence=" + applied.as<std::string>()};
}

Result<StepState> carry_out(pqxx::work& transaction, const DriverStep& step) {
  const auto rows =
      execute(transaction, kLock, pqxx::params{step.lease.campaign.value, step.lease.epoch});
  if (rows.empty()) return fail(Errc::conflict, "another coordinator drives the campaign");
  if (rows[0][0].as<std::int64_t>() != step.applied_before) {
    return fail(applied_differs(rows[0][0]));
  }
  Step run(transaction, step.lease.campaign, rows[0]);
  for (const auto& command : step.commands) std::visit(run, command);
  return run.store(step.applied_after);
}

}  // namespace cambrian::coordinator::postgres
