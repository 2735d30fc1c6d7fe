#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>
#include <pqxx/pqxx>
#include <thread>

#include "coordinator/adapters/postgres/work_claim.hpp"
#include "coordinator/adapters/postgres/work_store.hpp"
#include "tests/integration/coordinator/fixture.hpp"

using namespace cambrian;
using namespace cambrian::test;

namespace {

using nlohmann::json;

constexpr int kFinished = 1'000'000;
constexpr int kReady = 20'000;
/// Enough that one look at the whole table tells itself from many looks at a few rows.
constexpr int kGrown = 200'000;
constexpr int kWanted = 4;
/// Of 8 KiB: two index paths, the rows, their locks; the whole queue would be hundreds.
constexpr int kBuffersMax = 100;

/// What was read of a table.
struct Reads {
  bool is_by_index_alone = true;
  double rows = 0;
};

void add_reads(const json& node, const std::string& table, const std::string& index, Reads& reads) {
  const bool is_read = node.value("Node Type", "").ends_with("Scan");
  if (is_read && node.value("Relation Name", "") == table) {
    // The look for jumps to be confirmed, of which there are few.
    const auto used = node.value("Index Name", "");
    reads.is_by_index_alone =
        reads.is_by_index_alone && (used == index || used == "work_item_confirming");
    reads.rows += (node.value("Actual Rows", 0.0) + node.value("Rows Removed by Filter", 0.0)) *
                  node.value("Actual Loops", 1.0);
  }
  for (const auto& child : node.value("Plans", json::array())) {
    add_reads(child, table, index, reads);
  }
}

/// Carries out a prepared statement and gives its plan, as JSON.
std::string explain(pqxx::nontransaction& sql, const std::string& call) {
  return sql.exec("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE " + call)
      .one_row()[0]
      .as<std::string>();
}

void fill_history(pqxx::nontransaction& sql, int rows) {
  sql.exec(
      "INSERT INTO work_item (campaign_id, kind, number, state, priority, epoch, runtime)"
      " SELECT 1, 'evaluation', n, 'done', 50, 1, 'cpp' FROM generate_series($1::bigint,"
      " $2::bigint) n",
      pqxx::params{100'000, 100'000 + rows - 1});
  sql.exec(
      "INSERT INTO attempt (item_id, epoch, agent_id, agent_name, ended_at, outcome)"
      " SELECT id, 1, 'agent', 'agent', now(), 'finished' FROM work_item WHERE number >= 100000");
}

/// A campaign that nobody drives, with a deep queue behind a long history, and one beside it that
/// had its turn.
void fill(pqxx::nontransaction& sql) {
  sql.exec(
      "UPDATE campaign SET driver_id = 'test', driver_epoch = 100, driver_expires_at = 'infinity'");
  sql.exec("SET session_replication_role = replica");
  fill_history(sql, kFinished);
  sql.exec(
      "INSERT INTO work_item (campaign_id, kind, number, state, priority, epoch, runtime)"
      " SELECT 1 + n % 2, 'evaluation', n, 'ready', 50, n % 3, 'cpp' FROM"
      " generate_series($1::bigint, $2::bigint) n",
      pqxx::params{10'000'000, 10'000'000 + kReady - 1});
  sql.exec("ANALYZE work_item, attempt");
}

/// Rows that were read from the tables of work so far: whole tables, and by index. Sessions tell
/// their counts at most once a second.
struct TableReads {
  std::int64_t whole = 0;
  std::int64_t by_index = 0;
};

TableReads reads_so_far(const Service& service) {
  std::this_thread::sleep_for(milliseconds(2'500));
  const auto sum = [&service](const std::string& column) {
    return query_number(service.database,
                        "SELECT sum(" + column +
                            ")::bigint FROM pg_stat_user_tables WHERE relname IN ('work_item',"
                            " 'attempt', 'evaluation', 'variant', 'proposal', 'event', 'open_call',"
                            " 'model_call', 'result')");
  };
  return {.whole = sum("seq_tup_read"), .by_index = sum("coalesce(idx_tup_fetch, 0)")};
}

/// Claims and reports until so many items are finished.
void work(Service& service, int items) {
  int finished = 0;
  REQUIRE(eventually([&] {
    finished += work_once(service.worker, service.codegen);
    return finished >= items;
  }));
}

}  // namespace

// Statements keep their plans, and the first ones are made when every table is empty.
TEST_CASE("plan: no step, claim, report or heartbeat reads a table whole, however it has grown",
          "[integration][coordinator]") {
  constexpr int kItems = 60;
  constexpr int kRowsOfItem = 300;
  Service service;
  service.user.create(service.user.make_spec("grows", 1'000));
  work(service, kItems);
  {
    pqxx::connection connection(service.database);
    pqxx::nontransaction sql(connection);
    sql.exec("SET session_replication_role = replica");
    fill_history(sql, kGrown);
  }
  const auto before = reads_so_far(service);
  work(service, kItems);
  const auto after = reads_so_far(service);
  CHECK(after.whole - before.whole < kGrown);
  CHECK(after.by_index - before.by_index < kItems * kRowsOfItem);
}

TEST_CASE("plan: a renewal looks at its own leases, where the statistics know of none",
          "[integration][coordinator]") {
  constexpr int kHeld = 20;
  Service service;
  service.start_and_claim_seed("held");
  pqxx::connection connection(service.database);
  pqxx::nontransaction sql(connection);
  sql.exec("SET session_replication_role = replica");
  fill_history(sql, kReady);
  sql.exec("ANALYZE work_item");
  sql.exec("UPDATE work_item SET state = 'leased', agent_id = 'agent' WHERE number >= 100000");
  const auto array = [&sql](const std::string& value) {
    return sql
        .exec("SELECT array_agg(" + value + ")::text FROM (SELECT * FROM work_item WHERE number" +
              " BETWEEN 100000 AND " + std::to_string(100'000 + kHeld - 1) + ") AS held")
        .one_row()[0]
        .as<std::string>();
  };
  for (const char* method : {"seqscan", "hashjoin", "mergejoin"}) {  // As on its connections.
    sql.exec(std::string("SET enable_") + method + " = off");
  }
  sql.exec(std::string("PREPARE renew AS ") + coordinator::postgres::kRenewLeases);
  for (const char* mode : {"force_generic_plan", "force_custom_plan"}) {
    sql.exec(std::string("SET plan_cache_mode = ") + mode);
    const auto explained = explain(sql, "renew('" + array("id") + "', '" + array("epoch") + "', '" +
                                            array("agent_id") + "', 60000)");
    INFO(mode << "\n" << explained);
    const auto plan = json::parse(explained).at(0).at("Plan");
    Reads items;
    add_reads(plan, "work_item", "work_item_pkey", items);
    CHECK(items.is_by_index_alone);
    CHECK(items.rows <= 2 * kHeld);  // Looked for, and looked at again to be written.
    CHECK(plan.at("Actual Rows").get<double>() == kHeld);
  }
}

TEST_CASE("plan: a claim touches what it takes, beside a million finished items and a deep queue",
          "[integration][coordinator]") {
  Service service;
  service.start_and_claim_seed("first", 5);
  service.user.create(service.user.make_spec("second", 5));
  pqxx::connection connection(service.database);
  pqxx::nontransaction sql(connection);
  fill(sql);
  sql.exec(std::string("PREPARE pick AS ") + coordinator::postgres::kPickEvaluations);
  for (const char* mode : {"force_generic_plan", "force_custom_plan"}) {
    sql.exec(std::string("SET plan_cache_mode = ") + mode);
    const auto explained = explain(sql, "pick('{agent-1,agent-2}', '{cpp}', 2, 0, " +
                                            std::to_string(kWanted) + ", '{1}', '{0}')");
    INFO(mode << "\n" << explained);
    const auto plan = json::parse(explained).at(0).at("Plan");
    Reads items;
    add_reads(plan, "work_item", "work_item_queue", items);
    CHECK(items.is_by_index_alone);
    CHECK(items.rows >= kWanted);
    CHECK(items.rows <= 2 * kWanted);
    Reads attempts;
    add_reads(plan, "attempt", "attempt_pkey", attempts);
    CHECK(attempts.is_by_index_alone);
    CHECK(attempts.rows <= 4 * kWanted);
    CHECK(plan.at("Actual Rows").get<double>() == kWanted);
    CHECK(plan.value("Shared Hit Blocks", 0) + plan.value("Shared Read Blocks", 0) <= kBuffersMax);
  }
}

TEST_CASE("plan: a claim takes campaigns by priority, then in turns, and the oldest items first",
          "[integration][coordinator]") {
  Service service;
  service.start_and_claim_seed("first", 5);
  service.user.create(service.user.make_spec("second", 5));
  auto urgent = service.user.make_spec("third", 5);
  urgent.set_priority(90);
  service.user.create(urgent);
  pqxx::connection connection(service.database);
  pqxx::nontransaction sql(connection);
  sql.exec(
      "UPDATE campaign SET driver_id = 'test', driver_epoch = 100, driver_expires_at = 'infinity'");
  sql.exec("DELETE FROM work_item");
  sql.exec(
      "INSERT INTO work_item (campaign_id, kind, number, priority, runtime)"
      " SELECT 1 + n % 3, 'evaluation', 1000 - n, 50, 'cpp' FROM generate_series(1, 9) n");
  sql.exec(std::string("PREPARE pick AS ") + coordinator::postgres::kPickEvaluations);
  const auto campaigns = [&sql](const std::string& served, const std::string& starts) {
    std::string order;
    std::int64_t last = 0;
    for (const auto& row : sql.exec("EXECUTE pick('{agent-1}', '{cpp}', 2, 0, 9, '" + served +
                                    "', '" + starts + "')")) {
      const auto campaign = row[0].as<std::string>();
      if (!order.ends_with(campaign)) last = 0;
      order += campaign;
      CHECK(row[1].as<std::int64_t>() > last);
      last = row[1].as<std::int64_t>();
    }
    return order;
  };
  CHECK(campaigns("{}", "{}") == "333111222");
  CHECK(campaigns("{1}", "{0}") == "333222111");
  CHECK(campaigns("{2,1}", "{0,0}") == "333222111");
  // A hint leaves out what lies before it.
  CHECK(campaigns("{1}", "{1000000000}") == "333222");
}
