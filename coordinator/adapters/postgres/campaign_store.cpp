#include "coordinator/adapters/postgres/campaign_store.hpp"

#include "coordinator/adapters/postgres/content_store.hpp"
#include "coordinator/adapters/postgres/events.hpp"

namespace cambrian::coordinator::postgres {
namespace {

// The columns of campaign_of; constant text put together at compile time, values only by params.
#define CAMPAIGN_COLUMNS                                                                    \
  "SELECT c.id, c.name, c.spec, c.state, c.end_reason, c.reason,"                           \
  " (extract(epoch FROM c.created_at) * 1000000)::bigint,"                                  \
  " (extract(epoch FROM c.ended_at) * 1000000)::bigint,"                                    \
  " c.evaluations, c.evaluations_failed, c.evaluations_reused, c.final_evaluations,"        \
  " c.proposals, c.proposals_failed,"                                                       \
  " c.duplicates, c.tokens, c.cost_micro_usd, c.gpu_time_ms, c.cpu_time_ms, c.running_ms,"  \
  " c.best_variant, c.best_score, c.seed_score,"                                            \
  " (SELECT count(*) FROM work_item w WHERE w.campaign_id = c.id AND w.kind = 'evaluation'" \
  "  AND w.state IN ('ready', 'leased')),"                                                  \
  " (SELECT count(*) FROM work_item w WHERE w.campaign_id = c.id AND w.kind = 'proposal'"   \
  "  AND w.state IN ('ready', 'leased')),"                                                  \
  " c.last_sequence, c.applied_sequence, c.task_name, c.objective_metric, c.is_maximized,"  \
  " c.definition -> 'settings' -> 'budget', c.noise_deviation, c.owner,"                    \
  " c.evaluations_stopped_early, c.time_saved_ms, c.hint"                                   \
  " FROM campaign c "

constexpr const char* kGetCampaign = CAMPAIGN_COLUMNS "WHERE c.name = $1 AND NOT c.is_deleting";
constexpr const char* kGetByRequest = CAMPAIGN_COLUMNS "WHERE c.request_id = $1";
constexpr const char* kListCampaigns = CAMPAIGN_COLUMNS
    "WHERE NOT c.is_deleting AND ($1 = 0 OR c.id < $1) ORDER BY c.id DESC LIMIT $2";
constexpr const char* kListActive = CAMPAIGN_COLUMNS
    "WHERE c.state IN ('running', 'paused', 'draining', 'finalizing') AND ($1 = 0 OR c.id < $1)"
    " ORDER BY c.id DESC LIMIT $2";
#undef CAMPAIGN_COLUMNS

// The lock lasts until the commit: two creations at once cannot both be the last that may.
constexpr const char* kLockOwner = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
constexpr const char* kCountActive =
    "SELECT count(*) FROM campaign WHERE owner = $1"
    " AND state IN ('running', 'paused', 'draining', 'finalizing')";
constexpr const char* kInsertCampaign =
    "INSERT INTO campaign (name, request_id, spec, definition, task_digest, task_name,"
    " objective_metric, is_maximized, priority, owner)"
    " VALUES ($1, nullif($2, ''), $3, $4::jsonb, $5, $6, $7, $8, $9, $10)"
    " ON CONFLICT DO NOTHING RETURNING id";
constexpr const char* kFinals =
    "SELECT variant, split, metrics FROM evaluation WHERE campaign_id = $1 AND is_final"
    " AND outcome = 'success' ORDER BY number";
constexpr const char* kJumps =
    "SELECT count(*) FILTER (WHERE confirmation = 'confirmed'),"
    " count(*) FILTER (WHERE confirmation = 'disputed'),"
    " count(*) FILTER (WHERE confirmation = 'unconfirmed')"
    " FROM variant WHERE campaign_id = $1 AND confirmation IS NOT NULL";
constexpr const char* kLockByName =
    "SELECT id, state, owner FROM campaign WHERE name = $1 AND NOT is_deleting FOR NO KEY UPDATE";
constexpr const char* kNoteRequest =
    "INSERT INTO campaign_request (campaign_id, request_id) VALUES ($1, $2)"
    " ON CONFLICT DO NOTHING RETURNING 1";
// Items that no agent has begun: none of them may begin any more. The statement waits for claims
// that hold a row, and claims that wait for a row find another version of it: so each item is
// either withdrawn here or leased for kBegun to see.
constexpr const char* kWithdraw =
    "UPDATE work_item SET state = 'cancelled' WHERE campaign_id = $1 AND state = 'ready'";
constexpr const char* kBegun =
    "SELECT number FROM work_item WHERE campaign_id = $1 AND kind = 'evaluation'"
    " AND state = 'leased' ORDER BY number";
constexpr const char* kNoteStop = "UPDATE campaign SET stop_sequence = $2 WHERE id = $1";
constexpr const char* kSetHint = "UPDATE campaign SET hint = $2 WHERE id = $1";
constexpr const char* kNoteDeletion =
    "INSERT INTO campaign_deletion (name, request_id) VALUES ($1, $2)"
    " ON CONFLICT DO NOTHING RETURNING 1";
// The request that made it may make it again.
constexpr const char* kMarkDeleting =
    "UPDATE campaign SET is_deleting = true, name = 'deleting:' || id, request_id = NULL"
    " WHERE id = $1";
constexpr const char* kFindForEvents =
    "SELECT id, state, last_sequence FROM campaign WHERE name = $1 AND NOT is_deleting";
constexpr const char* kReadEvents =
    "SELECT sequence, (extract(epoch FROM created_at) * 1000000)::bigint, type, variant, message,"
    " payload FROM event WHERE campaign_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3";
constexpr const char* kLastSequences =
    "SELECT id, last_sequence FROM campaign"
    " WHERE state IN ('running', 'paused', 'draining', 'finalizing')"
    " UNION ALL SELECT id, last_sequence FROM campaign"
    " WHERE ended_at > now() - interval '1 minute'";

Error no_campaign(const std::string& name) {
  return {Errc::not_found, "no such campaign: name=" + name};
}

CampaignRecord campaign_of(const pqxx::row& row) {
  const auto spec = row[2].as<pqxx::bytes>();
  CampaignRecord record;
  record.id = CampaignId{row[0].as<std::int64_t>()};
  record.name = row[1].as<std::string>();
  record.spec.assign(reinterpret_cast<const char*>(spec.data()), spec.size());
  record.state = known_word<CampaignState>(row[3].view());
  record.end_reason = known_word<search::EndReason>(row[4].view());
  record.reason = row[5].as<std::string>();
  record.created_at = instant_of(row[6]);
  record.ended_at = optional_instant_of(row[7]);
  std::int64_t* const counters[] = {
      &record.consumption.evaluations,        &record.consumption.evaluations_failed,
      &record.consumption.evaluations_reused, &record.consumption.final_evaluations,
      &record.consumption.proposals,          &record.consumption.proposals_failed,
      &record.consumption.duplicates,         &record.consumption.tokens,
      &record.consumption.cost_micro_usd,     &record.consumption.gpu_time_ms,
      &record.consumption.cpu_time_ms,        &record.consumption.running_ms};
  int column = 8;
  for (auto* counter : counters) *counter = row[column++].as<std::int64_t>();
  record.best_variant = optional_of<std::int64_t>(row[column++]);
  record.best_score = optional_of<double>(row[column++]);
  record.seed_score = optional_of<double>(row[column++]);
  record.evaluations_open = row[column++].as<std::int64_t>();
  record.proposals_open = row[column++].as<std::int64_t>();
  record.last_sequence = row[column++].as<std::int64_t>();
  record.applied_sequence = row[column++].as<std::int64_t>();
  record.task_name = row[column++].as<std::string>();
  record.objective_metric = row[column++].as<std::string>();
  record.is_maximized = row[column++].as<bool>();
  record.budget = budget_from_json(json_of(row[column++]));
  record.noise_deviation = optional_of<double>(row[column++]);
  record.owner = row[column++].as<std::string>();
  record.consumption.evaluations_stopped_early = row[column++].as<std::int64_t>();
  record.consumption.time_saved_ms = row[column++].as<std::int64_t>();
  record.hint = row[column++].as<std::string>();
  return record;
}

/// The final evaluations of seed and winner, where there are any.
void add_finals(pqxx::work& transaction, CampaignRecord& record) {
  std::map<std::int64_t, FinalScore> scores;
  for (const auto& row : transaction.exec(kFinals, pqxx::params{record.id.value})) {
    auto& score = scores[row[0].as<std::int64_t>()];
    score.variant = row[0].as<std::int64_t>();
    auto& samples = row[1].view() == "sealed" ? score.sealed : score.validation;
    const auto metrics = json_of(row[2]).get<std::map<std::string, double>>();
    for (const auto& [metric, value] : metrics) samples[metric].push_back(value);
  }
  if (scores.contains(0)) record.final_seed = scores[0];
  if (record.best_variant && scores.contains(*record.best_variant)) {
    record.final_best = scores[*record.best_variant];
  }
}

bool may_change(const Requester& requester, const std::string& owner) {
  return requester.has_all_rights || requester.name == owner;
}

Result<CampaignRecord> find_existing(pqxx::work& transaction, const CampaignDefinition& definition,
                                     const Requester& requester) {
  const auto somebody_elses = [&] {
    return fail(Errc::already_exists,
                "a campaign of this name belongs to somebody else: name=" + definition.name);
  };
  if (!requester.request_id.empty()) {
    const auto rows = transaction.exec(kGetByRequest, pqxx::params{requester.request_id});
    if (!rows.empty()) {
      auto record = campaign_of(rows[0]);
      if (!may_change(requester, record.owner)) return somebody_elses();
      return record;
    }
  }
  const auto rows = transaction.exec(kGetCampaign, pqxx::params{definition.name});
  if (rows.empty()) return fail(Errc::not_found, "not there yet");
  auto record = campaign_of(rows[0]);
  if (!may_change(requester, record.owner)) return somebody_elses();
  if (record.spec == definition.spec) return record;
  return fail(Errc::already_exists,
              "a campaign of this name has another spec: name=" + definition.name);
}

Status check_quota(pqxx::work& transaction, const Requester& requester) {
  if (requester.campaigns_max == 0) return {};
  transaction.exec(kLockOwner, pqxx::params{requester.name});
  const auto active = transaction.exec(kCountActive, pqxx::params{requester.name}).one_row();
  if (active[0].as<int>() < requester.campaigns_max) return {};
  return fail(
      Errc::conflict,
      "as many campaigns as one user may have have not ended; stop one first, or ask whoever "
      "runs the coordinator for more (campaigns_per_user): owner=" +
          requester.name + " campaigns=" + std::to_string(requester.campaigns_max));
}

Result<CampaignRecord> create_campaign(pqxx::work& transaction,
                                       const CampaignDefinition& definition,
                                       const Requester& requester) {
  auto existing = find_existing(transaction, definition, requester);
  if (existing || existing.error().code != Errc::not_found) return existing;
  CAMBRIAN_TRY_STATUS(check_quota(transaction, requester));
  CAMBRIAN_TRY_STATUS(check_task(transaction, definition.task_digest));
  const auto& objective = definition.settings.objectives.front();
  const auto inserted = transaction.exec(
      kInsertCampaign,
      pqxx::params{definition.name, requester.request_id, pqxx::binary_cast(definition.spec),
                   to_json(definition).dump(), definition.task_digest, definition.task_name,
                   objective.metric, objective.goal == search::Goal::maximize, definition.priority,
                   requester.name});
  // Somebody else was faster: the statement has waited for their commit.
  if (inserted.empty()) return find_existing(transaction, definition, requester);
  const CampaignId id{inserted[0][0].as<std::int64_t>()};
  auto event = make_input(definition.started, "campaign " + definition.name + " was created");
  event.payload["name"] = definition.name;
  event.payload["task"] = definition.task_name;
  event.payload["task_digest"] = definition.task_digest;
  event.payload["settings"] = journal::to_json(definition.settings);
  append_event(transaction, id, event);
  return campaign_of(transaction.exec(kGetCampaign, pqxx::params{definition.name}).one_row());
}

StoredEvent event_of(pqxx::work& transaction, CampaignId campaign, UserAction action) {
  if (action == UserAction::pause) {
    return make_input(search::PauseRequested{}, "the user asked for a pause");
  }
  if (action == UserAction::resume) {
    return make_input(search::ResumeRequested{}, "the user asked to go on");
  }
  search::StopRequested stop;
  transaction.exec(kWithdraw, pqxx::params{campaign.value});
  for (const auto& row : transaction.exec(kBegun, pqxx::params{campaign.value})) {
    stop.begun.push_back({row[0].as<std::int64_t>()});
  }
  return make_input(stop, "the user asked to stop");
}

/// A campaign whose row is locked for a change by its user.
struct Locked {
  CampaignId id;
  CampaignState state;
  bool is_done = false;  ///< The request has been followed before.
};

Result<Locked> lock_for_change(pqxx::work& transaction, const std::string& name,
                               const Requester& requester) {
  const auto rows = transaction.exec(kLockByName, pqxx::params{name});
  if (rows.empty() || !may_change(requester, rows[0][2].as<std::string>())) {
    return fail(no_campaign(name));
  }
  Locked locked{.id = CampaignId{rows[0][0].as<std::int64_t>()},
                .state = known_word<CampaignState>(rows[0][1].view())};
  locked.is_done =
      !requester.request_id.empty() &&
      transaction.exec(kNoteRequest, pqxx::params{locked.id.value, requester.request_id}).empty();
  return locked;
}

Error has_ended_error(const std::string& name, CampaignState state) {
  return {Errc::conflict, "the campaign has ended: name=" + name + " state=" + word(state)};
}

Result<std::int64_t> request_action(pqxx::work& transaction, const std::string& name,
                                    UserAction action, const Requester& requester) {
  CAMBRIAN_TRY(const Locked campaign, lock_for_change(transaction, name, requester));
  if (campaign.is_done) return 0;
  if (has_ended(campaign.state)) {
    if (action == UserAction::stop) return 0;
    return fail(has_ended_error(name, campaign.state));
  }
  const CampaignId id = campaign.id;
  const auto sequence = append_event(transaction, id, event_of(transaction, id, action));
  if (action == UserAction::stop) transaction.exec(kNoteStop, pqxx::params{id.value, sequence});
  return sequence;
}

Status give_hint(pqxx::work& transaction, const std::string& name, const std::string& text,
                 const Requester& requester) {
  CAMBRIAN_TRY(const Locked campaign, lock_for_change(transaction, name, requester));
  if (campaign.is_done) return {};
  if (has_ended(campaign.state)) return fail(has_ended_error(name, campaign.state));
  transaction.exec(kSetHint, pqxx::params{campaign.id.value, text});
  StoredEvent event;
  event.type = "hint_given";
  event.message = text.empty() ? "the user took the hint back" : "the user gave a hint";
  event.payload["hint"] = text;
  append_event(transaction, campaign.id, event);
  return {};
}

Status remove_campaign(pqxx::work& transaction, const std::string& name,
                       const Requester& requester) {
  // First: what was done is known by the request alone, for the campaign is gone.
  if (!requester.request_id.empty() &&
      transaction.exec(kNoteDeletion, pqxx::params{name, requester.request_id}).empty()) {
    return {};
  }
  const auto rows = transaction.exec(kLockByName, pqxx::params{name});
  if (rows.empty() || !may_change(requester, rows[0][2].as<std::string>())) {
    return fail(no_campaign(name));
  }
  const auto state = known_word<CampaignState>(rows[0][1].view());
  if (!has_ended(state)) {
    return fail(Errc::conflict, "the campaign has not ended, stop it first: name=" + name +
                                    " state=" + word(state));
  }
  transaction.exec(kMarkDeleting, pqxx::params{rows[0][0].as<std::int64_t>()});
  return {};
}

}  // namespace

awaitable<Result<CampaignRecord>> PostgresCampaignStore::create(CampaignDefinition definition,
                                                                Requester requester) {
  auto body = [definition = std::move(definition),
               requester = std::move(requester)](pqxx::work& transaction) {
    return create_campaign(transaction, definition, requester);
  };
  co_return co_await database_.run(Lane::user, "campaign_create", std::move(body));
}

awaitable<Result<CampaignRecord>> PostgresCampaignStore::get(std::string name) {
  auto body = [name = std::move(name)](pqxx::work& transaction) -> Result<CampaignRecord> {
    const auto rows = transaction.exec(kGetCampaign, pqxx::params{name});
    if (rows.empty()) return fail(no_campaign(name));
    auto record = campaign_of(rows[0]);
    add_finals(transaction, record);
    const auto jumps = transaction.exec(kJumps, pqxx::params{record.id.value}).one_row();
    record.jumps = Jumps{.confirmed = jumps[0].as<std::int64_t>(),
                         .disputed = jumps[1].as<std::int64_t>(),
                         .unconfirmed = jumps[2].as<std::int64_t>()};
    return record;
  };
  co_return co_await database_.run(Lane::user, "campaign_get", std::move(body));
}

awaitable<Result<std::vector<CampaignRecord>>> PostgresCampaignStore::list(CampaignPage page) {
  auto body = [=](pqxx::work& transaction) -> Result<std::vector<CampaignRecord>> {
    std::vector<CampaignRecord> records;
    const auto* sql = page.only_active ? kListActive : kListCampaigns;
    for (const auto& row : transaction.exec(sql, pqxx::params{page.before, page.count})) {
      records.push_back(campaign_of(row));
    }
    return records;
  };
  co_return co_await database_.run(Lane::user, "campaign_list", std::move(body));
}

awaitable<Result<std::int64_t>> PostgresCampaignStore::request(std::string name, UserAction action,
                                                               Requester requester) {
  auto body = [name = std::move(name), action,
               requester = std::move(requester)](pqxx::work& transaction) {
    return request_action(transaction, name, action, requester);
  };
  co_return co_await database_.run(Lane::user, "campaign_request", std::move(body));
}

awaitable<Status> PostgresCampaignStore::hint(std::string name, std::string text,
                                              Requester requester) {
  auto body = [name = std::move(name), text = std::move(text),
               requester = std::move(requester)](pqxx::work& transaction) {
    return give_hint(transaction, name, text, requester);
  };
  co_return co_await database_.run(Lane::user, "campaign_hint", std::move(body));
}

awaitable<Status> PostgresCampaignStore::remove(std::string name, Requester requester) {
  // Without a request id a second run would find no campaign and deny what the first one did.
  const auto in_doubt = requester.request_id.empty() ? InDoubt::report : InDoubt::repeat;
  auto body = [name = std::move(name), requester = std::move(requester)](pqxx::work& transaction) {
    return remove_campaign(transaction, name, requester);
  };
  co_return co_await database_.run(Lane::user, "campaign_remove", std::move(body), in_doubt);
}

awaitable<Result<EventPage>> PostgresCampaignStore::read_events(std::string name,
                                                                std::int64_t after, int count) {
  auto body = [=](pqxx::work& transaction) -> Result<EventPage> {
    const auto found = transaction.exec(kFindForEvents, pqxx::params{name});
    if (found.empty()) return fail(no_campaign(name));
    EventPage page{.campaign = CampaignId{found[0][0].as<std::int64_t>()},
                   .has_ended = has_ended(known_word<CampaignState>(found[0][1].view())),
                   .last_sequence = found[0][2].as<std::int64_t>(),
                   .events = {}};
    if (page.last_sequence <= after) return page;
    for (const auto& row :
         transaction.exec(kReadEvents, pqxx::params{page.campaign.value, after, count})) {
      page.events.push_back({.sequence = row[0].as<std::int64_t>(),
                             .time = instant_of(row[1]),
                             .type = row[2].as<std::string>(),
                             .variant = optional_of<std::int64_t>(row[3]),
                             .message = row[4].as<std::string>(),
                             .json = row[5].as<std::string>()});
    }
    return page;
  };
  co_return co_await database_.run(Lane::user, "events_read", std::move(body));
}

awaitable<Result<std::map<CampaignId, std::int64_t>>> PostgresCampaignStore::last_sequences() {
  auto body = [](pqxx::work& transaction) -> Result<std::map<CampaignId, std::int64_t>> {
    std::map<CampaignId, std::int64_t> sequences;
    for (const auto& row : transaction.exec(kLastSequences)) {
      sequences[CampaignId{row[0].as<std::int64_t>()}] = row[1].as<std::int64_t>();
    }
    return sequences;
  };
  co_return co_await database_.run(Lane::driver, "last_sequences", body);
}

}  // namespace cambrian::coordinator::postgres
