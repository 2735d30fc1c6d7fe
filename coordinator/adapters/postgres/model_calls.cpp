#include "coordinator/adapters/postgres/model_calls.hpp"

namespace cambrian::coordinator::postgres {
namespace {

constexpr const char* kInsertModelCalls =
    "INSERT INTO model_call (campaign_id, proposal, item_id, epoch, model, endpoint,"
    " prompt_tokens, completion_tokens, cost_micro_usd, latency_ms, time_to_first_token_ms,"
    " retries, finish_reason, prompt_digest, answer_digest, is_outcome_unknown, is_counted,"
    " cached_prompt_tokens, reasoning_tokens, request_id)"
    " SELECT r.* FROM json_to_recordset($1::json) AS r (campaign bigint, proposal bigint,"
    " item bigint, epoch bigint, model text, endpoint text, prompt_tokens bigint,"
    " completion_tokens bigint, cost_micro_usd bigint, latency_ms bigint,"
    " time_to_first_token_ms bigint, retries integer, finish_reason text, prompt_digest text,"
    " answer_digest text, is_outcome_unknown boolean, is_counted boolean,"
    " cached_prompt_tokens bigint, reasoning_tokens bigint, request_id text)";
constexpr const char* kGiveBackTokens =
    "UPDATE call_limit SET tokens = tokens + $2 WHERE limit_group = $1";

}  // namespace

void add_calls(Json& rows, const LockedItem& item, std::int64_t epoch,
               const std::vector<ModelCall>& calls, bool is_counted) {
  for (const auto& call : calls) {
    Json first_token;
    if (call.time_to_first_token) first_token = call.time_to_first_token->count();
    rows.push_back({{"campaign", item.campaign.value},
                    {"proposal", item.number},
                    {"item", item.id.value},
                    {"epoch", epoch},
                    {"model", call.model},
                    {"endpoint", call.endpoint},
                    {"prompt_tokens", call.prompt_tokens},
                    {"completion_tokens", call.completion_tokens},
                    {"cost_micro_usd", call.cost_micro_usd},
                    {"latency_ms", call.latency.count()},
                    {"time_to_first_token_ms", std::move(first_token)},
                    {"retries", call.retries},
                    {"finish_reason", call.finish_reason},
                    {"prompt_digest", call.prompt_digest},
                    {"answer_digest", call.answer_digest},
                    {"is_outcome_unknown", call.is_outcome_unknown},
                    {"is_counted", is_counted},
                    {"cached_prompt_tokens", call.cached_prompt_tokens},
                    {"reasoning_tokens", call.reasoning_tokens},
                    {"request_id", call.request_id}});
  }
}

// In the order of the groups: two of these never wait for each other in a circle.
void give_back_tokens(pqxx::work& transaction, const std::map<std::string, std::int64_t>& unused) {
  for (const auto& [group, tokens] : unused) {
    if (group.empty() || tokens == 0) continue;
    execute(transaction, kGiveBackTokens, pqxx::params{group, tokens});
  }
}

void insert_calls(pqxx::work& transaction, const Json& rows) {
  if (!rows.empty()) execute(transaction, kInsertModelCalls, pqxx::params{rows.dump()});
}

}  // namespace cambrian::coordinator::postgres
