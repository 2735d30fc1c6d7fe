#include "coordinator/adapters/postgres/call_store.hpp"

#include "coordinator/adapters/postgres/call_limit.hpp"

namespace cambrian::coordinator::postgres {
namespace {

// Shared: the attempt cannot end before the call is on record, so its end sees the call.
constexpr const char* kHoldLease =
    "SELECT 1 FROM work_item WHERE id = $1 AND epoch = $2 AND agent_id = $3 AND state = 'leased'"
    " AND kind = 'proposal' FOR SHARE";
constexpr const char* kFindCall =
    "SELECT 1 FROM open_call WHERE item_id = $1 AND epoch = $2 AND number = $3";
constexpr const char* kMakeGroup =
    "INSERT INTO call_limit (limit_group) VALUES ($1) ON CONFLICT DO NOTHING";
// A statement of its own: the next one then sees what others did until the lock was granted.
constexpr const char* kLockGroup = "SELECT 1 FROM call_limit WHERE limit_group = $1 FOR UPDATE";
// The calls of attempts that are over do not count: nobody may hold a place for ever.
constexpr const char* kReadGroup =
    "SELECT l.requests, l.tokens,"
    " extract(epoch FROM clock_timestamp() - l.filled_at)::double precision,"
    " extract(epoch FROM l.paused_until - clock_timestamp())::double precision,"
    " (SELECT count(*) FROM open_call o JOIN work_item w ON w.id = o.item_id"
    "  AND w.epoch = o.epoch AND w.state = 'leased' AND w.lease_expires_at > clock_timestamp()"
    "  WHERE o.limit_group = $1 AND o.ended_at IS NULL)"
    " FROM call_limit l WHERE l.limit_group = $1";
constexpr const char* kStoreGroup =
    "UPDATE call_limit SET requests = $2, tokens = $3, filled_at = clock_timestamp()"
    " WHERE limit_group = $1";
constexpr const char* kNoteCall =
    "INSERT INTO open_call (item_id, epoch, number, limit_group, model, endpoint, prompt_digest,"
    " prompt_tokens, completion_tokens, cost_micro_usd) VALUES"
    " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
constexpr const char* kEndCall =
    "UPDATE open_call o SET ended_at = clock_timestamp(), model = $5, prompt_tokens = $6,"
    " completion_tokens = $7, cost_micro_usd = $8, finish_reason = $9, is_outcome_unknown = $10,"
    " cached_prompt_tokens = $11, reasoning_tokens = $12, request_id = $13"
    " FROM open_call before JOIN attempt a ON a.item_id = before.item_id AND a.epoch = before.epoch"
    " WHERE o.item_id = $1 AND o.epoch = $2 AND o.number = $3 AND o.ended_at IS NULL"
    " AND before.item_id = o.item_id AND before.epoch = o.epoch AND before.number = o.number"
    " AND a.agent_id = $4"
    " RETURNING o.limit_group, before.prompt_tokens + before.completion_tokens";
// A bucket that overflows by it is put right when it is read.
constexpr const char* kSettleGroup =
    "UPDATE call_limit SET tokens = tokens + $2, paused_until ="
    " greatest(paused_until, clock_timestamp() + $3 * interval '1 millisecond')"
    " WHERE limit_group = $1";

/// Takes a place within the group's limits, or says how long there is none.
milliseconds take_place(pqxx::work& transaction, const CallBegin& begin) {
  const auto& group = begin.limits.group;
  execute(transaction, kMakeGroup, pqxx::params{group});
  execute(transaction, kLockGroup, pqxx::params{group}).one_row();
  const auto row = execute(transaction, kReadGroup, pqxx::params{group}).one_row();
  const CallLevels levels{.requests = row[0].as<double>(), .tokens = row[1].as<double>()};
  const auto decision =
      decide(begin.limits, levels, std::max(0.0, row[2].as<double>()), row[3].as<double>(),
             begin.call.prompt_tokens + begin.call.completion_tokens, row[4].as<int>());
  if (decision.wait > milliseconds(0)) return decision.wait;
  execute(transaction, kStoreGroup,
          pqxx::params{group, decision.after.requests, decision.after.tokens});
  return milliseconds(0);
}

Result<CallGrant> begin_call(pqxx::work& transaction, const CallBegin& begin) {
  const auto& [agent_id, lease, number] = begin.key;
  if (execute(transaction, kHoldLease, pqxx::params{lease.item.value, lease.epoch, agent_id})
          .empty()) {
    return CallGrant{.is_lease_lost = true};
  }
  const pqxx::params key{lease.item.value, lease.epoch, number};
  if (!execute(transaction, kFindCall, key).empty()) return CallGrant{};
  if (!begin.limits.group.empty()) {
    const auto wait = take_place(transaction, begin);
    if (wait > milliseconds(0)) return CallGrant{.wait = wait};
  }
  const auto& call = begin.call;
  execute(transaction, kNoteCall,
          pqxx::params{lease.item.value, lease.epoch, number, begin.limits.group, call.model,
                       call.endpoint, call.prompt_digest, call.prompt_tokens,
                       call.completion_tokens, call.cost_micro_usd});
  return CallGrant{};
}

Status end_call(pqxx::work& transaction, const CallEnd& end) {
  const auto& [agent_id, lease, number] = end.key;
  const auto& call = end.call;
  const auto ended =
      execute(transaction, kEndCall,
              pqxx::params{lease.item.value, lease.epoch, number, agent_id, call.model,
                           call.prompt_tokens, call.completion_tokens, call.cost_micro_usd,
                           call.finish_reason, call.is_outcome_unknown, call.cached_prompt_tokens,
                           call.reasoning_tokens, call.request_id});
  if (ended.empty()) return {};
  // What failed counts at providers as what was asked for.
  const bool has_answer = call.finish_reason != "error";
  const auto reserved = ended[0][1].as<std::int64_t>();
  const std::int64_t unused =
      has_answer ? reserved - call.prompt_tokens - call.completion_tokens : 0;
  execute(transaction, kSettleGroup,
          pqxx::params{ended[0][0].as<std::string>(), unused, end.pause.count()});
  return {};
}

}  // namespace

awaitable<Result<CallGrant>> PostgresCallStore::begin(CallBegin begin) {
  auto body = [begin = std::move(begin)](pqxx::work& transaction) {
    return begin_call(transaction, begin);
  };
  co_return co_await database_.run(Lane::agent, "call_begin", std::move(body));
}

awaitable<Status> PostgresCallStore::end(CallEnd end) {
  auto body = [end = std::move(end)](pqxx::work& transaction) {
    return end_call(transaction, end);
  };
  co_return co_await database_.run(Lane::agent, "call_end", std::move(body));
}

}  // namespace cambrian::coordinator::postgres
