#include "tests/bench/coordination/stage.hpp"

#include <algorithm>
#include <pqxx/pqxx>
#include <stdexcept>

namespace cambrian::bench {
namespace {

constexpr const char* kCopyCampaign =
    "INSERT INTO campaign (name, spec, definition, task_digest, task_name, objective_metric,"
    " is_maximized, priority, state, ended_at, last_sequence, applied_sequence)"
    " SELECT 'history', spec, definition, task_digest, task_name, objective_metric, is_maximized,"
    " priority, 'succeeded', now(), 0, 0 FROM campaign WHERE name = 'load'";
// What finished work leaves behind: sizes as a campaign with small programs has them.
constexpr const char* kHistoryVariants =
    "INSERT INTO variant (campaign_id, number, parents, proposal, operator, model, generation,"
    " files, token_digest, source_tokens, rationale, state, outcome, metrics, score, settled_at)"
    " SELECT c.id, n, ARRAY[n / 2], n, 'diff', 'small', n % 100, jsonb_build_array("
    "  jsonb_build_object('path', 'answer.cpp', 'sha256', md5('a' || n) || md5('b' || n))),"
    " md5('c' || n) || md5('d' || n), 20, 'Another constant may do better here.', 'evaluated',"
    " 'success', jsonb_build_object('score', n % 1000), n % 1000, now()"
    " FROM campaign c, generate_series($1::bigint, $2::bigint) n WHERE c.name = 'history'";
constexpr const char* kHistoryEvaluations =
    "INSERT INTO evaluation (campaign_id, number, variant, split, seed, is_final, outcome, metrics,"
    " log, timings_ms, cpu_time_ms, result_key, agent_name, attempts, finished_at, content_key)"
    " SELECT c.id, n, n, 'validation', 1, false, 'success', jsonb_build_object('score', n % 1000),"
    " repeat('step 10 loss 0.5 ', 12), '{\"compile\": 900, \"train\": 4000, \"total\": 5100}', "
    "4800,"
    " md5('k' || n) || md5('l' || n), 'worker-' || n % 64, 1, now(), md5('x' || n) || md5('y' || n)"
    " FROM campaign c, generate_series($1::bigint, $2::bigint) n WHERE c.name = 'history'";
constexpr const char* kHistoryItems =
    "INSERT INTO work_item (campaign_id, kind, number, state, priority, epoch, agent_id, runtime,"
    " sandbox_level, renewed_at, lease_expires_at, attempt_deadline)"
    " SELECT c.id, 'evaluation', n, 'done', 50, 1, 'worker-' || n % 64, 'cpp', 2, now(), now(),"
    " now() FROM campaign c, generate_series($1::bigint, $2::bigint) n WHERE c.name = 'history'";
constexpr const char* kHistoryAttempts =
    "INSERT INTO attempt (item_id, epoch, agent_id, agent_name, ended_at, outcome, is_counted,"
    " cpu_time_ms) SELECT w.id, 1, w.agent_id, w.agent_id, now(), 'finished', true, 4800"
    " FROM work_item w JOIN campaign c ON c.id = w.campaign_id"
    " WHERE c.name = 'history' AND w.number BETWEEN $1::bigint AND $2::bigint";
constexpr const char* kHistoryEvents =
    "INSERT INTO event (campaign_id, sequence, type, is_input, variant, message, payload)"
    " SELECT c.id, n, 'evaluation_finished', true, n, 'variant ' || n || ' evaluated: success',"
    " jsonb_build_object('evaluation', n, 'outcome', 'success', 'variant', n, 'agent', 'worker',"
    "  'metrics', jsonb_build_object('score', n % 1000), 'gpu_time_ms', 0, 'is_final', false)"
    " FROM campaign c, generate_series($1::bigint, $2::bigint) n WHERE c.name = 'history'";
/// Rows of one statement: bounds what it holds in memory.
constexpr std::int64_t kChunkRows = 250'000;
/// As autovacuum would after so many new rows.
constexpr std::int64_t kAnalysedFrom = 10'000;

}  // namespace

Stage::Stage() {
  for (const char* setting : {"fsync=on", "shared_buffers=128MB", "max_connections=200"}) {
    postgres_.set(setting);
  }
  postgres_.stop();
  postgres_.start();
  database_ = postgres_.make_database();
  coordinator_ =
      std::make_unique<test::CoordinatorProcess>(test::CoordinatorOptions{.database = database_});
  user_ = std::make_unique<test::User>(coordinator_->channel());
}

void Stage::execute(const std::string& sql) {
  pqxx::connection connection(database_);
  pqxx::nontransaction(connection).exec(sql);
}

void Stage::fill(std::int64_t finished_rows) {
  user_->create(user_->make_spec("load", 1'000'000));
  if (!test::eventually([this] { return number("SELECT count(*) FROM work_item") > 0; })) {
    throw std::runtime_error("the campaign does not start");
  }
  execute(
      "UPDATE campaign SET driver_id = 'bench', driver_epoch = driver_epoch + 1,"
      " driver_expires_at = 'infinity' WHERE name = 'load'");
  pqxx::connection connection(database_);
  pqxx::nontransaction sql(connection);
  // Consistent as they are made; checking each again would take most of the time.
  sql.exec("SET session_replication_role = replica");
  sql.exec("SET synchronous_commit = off");
  sql.exec(kCopyCampaign);
  for (const char* statement :
       {kHistoryVariants, kHistoryEvaluations, kHistoryItems, kHistoryAttempts, kHistoryEvents}) {
    for (std::int64_t first = 1; first <= finished_rows; first += kChunkRows) {
      sql.exec(statement, pqxx::params{first, std::min(first + kChunkRows - 1, finished_rows)});
    }
  }
  sql.exec("VACUUM ANALYZE");
  sql.exec("CHECKPOINT");
}

void Stage::add_items(std::int64_t count, const std::string& columns, const std::string& values) {
  const auto first = next_number_;
  const auto last = first + count - 1;
  next_number_ = last + 1;
  pqxx::connection connection(database_);
  pqxx::work sql(connection);
  const pqxx::params range{first, last};
  sql.exec("SET LOCAL session_replication_role = replica");
  sql.exec(
      "INSERT INTO variant (campaign_id, number, parents, generation, files, token_digest,"
      " source_tokens, state) SELECT v.campaign_id, n, ARRAY[0], 1, v.files, v.token_digest, 20,"
      " 'pending' FROM variant v JOIN campaign c ON c.id = v.campaign_id AND c.name = 'load',"
      " generate_series($1::bigint, $2::bigint) n WHERE v.number = 0",
      range);
  sql.exec(
      "INSERT INTO evaluation (campaign_id, number, variant, split, seed, is_final, content_key)"
      " SELECT c.id, n, n, 'validation', 1, false, md5('p' || n) || md5('q' || n)"
      " FROM campaign c, generate_series($1::bigint, $2::bigint) n WHERE c.name = 'load'",
      range);
  sql.exec("INSERT INTO work_item (campaign_id, kind, number, priority, runtime, sandbox_level" +
               columns + ") SELECT c.id, 'evaluation', n, 50, 'cpp', 2" + values +
               " FROM campaign c, generate_series($1::bigint, $2::bigint) n"
               " WHERE c.name = 'load' ORDER BY n",
           range);
  sql.commit();
}

void Stage::add_ready(std::int64_t count) {
  add_items(count, "", "");
  if (count >= kAnalysedFrom) execute("ANALYZE work_item");
}

std::int64_t Stage::add_leased(std::int64_t count, const std::string& first) {
  const auto number_before = std::to_string(next_number_);
  add_items(count, ", state, epoch, agent_id, renewed_at, lease_expires_at, attempt_deadline",
            ", 'leased', 1, '" + first + "' || n - " + number_before +
                ", now(), now() + interval '1 hour', now() + interval '1 hour'");
  const auto leased =
      " FROM work_item w JOIN campaign c ON c.id = w.campaign_id AND c.name = 'load'"
      " WHERE w.kind = 'evaluation' AND w.number >= " +
      number_before;
  execute(
      "INSERT INTO attempt (item_id, epoch, agent_id, agent_name)"
      " SELECT w.id, 1, w.agent_id, w.agent_id" +
      leased);
  return number("SELECT min(w.id)" + leased);
}

void Stage::clear() {
  execute("UPDATE work_item SET state = 'cancelled' WHERE state IN ('ready', 'leased')");
  execute("UPDATE attempt SET ended_at = now(), outcome = 'cancelled' WHERE ended_at IS NULL");
  execute("VACUUM work_item, attempt, agent, campaign");
  execute("CHECKPOINT");
}

}  // namespace cambrian::bench
