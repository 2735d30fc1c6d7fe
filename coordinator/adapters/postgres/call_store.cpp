#include "coordinator/adapters/postgres/call_store.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "coordinator/adapters/postgres/call_limit.hpp"
#include "coordinator/adapters/postgres/codec.hpp"
#include "coordinator/adapters/postgres/model_calls.hpp"

namespace cambrian::coordinator::postgres {
namespace {

// Shared: the attempt cannot end before the call is on record, so its end sees the call.
constexpr const char* kHoldLeases =
    "SELECT l.place, EXISTS (SELECT 1 FROM open_call o WHERE o.item_id = l.item"
    "  AND o.epoch = l.epoch AND o.number = l.number)"
    " FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) WITH ORDINALITY"
    "  AS l (item, epoch, number, agent_id, place)"
    " JOIN work_item w ON w.id = l.item AND w.epoch = l.epoch AND w.agent_id = l.agent_id"
    " WHERE w.state = 'leased' AND w.kind = 'proposal' ORDER BY w.id, l.place FOR SHARE OF w";
constexpr const char* kReadPause =
    "SELECT extract(epoch FROM paused_until - clock_timestamp())::double precision"
    " FROM call_limit WHERE limit_group = $1";
constexpr const char* kMakeGroup =
    "INSERT INTO call_limit (limit_group) VALUES ($1) ON CONFLICT DO NOTHING";
// A statement of its own: the next one then sees what others did until the lock was granted.
constexpr const char* kLockGroup = "SELECT 1 FROM call_limit WHERE limit_group = $1 FOR UPDATE";
// The calls of attempts that are over do not count: nobody may hold a place for ever.
constexpr const char* kReadGroup =
    "SELECT l.requests, l.tokens,"
    " extract(epoch FROM clock_timestamp() - l.filled_at)::double precision,"
    " extract(epoch FROM l.paused_until - clock_timestamp())::double precision,"
    " CASE WHEN $2 THEN (SELECT count(*) FROM open_call o JOIN work_item w ON w.id = o.item_id"
    "  AND w.epoch = o.epoch AND w.state = 'leased' AND w.lease_expires_at > clock_timestamp()"
    "  WHERE o.limit_group = $1 AND o.ended_at IS NULL) ELSE 0 END"
    " FROM call_limit l WHERE l.limit_group = $1";
constexpr const char* kStoreGroup =
    "UPDATE call_limit SET requests = $2, tokens = $3, filled_at = clock_timestamp()"
    " WHERE limit_group = $1";
constexpr const char* kNoteCalls =
    "INSERT INTO open_call (item_id, epoch, number, limit_group, model, endpoint, prompt_digest,"
    " prompt_tokens, completion_tokens, cost_micro_usd)"
    " SELECT r.* FROM json_to_recordset($1::json) AS r (item bigint, epoch bigint, number integer,"
    " limit_group text, model text, endpoint text, prompt_digest text, prompt_tokens bigint,"
    " completion_tokens bigint, cost_micro_usd bigint) ON CONFLICT DO NOTHING";
// In the order of the keys: two of these never wait for each other in a circle.
constexpr const char* kEndCalls =
    "WITH held AS (SELECT o.ended_at IS NULL AS is_open, o.limit_group,"
    "  o.prompt_tokens + o.completion_tokens AS reserved, r.*"
    "  FROM json_to_recordset($1::json) AS r (place bigint, item bigint, epoch bigint,"
    "   number integer, agent_id text, model text, prompt_tokens bigint, completion_tokens bigint,"
    "   cost_micro_usd bigint, finish_reason text, is_outcome_unknown boolean,"
    "   cached_prompt_tokens bigint, reasoning_tokens bigint, request_id text)"
    "  JOIN open_call o ON o.item_id = r.item AND o.epoch = r.epoch AND o.number = r.number"
    "  JOIN attempt a ON a.item_id = r.item AND a.epoch = r.epoch AND a.agent_id = r.agent_id"
    "  ORDER BY r.item, r.epoch, r.number FOR UPDATE OF o)"
    " UPDATE open_call o SET ended_at = clock_timestamp(), model = h.model,"
    " prompt_tokens = h.prompt_tokens, completion_tokens = h.completion_tokens,"
    " cost_micro_usd = h.cost_micro_usd, finish_reason = h.finish_reason,"
    " is_outcome_unknown = h.is_outcome_unknown, cached_prompt_tokens = h.cached_prompt_tokens,"
    " reasoning_tokens = h.reasoning_tokens, request_id = h.request_id FROM held h"
    " WHERE h.is_open AND o.item_id = h.item AND o.epoch = h.epoch AND o.number = h.number"
    " RETURNING h.place, h.limit_group, h.reserved";
constexpr const char* kPauseGroup =
    "UPDATE call_limit SET paused_until ="
    " greatest(paused_until, clock_timestamp() + $2 * interval '1 millisecond')"
    " WHERE limit_group = $1";

/// A batch names at most so many calls.
constexpr std::size_t kTogether = 64;
/// A call of a model takes seconds: some milliseconds for company save more than they cost.
constexpr double kBeginRest = 1;

bool is_limited(const CallLimits& limits) {
  return limits.requests_per_minute > 0 || limits.tokens_per_minute > 0 || limits.parallel > 0;
}

/// Calls of one group, in the order in which they came.
using Calls = std::vector<std::pair<const CallBegin*, CallGrant*>>;

/// Nobody limits the group: it may only have been told to pause.
void await_pause(pqxx::work& transaction, const std::string& group, const Calls& calls) {
  const auto rows = execute(transaction, kReadPause, pqxx::params{group});
  if (rows.empty()) return;
  for (const auto& [begin, grant] : calls) {
    grant->wait = decide(begin->limits, {}, 0, rows[0][0].as<double>(), 0, 0).wait;
  }
}

/// Takes places within the group's limits, or says how long there is none.
void take_places(pqxx::work& transaction, const std::string& group, const Calls& calls) {
  const auto has_parallel = [](const auto& call) { return call.first->limits.parallel > 0; };
  if (execute(transaction, kLockGroup, pqxx::params{group}).empty()) {
    execute(transaction, kMakeGroup, pqxx::params{group});
    execute(transaction, kLockGroup, pqxx::params{group}).one_row();
  }
  const auto row = execute(transaction, kReadGroup,
                           pqxx::params{group, std::ranges::any_of(calls, has_parallel)})
                       .one_row();
  CallLevels levels{.requests = row[0].as<double>(), .tokens = row[1].as<double>()};
  double passed_s = std::max(0.0, row[2].as<double>());
  const double pause_s = row[3].as<double>();
  const int open_before = row[4].as<int>();
  int granted = 0;
  for (const auto& [begin, grant] : calls) {
    const auto decision =
        decide(begin->limits, levels, passed_s, pause_s,
               begin->call.prompt_tokens + begin->call.completion_tokens, open_before + granted);
    grant->wait = decision.wait;
    if (decision.wait > milliseconds(0)) continue;
    levels = decision.after;
    passed_s = 0;  // The levels are those of now.
    ++granted;
  }
  if (granted == 0) return;
  execute(transaction, kStoreGroup, pqxx::params{group, levels.requests, levels.tokens});
}

std::vector<CallGrant> begin_calls(pqxx::work& transaction, const std::vector<CallBegin>& begins) {
  std::vector<std::int64_t> items;
  std::vector<std::int64_t> epochs;
  std::vector<std::int64_t> numbers;
  std::vector<std::string> agents;
  for (const auto& begin : begins) {
    items.push_back(begin.key.lease.item.value);
    epochs.push_back(begin.key.lease.epoch);
    numbers.push_back(begin.key.number);
    agents.push_back(begin.key.agent_id);
  }
  std::vector<CallGrant> grants(begins.size(), CallGrant{.is_lease_lost = true});
  std::map<std::size_t, bool> is_noted;
  for (const auto& row : execute(transaction, kHoldLeases,
                                 pqxx::params{number_array(items), number_array(epochs),
                                              number_array(numbers), text_array(agents)})) {
    is_noted[row[0].as<std::size_t>() - 1] = row[1].as<bool>();
  }
  std::map<std::string, Calls> groups;  // In one order, so that nobody waits in a circle.
  // One that is repeated while the first waits here is the same call: it takes one place.
  std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t>, std::size_t> firsts;
  std::vector<std::pair<std::size_t, std::size_t>> repeated;
  for (auto& [place, was_noted] : is_noted) {
    const auto& key = begins[place].key;
    const auto [first, is_first] =
        firsts.try_emplace({key.lease.item.value, key.lease.epoch, key.number}, place);
    if (is_first) continue;
    was_noted = true;
    repeated.emplace_back(place, first->second);
  }
  for (const auto& [place, was_noted] : is_noted) {
    grants[place].is_lease_lost = false;
    const auto& begin = begins[place];
    if (!was_noted && !begin.limits.group.empty()) {
      groups[begin.limits.group].push_back({&begin, &grants[place]});
    }
  }
  for (const auto& [group, calls] : groups) {
    const auto is_one_limited = [](const auto& call) { return is_limited(call.first->limits); };
    const bool is_any = std::ranges::any_of(calls, is_one_limited);
    (is_any ? take_places : await_pause)(transaction, group, calls);
  }
  Json rows = Json::array();
  for (const auto& [place, was_noted] : is_noted) {
    if (was_noted || grants[place].wait > milliseconds(0)) continue;
    const auto& [key, call, limits] = begins[place];
    rows.push_back({{"item", key.lease.item.value},
                    {"epoch", key.lease.epoch},
                    {"number", key.number},
                    {"limit_group", limits.group},
                    {"model", call.model},
                    {"endpoint", call.endpoint},
                    {"prompt_digest", call.prompt_digest},
                    {"prompt_tokens", call.prompt_tokens},
                    {"completion_tokens", call.completion_tokens},
                    {"cost_micro_usd", call.cost_micro_usd}});
  }
  if (!rows.empty()) execute(transaction, kNoteCalls, pqxx::params{rows.dump()});
  for (const auto& [place, first] : repeated) grants[place] = grants[first];
  return grants;
}

/// What the end of calls does to their group.
struct Settlement {
  std::int64_t unused = 0;
  milliseconds pause{0};
};

void settle(pqxx::work& transaction, const std::map<std::string, Settlement>& groups) {
  for (const auto& [group, settlement] : groups) {
    if (group.empty()) continue;
    give_back_tokens(transaction, {{group, settlement.unused}});
    if (settlement.pause > milliseconds(0)) {
      execute(transaction, kMakeGroup, pqxx::params{group});
      execute(transaction, kPauseGroup, pqxx::params{group, settlement.pause.count()});
    }
  }
}

void end_calls(pqxx::work& transaction, const std::vector<CallEnd>& ends) {
  Json rows = Json::array();
  for (std::size_t i = 0; i < ends.size(); ++i) {
    const auto& [key, call, pause] = ends[i];
    rows.push_back({{"place", i},
                    {"item", key.lease.item.value},
                    {"epoch", key.lease.epoch},
                    {"number", key.number},
                    {"agent_id", key.agent_id},
                    {"model", call.model},
                    {"prompt_tokens", call.prompt_tokens},
                    {"completion_tokens", call.completion_tokens},
                    {"cost_micro_usd", call.cost_micro_usd},
                    {"finish_reason", call.finish_reason},
                    {"is_outcome_unknown", call.is_outcome_unknown},
                    {"cached_prompt_tokens", call.cached_prompt_tokens},
                    {"reasoning_tokens", call.reasoning_tokens},
                    {"request_id", call.request_id}});
  }
  std::map<std::string, Settlement> groups;
  for (const auto& row : execute(transaction, kEndCalls, pqxx::params{rows.dump()})) {
    const auto& end = ends[row[0].as<std::size_t>()];
    auto& settlement = groups[row[1].as<std::string>()];
    settlement.pause = std::max(settlement.pause, end.pause);
    // What failed counts at providers as what was asked for.
    if (end.call.finish_reason == "error") continue;
    settlement.unused +=
        row[2].as<std::int64_t>() - end.call.prompt_tokens - end.call.completion_tokens;
  }
  settle(transaction, groups);
}

}  // namespace

PostgresCallStore::PostgresCallStore(Database& database)
    : database_(database),
      begins_({.parallel = 1, .together = kTogether, .rest = kBeginRest},
              [this](std::vector<CallBegin> begins) { return begin_all(std::move(begins)); }),
      ends_({.parallel = 1, .together = kTogether},
            [this](std::vector<CallEnd> ends) { return end_all(std::move(ends)); }) {}

awaitable<Result<std::vector<CallGrant>>> PostgresCallStore::begin_all(
    std::vector<CallBegin> begins) {
  auto body = [begins =
                   std::move(begins)](pqxx::work& transaction) -> Result<std::vector<CallGrant>> {
    return begin_calls(transaction, begins);
  };
  co_return co_await database_.run(Lane::agent, "call_begin", std::move(body));
}

awaitable<Result<std::vector<std::monostate>>> PostgresCallStore::end_all(
    std::vector<CallEnd> ends) {
  auto body =
      [ends = std::move(ends)](pqxx::work& transaction) -> Result<std::vector<std::monostate>> {
    end_calls(transaction, ends);
    return std::vector<std::monostate>(ends.size());
  };
  co_return co_await database_.run(Lane::agent, "call_end", std::move(body));
}

awaitable<Result<CallGrant>> PostgresCallStore::begin(CallBegin begin) {
  return begins_.ask(std::move(begin));
}

awaitable<Status> PostgresCallStore::end(CallEnd end) {
  CAMBRIAN_CO_TRY_STATUS(co_await ends_.ask(std::move(end)));
  co_return Status();
}

}  // namespace cambrian::coordinator::postgres
