#include "coordinator/adapters/postgres/driver_step.hpp"

#include <algorithm>
#include <deque>
#include <stdexcept>

#include "coordinator/adapters/postgres/result_reuse.hpp"
#include "coordinator/adapters/postgres/tuning.hpp"

namespace cambrian::coordinator::postgres {
namespace {

constexpr const char* kLock =
    "SELECT applied_sequence, last_sequence, state, definition, priority, end_reason, reason,"
    " task_digest, best_score"
    " FROM campaign WHERE id = $1 AND driver_epoch = $2 FOR NO KEY UPDATE";
// One statement for all commands of a kind: a step of many inputs costs as many round trips as one
// of a single input. The rows name their campaign, too: a key is then looked up for each of them,
// where the planner may read everything of a campaign that is given once.
constexpr const char* kInsertProposals =
    "INSERT INTO proposal (campaign_id, number, operator, parents, inspirations, failures, seed,"
    " variants, model, temperature) SELECT r.* FROM json_to_recordset($1::json) AS r"
    " (campaign bigint, number bigint, operator text, parents bigint[], inspirations bigint[],"
    " failures bigint[], seed numeric, variants integer, model text,"
    " temperature double precision)";
// Of a jump that is to be confirmed: those who evaluated the variant before, by name. What runs
// under one name may be one machine.
constexpr const char* kInsertItems =
    "INSERT INTO work_item (campaign_id, kind, number, priority, runtime, sandbox_level, gpus,"
    " model, attempt_budget_min_ms, other_than) SELECT r.campaign, r.kind, r.number, r.priority,"
    " r.runtime, r.sandbox_level, r.gpus, r.model, r.attempt_budget_min_ms,"
    " CASE WHEN r.confirms IS NOT NULL THEN ARRAY(SELECT DISTINCT e.agent_name FROM evaluation e"
    "  WHERE e.campaign_id = r.campaign AND e.variant = r.confirms AND e.agent_name <> ''"
    "  ORDER BY 1) END FROM json_to_recordset($1::json) AS r"
    " (campaign bigint, kind text, number bigint, priority integer, runtime text,"
    " sandbox_level integer, gpus integer, model text, attempt_budget_min_ms bigint,"
    " confirms bigint)";
constexpr const char* kFindProposed =
    "SELECT p.result_variants -> r.place, p.model FROM unnest($2::bigint[], $3::integer[])"
    " WITH ORDINALITY AS r (proposal, place, turn) CROSS JOIN LATERAL (SELECT * FROM proposal"
    " WHERE campaign_id = $1 AND number = r.proposal OFFSET 0) p ORDER BY r.turn";
constexpr const char* kInsertVariants =
    "INSERT INTO variant (campaign_id, number, parents, proposal, operator, model, island,"
    " generation, duplicate_of, files, token_digest, source_tokens, rationale, state)"
    " SELECT r.* FROM json_to_recordset($1::json) AS r (campaign bigint, number bigint,"
    " parents bigint[], proposal bigint, operator text, model text, island integer,"
    " generation integer, duplicate_of bigint, files jsonb, token_digest text,"
    " source_tokens bigint, rationale text, state text)";
constexpr const char* kSettleVariants =
    "UPDATE variant v SET state = r.state, outcome = r.outcome, metrics = r.metrics,"
    " score = r.score, confirmation = r.confirmation, jump_score = r.jump_score,"
    " second_score = r.second_score, settled_at = now()"
    " FROM json_to_recordset($1::json) AS r (campaign bigint, number bigint, state text,"
    " outcome text, metrics jsonb, score double precision, confirmation text,"
    " jump_score double precision, second_score double precision)"
    " WHERE v.campaign_id = r.campaign AND v.number = r.number";
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
    " noise_deviation = coalesce($12, noise_deviation), evaluations = evaluations + $13,"
    " evaluations_reused = evaluations_reused + $13,"
    " evaluations_failed = evaluations_failed + $14 WHERE id = $1";

// Where a step has found a new best variant: seldom. What the model said of each is kept with it.
constexpr const char* kNoteGains =
    "UPDATE campaign SET gains = (SELECT jsonb_agg(late.gain ORDER BY late.place) FROM"
    "  (SELECT one.gain, one.place FROM jsonb_array_elements(gains || (SELECT jsonb_agg(n.gain"
    "    || jsonb_build_object('change', coalesce((SELECT left(v.rationale, 400) FROM variant v"
    "    WHERE v.campaign_id = $1 AND v.number = (n.gain ->> 'variant')::bigint), ''))"
    "    ORDER BY n.place) FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY AS n (gain, "
    "place)))"
    "   WITH ORDINALITY AS one (gain, place) ORDER BY one.place DESC LIMIT 5) late) WHERE id = $1";

template <class Id>
Json id_list(const std::vector<Id>& ids) {
  Json list = Json::array();
  for (const auto& id : ids) list.push_back(id.value);
  return list;
}

/// The answer of a model that a new variant is.
struct Proposed {
  ProposedVariant content;
  std::string model;
};

/// What the step's new variants are, in the order of their commands; the seed is not among them.
std::deque<Proposed> find_proposed(pqxx::work& transaction, CampaignId campaign,
                                   const std::vector<search::Command>& commands) {
  std::vector<std::int64_t> proposals;
  std::vector<std::int64_t> places;
  for (const auto& command : commands) {
    const auto* added = std::get_if<search::AddVariant>(&command);
    if (added == nullptr || !added->proposal) continue;
    proposals.push_back(added->proposal->value);
    places.push_back(static_cast<std::int64_t>(added->index));
  }
  std::deque<Proposed> found;
  if (proposals.empty()) return found;
  for (const auto& row :
       execute(transaction, kFindProposed,
               pqxx::params{campaign.value, number_array(proposals), number_array(places)})) {
    auto content = proposed_from_json(Json::array({json_of(row[0])})).front();
    found.push_back({std::move(content), row[1].as<std::string>()});
  }
  if (found.size() != proposals.size()) {
    throw std::logic_error("a variant without a proposal: found=" + std::to_string(found.size()) +
                           " of=" + std::to_string(proposals.size()));
  }
  return found;
}

/// One step in progress. Takes what the commands say, each kind by an overload, and writes it at
/// the end, in as few statements as there are kinds.
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
    best_score_ = optional_of<double>(row[8]);
    state_.state = known_word<CampaignState>(row[2].view());
  }

  void take(const std::vector<search::Command>& commands) {
    proposed_ = find_proposed(transaction_, campaign_, commands);
    for (const auto& command : commands) std::visit(*this, command);
  }

  void operator()(const search::RequestProposal& command) {
    proposals_.push_back({{"campaign", campaign_.value},
                          {"number", command.proposal.value},
                          {"operator", word(command.operation)},
                          {"parents", id_list(command.parents)},
                          {"inspirations", id_list(command.inspirations)},
                          {"failures", id_list(command.failures)},
                          {"seed", command.seed},
                          {"variants", command.variants},
                          {"model", command.model},
                          {"temperature", journal::optional_json(command.temperature)}});
    if (command.operation == search::Operator::tune) {
      tuned_.push_back(command);
      return;
    }
    items_.push_back({{"campaign", campaign_.value},
                      {"kind", "proposal"},
                      {"number", command.proposal.value},
                      {"priority", priority_},
                      {"runtime", ""},
                      {"sandbox_level", 0},
                      {"gpus", 0},
                      {"model", command.model},
                      {"attempt_budget_min_ms", 0},
                      {"confirms", nullptr}});
    ++state_.proposals_added;
  }

  void operator()(const search::FindConstants& command) { untold_.push_back(command); }

  void operator()(const search::RequestEvaluation& command) {
    const bool is_reusing = definition_.reuses_results && !command.is_final && !command.jump;
    evaluations_.push_back({command, is_reusing});
    if (is_reusing) {
      reusable_.push_back(command);
    } else {
      add_item(command);
    }
    if (command.jump) append_jump(command);
  }

  void operator()(const search::AddVariant& command) {
    Proposed added{.content = {.files = definition_.seed_files,
                               .token_digest = definition_.started.seed_token_digest,
                               .source_tokens = definition_.started.seed_source_tokens,
                               .rationale = ""},
                   .model = ""};
    Json proposal;
    Json operation;
    if (command.proposal) {
      proposal = command.proposal->value;
      operation = word(command.operation);
      added = std::move(proposed_.front());
      proposed_.pop_front();
    }
    Json duplicate_of;
    if (command.duplicate_of) {
      duplicate_of = command.duplicate_of->value;
      ++duplicates_;
    }
    const auto& content = added.content;
    variants_.push_back({{"campaign", campaign_.value},
                         {"number", command.variant.value},
                         {"parents", id_list(command.parents)},
                         {"proposal", std::move(proposal)},
                         {"operator", std::move(operation)},
                         {"model", added.model},
                         {"island", journal::optional_json(command.island)},
                         {"generation", command.generation},
                         {"duplicate_of", std::move(duplicate_of)},
                         {"files", to_json(content.files)},
                         {"token_digest", content.token_digest},
                         {"source_tokens", content.source_tokens},
                         {"rationale", content.rationale},
                         {"state", command.duplicate_of ? "duplicate" : "pending"}});
    append_added(command, content);
  }

  void operator()(const search::SettleVariant& command) {
    Json outcome;
    if (command.state != search::VariantState::duplicate) outcome = word(command.outcome);
    Json confirmation;
    if (command.jump_score) confirmation = word(command.confirmation);
    settled_.push_back({{"campaign", campaign_.value},
                        {"number", command.variant.value},
                        {"state", word(command.state)},
                        {"outcome", std::move(outcome)},
                        {"metrics", command.metrics},
                        {"score", journal::optional_json(command.score)},
                        {"confirmation", std::move(confirmation)},
                        {"jump_score", journal::optional_json(command.jump_score)},
                        {"second_score", journal::optional_json(command.second_score)}});
    if (command.variant.value == 0 && command.score) seed_score_ = command.score;
    const bool is_stopped = command.outcome == search::Outcome::stopped_early;
    auto message = "variant " + std::to_string(command.variant.value) + " " +
                   (is_stopped ? "stopped early" : word(command.state));
    if (command.score) message += ": score " + short_number(*command.score);
    if (command.state == search::VariantState::failed && !is_stopped) {
      message += ": " + word(command.outcome);
    }
    if (command.jump_score) {
      message +=
          ", a jump to " + short_number(*command.jump_score) + " is " + word(command.confirmation);
      if (command.second_score) message += " by " + short_number(*command.second_score);
    }
    append(command, command.variant.value, std::move(message));
  }

  void operator()(const search::SetBest& command) {
    best_ = command;
    // With constraints the best may be worse by its score: it keeps them, the one before does not.
    const bool is_maximized =
        definition_.settings.objectives.front().goal == search::Goal::maximize;
    if (best_score_ && command.score != *best_score_ &&
        (command.score > *best_score_) == is_maximized) {
      gains_.push_back(
          {{"variant", command.variant.value}, {"before", *best_score_}, {"after", command.score}});
    }
    best_score_ = command.score;
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
    for (const auto& proposal : command.proposals) cancelled_proposals_.push_back(proposal.value);
  }

  void operator()(const search::CancelEvaluations& command) {
    std::erase_if(reusable_, [&command](const search::RequestEvaluation& request) {
      return std::ranges::find(command.evaluations, request.evaluation) !=
             command.evaluations.end();
    });
    for (const auto& one : command.evaluations) cancelled_evaluations_.push_back(one.value);
  }

  void operator()(const search::SetPhase& command) {
    state_.state = journal::state_of(command);
    if (command.phase != search::Phase::paused) {
      end_reason_ = command.reason;
      reason_ = command.explanation;
    }
    if (has_ended(state_.state)) {
      untold_.clear();
      tuned_.clear();
      reusable_.clear();
    }
    auto message = "campaign is " + word(state_.state);
    if (!command.explanation.empty()) message += ": " + command.explanation;
    append(command, std::nullopt, std::move(message));
  }

  StepState store(std::int64_t applied) {
    write(kInsertProposals, proposals_);
    write(kInsertVariants, variants_);
    insert_evaluations(transaction_, campaign_, definition_, evaluations_);
    write(kSettleVariants, settled_);
    answer_here();
    write(kInsertItems, items_);
    cancel(WorkKind::evaluation, cancelled_evaluations_);
    cancel(WorkKind::proposal, cancelled_proposals_);
    if (has_ended(state_.state)) cancel_rest();
    insert_events(transaction_, events_);
    std::optional<std::int64_t> best_variant;
    std::optional<double> best_score;
    if (best_) {
      best_variant = best_->variant.value;
      best_score = best_->score;
    }
    execute(transaction_, kStoreStep,
            pqxx::params{campaign_.value, applied, last_sequence_, word(state_.state),
                         word(end_reason_), reason_, has_ended(state_.state), best_variant,
                         best_score, seed_score_, duplicates_, noise_deviation_,
                         state_.evaluations_reused, reused_failures_});
    if (!gains_.empty()) {
      execute(transaction_, kNoteGains, pqxx::params{campaign_.value, gains_.dump()});
    }
    return state_;
  }

 private:
  void write(const char* sql, const Json& rows) {
    if (!rows.empty()) execute(transaction_, sql, pqxx::params{rows.dump()});
  }

  /// What the coordinator answers itself comes behind everything that the step says.
  void answer_here() {
    for (const auto& command : untold_) {
      append(find_constants(transaction_, campaign_, definition_, command));
    }
    for (const auto& command : tuned_) {
      append(make_tuned(transaction_, campaign_, definition_, command));
    }
    auto reused = reuse_results(transaction_, campaign_, definition_.task_digest, reusable_);
    for (const auto& command : reusable_) {
      const auto found = reused.find(command.evaluation);
      if (found == reused.end()) {
        add_item(command);
        continue;
      }
      append(std::move(found->second.event));
      ++state_.evaluations_reused;
      reused_failures_ += found->second.has_failed ? 1 : 0;
    }
  }

  void add_item(const search::RequestEvaluation& command) {
    Json confirms;
    if (command.jump) confirms = command.variant.value;
    items_.push_back({{"campaign", campaign_.value},
                      {"kind", "evaluation"},
                      {"number", command.evaluation.value},
                      {"priority", priority_},
                      {"runtime", definition_.runtime},
                      {"sandbox_level", definition_.sandbox_level},
                      {"gpus", definition_.gpus},
                      {"model", ""},
                      {"attempt_budget_min_ms", definition_.attempt_budget_min.count()},
                      {"confirms", std::move(confirms)}});
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
    append({.type = std::move(derived->type),
            .is_input = false,
            .variant = variant,
            .message = std::move(message),
            .payload = std::move(derived->payload)});
  }

  void append(StoredEvent event) {
    events_.push_back({campaign_, ++last_sequence_, std::move(event)});
  }

  void append_added(const search::AddVariant& command, const ProposedVariant& content) {
    auto message = "variant " + std::to_string(command.variant.value);
    message += command.proposal
                   ? " by " + word(command.operation) + " of " + id_list(command.parents).dump()
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
  void cancel(WorkKind kind, const std::vector<std::int64_t>& numbers) {
    if (numbers.empty()) return;
    const pqxx::params parameters{campaign_.value, word(kind), number_array(numbers)};
    execute(transaction_, kCancelItems, parameters);
    const auto ended = execute(transaction_, kCancelAttempts, parameters).affected_rows();
    state_.cancelled.insert(state_.cancelled.end(), static_cast<std::size_t>(ended),
                            EndedAttempt{kind, "cancelled"});
  }

  /// An ended campaign has no open work, whatever the search forgot.
  void cancel_rest() {
    std::vector<std::int64_t> evaluations;
    std::vector<std::int64_t> proposals;
    for (const auto& row : execute(transaction_, kOpenItems, pqxx::params{campaign_.value})) {
      (row[0].view() == "evaluation" ? evaluations : proposals)
          .push_back(row[1].as<std::int64_t>());
    }
    cancel(WorkKind::evaluation, evaluations);
    cancel(WorkKind::proposal, proposals);
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
  std::optional<double> best_score_;  // Before the next command.
  Json gains_ = Json::array();
  std::optional<double> seed_score_;
  std::optional<double> noise_deviation_;
  std::int64_t duplicates_ = 0;
  int reused_failures_ = 0;
  std::deque<Proposed> proposed_;  // Of the variants that are to come.
  // Rows of the tables, as they are to be written.
  Json proposals_ = Json::array();
  Json variants_ = Json::array();
  Json settled_ = Json::array();
  Json items_ = Json::array();
  std::vector<NewEvaluation> evaluations_;
  std::vector<LoggedEvent> events_;
  std::vector<std::int64_t> cancelled_evaluations_;
  std::vector<std::int64_t> cancelled_proposals_;
  /// What the coordinator answers itself: at the end, when all that the step says is known.
  std::vector<search::FindConstants> untold_;
  std::vector<search::RequestProposal> tuned_;
  /// Looked for at the end: what the step cancels itself is not.
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
  run.take(step.commands);
  return run.store(step.applied_after);
}

}  // namespace cambrian::coordinator::postgres
