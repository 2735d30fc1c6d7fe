#include "coordinator/adapters/postgres/campaign_store.hpp"
#include "coordinator/adapters/postgres/codec.hpp"
#include "coordinator/search/settings.hpp"

namespace cambrian::coordinator::postgres {
namespace {

#define VARIANT_COLUMNS                                                                    \
  " v.number, to_jsonb(v.parents), v.operator, v.state, v.outcome, v.metrics, v.score,"    \
  " v.island, v.files, v.rationale, (extract(epoch FROM v.created_at) * 1000000)::bigint," \
  " v.duplicate_of, v.model, v.generation, v.confirmation, v.jump_score, v.second_score"   \
  " FROM variant v "

// Numbers have no gaps: the offset is the first number of the page.
constexpr const char* kByNumber =
    "SELECT" VARIANT_COLUMNS
    "WHERE v.campaign_id = $1 AND v.number >= $2 ORDER BY v.number LIMIT $3";
constexpr const char* kByScoreDescending =
    "SELECT" VARIANT_COLUMNS
    "WHERE v.campaign_id = $1 ORDER BY v.score DESC NULLS LAST, v.number OFFSET $2 LIMIT $3";
constexpr const char* kByScoreAscending =
    "SELECT" VARIANT_COLUMNS
    "WHERE v.campaign_id = $1 ORDER BY v.score ASC NULLS LAST, v.number OFFSET $2 LIMIT $3";
constexpr const char* kOne = "SELECT" VARIANT_COLUMNS "WHERE v.campaign_id = $1 AND v.number = $2";
// A generation is one deeper than its parents', so the walk ends.
constexpr const char* kLineage =
    "WITH RECURSIVE line AS (SELECT number, parents, 0 AS depth FROM variant"
    "  WHERE campaign_id = $1 AND number = $2"
    " UNION ALL SELECT p.number, p.parents, line.depth + 1 FROM line"
    "  JOIN variant p ON p.campaign_id = $1 AND p.number = line.parents[1]"
    "  WHERE p.number < line.number AND line.depth + 1 < $3)"
    " SELECT" VARIANT_COLUMNS
    "JOIN line ON line.number = v.number WHERE v.campaign_id = $1 ORDER BY line.depth";
#undef VARIANT_COLUMNS

constexpr const char* kCampaign =
    "SELECT id, is_maximized FROM campaign WHERE name = $1 AND NOT is_deleting";
constexpr const char* kEvaluations =
    "SELECT number, split, seed, is_final, outcome, metrics, diagnostics,"
    " CASE WHEN row_number() OVER (ORDER BY number) <= $3 THEN log ELSE '' END, timings_ms,"
    " cpu_time_ms, gpu_time_ms, memory_peak_bytes, result_key, behaviour_digest, is_cached,"
    " agent_name, (extract(epoch FROM finished_at) * 1000000)::bigint, attempts, evaluator,"
    " is_confirmation, time_saved_ms, is_resumed"
    " FROM evaluation WHERE campaign_id = $1 AND variant = $2 AND NOT is_control"
    " ORDER BY number LIMIT $4";

/// Only so many evaluations come with their logs: a message has a limit.
constexpr int kLogsMax = 8;
/// About as many as a variant can have: search evaluations, and finals on two splits.
constexpr int kEvaluationsMax = 3 * search::kRepeatsMax;

struct Campaign {
  std::int64_t id = 0;
  bool is_maximized = true;
};

Result<Campaign> find_campaign(pqxx::work& transaction, const std::string& name) {
  const auto rows = transaction.exec(kCampaign, pqxx::params{name});
  if (rows.empty()) return fail(Errc::not_found, "no such campaign: name=" + name);
  return Campaign{rows[0][0].as<std::int64_t>(), rows[0][1].as<bool>()};
}

VariantRecord variant_of(const pqxx::row& row) {
  VariantRecord record;
  record.number = row[0].as<std::int64_t>();
  record.parents = json_of(row[1]).get<std::vector<std::int64_t>>();
  if (!row[2].is_null()) record.operation = known_word<search::Operator>(row[2].view());
  record.state = known_word<search::VariantState>(row[3].view());
  if (!row[4].is_null()) record.outcome = known_word<search::Outcome>(row[4].view());
  record.metrics = json_of(row[5]).get<std::map<std::string, double>>();
  record.score = optional_of<double>(row[6]);
  record.island = optional_of<int>(row[7]);
  record.files = files_from_json(json_of(row[8]));
  record.rationale = row[9].as<std::string>();
  record.created_at = instant_of(row[10]);
  record.duplicate_of = optional_of<std::int64_t>(row[11]);
  record.model = row[12].as<std::string>();
  record.generation = row[13].as<int>();
  if (!row[14].is_null()) record.confirmation = known_word<search::Confirmation>(row[14].view());
  record.jump_score = optional_of<double>(row[15]);
  record.second_score = optional_of<double>(row[16]);
  return record;
}

EvaluationRecord evaluation_record(const pqxx::row& row) {
  EvaluationRecord record{.number = row[0].as<std::int64_t>(),
                          .split = known_word<search::Split>(row[1].view()),
                          .seed = seed_of(row[2]),
                          .is_final = row[3].as<bool>(),
                          .is_confirmation = row[19].as<bool>(),
                          .result = std::nullopt,
                          .agent = row[15].as<std::string>(),
                          .finished_at = optional_instant_of(row[16]),
                          .attempts = row[17].as<int>()};
  if (row[4].is_null()) return record;
  record.result =
      EvaluationResult{.outcome = known_word<search::Outcome>(row[4].view()),
                       .metrics = json_of(row[5]).get<std::map<std::string, double>>(),
                       .diagnostics = row[6].as<std::string>(),
                       .log = row[7].as<std::string>(),
                       .timings_ms = json_of(row[8]).get<std::map<std::string, double>>(),
                       .cpu_time_ms = row[9].as<std::int64_t>(),
                       .gpu_time_ms = row[10].as<std::int64_t>(),
                       .memory_peak_bytes = row[11].as<std::int64_t>(),
                       .result_key = row[12].as<std::string>(),
                       .behaviour_digest = row[13].as<std::string>(),
                       .is_cached = row[14].as<bool>(),
                       .evaluator = row[18].as<std::string>(),
                       .is_resumed = row[21].as<bool>(),
                       .time_saved_ms = row[20].as<std::int64_t>()};
  return record;
}

void add_evaluations(pqxx::work& transaction, std::int64_t campaign, VariantRecord& record) {
  const pqxx::params parameters{campaign, record.number, kLogsMax, kEvaluationsMax};
  for (const auto& row : transaction.exec(kEvaluations, parameters)) {
    record.evaluations.push_back(evaluation_record(row));
    const auto& result = record.evaluations.back().result;
    if (result && result->outcome != search::Outcome::success && record.diagnostics.empty()) {
      record.diagnostics = result->diagnostics;
    }
  }
}

Error no_variant(const std::string& campaign, std::int64_t number) {
  return {Errc::not_found,
          "no such variant: campaign=" + campaign + " number=" + std::to_string(number)};
}

}  // namespace

awaitable<Result<std::vector<VariantRecord>>> PostgresVariantStore::list(std::string campaign,
                                                                         VariantPage page) {
  auto body = [=](pqxx::work& transaction) -> Result<std::vector<VariantRecord>> {
    CAMBRIAN_TRY(const auto found, find_campaign(transaction, campaign));
    const auto* sql = kByNumber;
    if (page.order == VariantOrder::score) {
      sql = found.is_maximized ? kByScoreDescending : kByScoreAscending;
    }
    std::vector<VariantRecord> records;
    for (const auto& row : transaction.exec(sql, pqxx::params{found.id, page.offset, page.count})) {
      records.push_back(variant_of(row));
    }
    return records;
  };
  co_return co_await database_.run(Lane::user, "variant_list", std::move(body));
}

awaitable<Result<VariantRecord>> PostgresVariantStore::get(std::string campaign,
                                                           std::int64_t number) {
  auto body = [=](pqxx::work& transaction) -> Result<VariantRecord> {
    CAMBRIAN_TRY(const auto found, find_campaign(transaction, campaign));
    const auto rows = transaction.exec(kOne, pqxx::params{found.id, number});
    if (rows.empty()) return fail(no_variant(campaign, number));
    auto record = variant_of(rows[0]);
    add_evaluations(transaction, found.id, record);
    return record;
  };
  co_return co_await database_.run(Lane::user, "variant_get", std::move(body));
}

awaitable<Result<std::vector<VariantRecord>>> PostgresVariantStore::lineage(std::string campaign,
                                                                            std::int64_t number,
                                                                            int count) {
  auto body = [=](pqxx::work& transaction) -> Result<std::vector<VariantRecord>> {
    CAMBRIAN_TRY(const auto found, find_campaign(transaction, campaign));
    std::vector<VariantRecord> records;
    for (const auto& row : transaction.exec(kLineage, pqxx::params{found.id, number, count})) {
      records.push_back(variant_of(row));
    }
    if (records.empty()) return fail(no_variant(campaign, number));
    return records;
  };
  co_return co_await database_.run(Lane::user, "variant_lineage", std::move(body));
}

}  // namespace cambrian::coordinator::postgres
