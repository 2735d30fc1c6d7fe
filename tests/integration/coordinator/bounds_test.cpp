#include <algorithm>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <future>
#include <pqxx/pqxx>
#include <set>
#include <thread>

#include "cambrian/agent/v1/blob_service.grpc.pb.h"
#include "common/rpc/channel.hpp"
#include "tests/integration/coordinator/fixture.hpp"

// What a campaign of a hundred thousand rows must not do to the rest: rows are made by hand.
using namespace cambrian;
using namespace cambrian::test;

namespace {

void run(const Service& service, const std::string& sql) {
  pqxx::connection connection(service.database);
  pqxx::nontransaction(connection).exec(sql);
}

/// Files as a variant stores them: `count` of them, 300 bytes each.
std::string files_json(int count) {
  return "(SELECT jsonb_agg(jsonb_build_object('path', repeat('p', 200) || f,"
         " 'sha256', repeat('a', 64))) FROM generate_series(1, " +
         std::to_string(count) + ") f)";
}

/// Variants behind the seed, each the child of the one before.
void add_variants(const Service& service, int count, const std::string& files) {
  run(service,
      "INSERT INTO variant (campaign_id, number, parents, generation, files, token_digest,"
      " source_tokens, state, score) SELECT 1, n, ARRAY[n - 1], n, " +
          files +
          ", md5(n::text), 1, 'evaluated', CASE WHEN n % 10 > 0 THEN n * 7919 % 10007 END"
          " FROM generate_series(1, " +
          std::to_string(count) + ") n");
  run(service, "ANALYZE variant");
}

/// Finished evaluations of the seed.
void add_evaluations(const Service& service, int count) {
  run(service,
      "INSERT INTO evaluation (campaign_id, number, variant, split, seed, is_final, outcome)"
      " SELECT 1, n, 0, 'validation', n, n > " +
          std::to_string(count) + " - 4, 'success' FROM generate_series(10, " +
          std::to_string(count) + ") n");
  run(service, "ANALYZE evaluation");
}

/// Rows of a table that statements have looked at so far. Backends tell it once a second.
std::int64_t rows_read(const Service& service, const std::string& table) {
  return query_number(service.database,
                      "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables"
                      " WHERE relname = '" +
                          table + "'");
}

std::int64_t scans(const Service& service, const std::string& index) {
  return query_number(service.database,
                      "SELECT coalesce(sum(idx_scan), 0)::bigint FROM pg_stat_user_indexes"
                      " WHERE indexrelname = '" +
                          index + "'");
}

user::v1::ListVariantsResponse list_by_score(Service& service, int size, const std::string& token) {
  user::v1::ListVariantsRequest request;
  request.set_campaign("large");
  request.set_order(user::v1::VARIANT_ORDER_SCORE);
  request.set_page_size(size);
  request.set_page_token(token);
  user::v1::ListVariantsResponse response;
  grpc::ClientContext context;
  rpc::set_deadline(context, milliseconds(20'000));
  CHECK(service.user.variant_stub().ListVariants(&context, request, &response).ok());
  return response;
}

std::string queries(const Service& service, const std::string& name) {
  const auto page = fetch_metrics(service.coordinator.metrics_address());
  const auto begin =
      page.find("cambrian_coordinator_database_query_duration_seconds_count{query=\"" + name);
  return begin == std::string::npos ? "" : page.substr(begin, page.find('\n', begin) - begin);
}

}  // namespace

TEST_CASE("bounds: the best variants are read from an index, in both directions",
          "[integration][coordinator]") {
  Service service;
  service.start_and_claim_seed("large");
  add_variants(service, 20'000, "'[]'");
  for (const std::string index : {"variant_score_high", "variant_score_low"}) {
    INFO(index);
    const bool is_maximized = index == "variant_score_high";
    run(service,
        std::string("UPDATE campaign SET is_maximized = ") + (is_maximized ? "true" : "false"));
    const auto before = rows_read(service, "variant");
    int calls = 0;
    REQUIRE(eventually([&] {
      ++calls;
      list_by_score(service, 10, "");
      return scans(service, index) > 0;
    }));
    CHECK(rows_read(service, "variant") - before < 50 * calls);
    const auto first = list_by_score(service, 10, "");
    const auto second = list_by_score(service, 10, first.next_page_token());
    std::vector<std::pair<double, std::int64_t>> order;
    for (const auto* page : {&first, &second}) {
      for (const auto& one : page->variants()) {
        order.emplace_back(is_maximized ? -one.score() : one.score(), one.number());
      }
    }
    REQUIRE(order.size() == 20);
    CHECK(std::ranges::is_sorted(order));
    CHECK(order.front().first == (is_maximized ? -10006 : 0));
    CHECK_FALSE(list_by_score(service, 10, "19990").variants(0).has_score());
  }
}

TEST_CASE("bounds: watchers and users do not walk all evaluations", "[integration][coordinator]") {
  Service service;
  service.start_and_claim_seed("large");
  add_evaluations(service, 20'000);
  const auto before = rows_read(service, "evaluation");
  int calls = 0;
  user::v1::Campaign campaign;
  REQUIRE(eventually([&] {
    ++calls;
    campaign = service.user.get("large");
    return scans(service, "evaluation_final") > 0;
  }));
  CHECK(campaign.has_final_seed());
  CHECK(rows_read(service, "evaluation") - before < 50 * calls);
  // A look for events is not a look at the whole campaign.
  const auto looks = queries(service, "campaign_get");
  for (int i = 0; i < 10; ++i) CHECK(service.user.events("large", 0).size() > 1);
  CHECK(queries(service, "campaign_get") == looks);
}

TEST_CASE("bounds: nobody walks through the campaigns that have ended",
          "[integration][coordinator]") {
  Service service;
  service.start_and_claim_seed("large");
  run(service,
      "INSERT INTO campaign (name, spec, definition, task_digest, task_name, objective_metric,"
      " is_maximized, priority, state, ended_at) SELECT 'old-' || n, spec, definition, task_digest,"
      " task_name, objective_metric, is_maximized, priority, 'succeeded', now() - interval '1 day'"
      " FROM campaign, generate_series(1, 5000) n");
  run(service, "VACUUM ANALYZE campaign");
  const auto page = [&] { return fetch_metrics(service.coordinator.metrics_address()); };
  const std::string count = "cambrian_coordinator_campaigns{state=\"succeeded\"} 5000";
  REQUIRE(eventually([&] { return page().find(count) != std::string::npos; }));
  const auto before = rows_read(service, "campaign");
  const auto polls = queries(service, "last_sequences");
  const auto overviews = queries(service, "overview");
  CHECK(eventually([&] {
    return queries(service, "last_sequences") != polls && queries(service, "overview") != overviews;
  }));
  std::this_thread::sleep_for(milliseconds(2'500));  // The statistics come once a second.
  CHECK(rows_read(service, "campaign") - before < 1'000);
  // The one that runs is told of, though many newer ones have ended.
  CHECK(page().find("cambrian_coordinator_campaign_budget_used_ratio{budget=\"evaluations\","
                    "campaign=\"large\"}") != std::string::npos);
}

TEST_CASE("bounds: contents that move slowly do not keep users waiting",
          "[integration][coordinator]") {
  Service service;
  service.start_and_claim_seed("large");
  pqxx::connection connection(service.database);
  pqxx::work lock(connection);
  lock.exec("LOCK TABLE blob IN ACCESS EXCLUSIVE MODE");
  std::atomic<int> answered = 0;
  std::vector<std::future<void>> downloads;
  for (int i = 0; i < 16; ++i) {
    downloads.push_back(std::async(std::launch::async, [&] {
      const auto stub = agent::v1::BlobService::NewStub(service.coordinator.channel());
      grpc::ClientContext context;
      rpc::set_deadline(context, milliseconds(10'000));
      agent::v1::DownloadBlobRequest request;
      request.set_sha256(std::string(64, 'a'));
      const auto reader = stub->DownloadBlob(&context, request);
      agent::v1::DownloadBlobResponse response;
      while (reader->Read(&response)) {
      }
      if (reader->Finish().error_code() == grpc::StatusCode::NOT_FOUND) ++answered;
    }));
  }
  CHECK(eventually([&] {
    return query_number(service.database,
                        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                        " AND datname = current_database()") >= 2;
  }));
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 10; ++i) service.user.get("large");
  CHECK(std::chrono::steady_clock::now() - begin < milliseconds(2'000));
  lock.commit();
  for (auto& download : downloads) download.get();
  CHECK(answered == 16);
}

TEST_CASE("bounds: a large campaign is gone at once, and its rows go batch by batch",
          "[integration][coordinator]") {
  Service service;
  const auto seed = service.start_and_claim_seed("large");
  service.user.stop("large");
  REQUIRE(service.worker.finish(seed.lease(), success(1)).ok());
  REQUIRE(eventually([&] { return has_ended(service.user.get("large").state()); }));
  add_variants(service, 2'500, "'[]'");
  add_evaluations(service, 2'500);
  run(service,
      "INSERT INTO work_item (campaign_id, kind, number, state, priority)"
      " SELECT 1, 'evaluation', n, 'done', 50 FROM generate_series(10, 2500) n");
  run(service,
      "INSERT INTO result (content_key, toolchain, campaign_id, number)"
      " SELECT md5(n::text), 'some', 1, n FROM generate_series(10, 2500) n");
  run(service,
      "INSERT INTO rung (campaign_id, rung, number, value, is_hopeless)"
      " SELECT 1, 0.5, n, 0, false FROM generate_series(10, 2500) n");
  run(service,
      "INSERT INTO event (campaign_id, sequence, type, is_input, message, payload)"
      " SELECT 1, n, 'filler', false, '', '{}' FROM generate_series(1000, 20000) n");
  // Each statement notes how many rows it took, and is slow.
  run(service, "CREATE TABLE deletion (rows bigint NOT NULL)");
  run(service,
      "CREATE FUNCTION note_deletion() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
      " INSERT INTO deletion SELECT count(*) FROM gone; PERFORM pg_sleep(0.02); RETURN NULL;"
      " END $$");
  for (const std::string table :
       {"event", "evaluation", "variant", "work_item", "result", "rung"}) {
    run(service, "CREATE TRIGGER note_deletion AFTER DELETE ON " + table +
                     " REFERENCING OLD TABLE AS gone FOR EACH STATEMENT"
                     " EXECUTE FUNCTION note_deletion()");
  }

  REQUIRE(service.user.remove("large").ok());
  for (const std::string view :
       {"campaign WHERE name", "leaderboard WHERE campaign", "lineage WHERE campaign",
        "usage WHERE campaign", "progress WHERE campaign"}) {
    INFO(view);
    CHECK(query_number(service.database, "SELECT count(*) FROM grafana." + view +
                                             " IN ('large', 'deleting:1')") == 0);
  }
  CHECK_THROWS(service.user.get("deleting:1"));
  CHECK_THROWS(service.user.variants("deleting:1"));
  CHECK_THROWS(service.user.events("deleting:1"));
  CHECK(service.user.remove("large").error_code() == grpc::StatusCode::NOT_FOUND);
  user::v1::ListCampaignsResponse list;
  grpc::ClientContext context;
  REQUIRE(service.user.campaigns().ListCampaigns(&context, {}, &list).ok());
  CHECK(list.campaigns().empty());
  service.user.create(service.user.make_spec("large", 7));
  // Another coordinator goes on where this one stopped.
  CHECK(eventually([&] {
    return query_number(service.database, "SELECT count(*) FROM deletion WHERE rows > 0") > 2;
  }));
  service.crash_and_restart();
  CHECK(eventually(
      [&] {
        return query_number(service.database, "SELECT count(*) FROM campaign WHERE id = 1") == 0;
      },
      milliseconds(30'000)));
  for (const std::string table : {"event", "variant", "evaluation", "proposal", "work_item",
                                  "model_call", "result", "rung"}) {
    INFO(table);
    CHECK(query_number(service.database,
                       "SELECT count(*) FROM " + table + " WHERE campaign_id = 1") == 0);
  }
  CHECK(query_number(service.database, "SELECT max(rows) FROM deletion") == 1'000);
  CHECK(service.user.get("large").spec().budget().evaluations() == 7);
}

TEST_CASE("bounds: a lineage that outgrows a message comes in pages",
          "[integration][coordinator]") {
  Service service;
  service.start_and_claim_seed("large");
  constexpr int kVariants = 400;
  add_variants(service, kVariants, files_json(64));
  user::v1::GetLineageRequest request;
  request.set_campaign("large");
  request.set_number(kVariants);
  std::vector<std::int64_t> line;
  int pages = 0;
  do {
    user::v1::GetLineageResponse response;
    grpc::ClientContext context;
    const auto status = service.user.variant_stub().GetLineage(&context, request, &response);
    INFO(status.error_message());
    REQUIRE(status.ok());
    for (const auto& one : response.variants()) line.push_back(one.number());
    request.set_page_token(response.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  CHECK(pages > 1);
  REQUIRE(line.size() == kVariants + 1);
  for (int i = 0; i <= kVariants; ++i) CHECK(line[static_cast<std::size_t>(i)] == kVariants - i);

  request.set_page_size(3);
  user::v1::GetLineageResponse response;
  grpc::ClientContext context;
  REQUIRE(service.user.variant_stub().GetLineage(&context, request, &response).ok());
  CHECK(response.variants_size() == 3);
  CHECK(response.next_page_token() == std::to_string(kVariants - 3));
}

TEST_CASE("bounds: a variant with many long results fits into a message",
          "[integration][coordinator]") {
  Service service;
  service.start_and_claim_seed("large");
  add_evaluations(service, 200);
  run(service,
      "UPDATE evaluation SET diagnostics = repeat('d', 16384), log = repeat('l', 65536),"
      " metrics = (SELECT jsonb_object_agg(repeat('m', 100) || n, n) FROM generate_series(1, 256) "
      "n)"
      " WHERE outcome IS NOT NULL");
  const auto variant = service.user.variant("large", 0);
  // All of them: the finals, which come last, are what the user looks for.
  REQUIRE(variant.evaluations_size() == 192);
  CHECK(variant.evaluations(1).result().diagnostics().size() == 16'384);
  CHECK(variant.evaluations(1).result().log().size() == 65'536);
  CHECK(variant.evaluations(9).result().log().empty());
  CHECK(variant.evaluations(191).result().diagnostics().empty());
  CHECK(variant.evaluations(191).result().outcome() == agent::v1::EVALUATION_OUTCOME_SUCCESS);
  CHECK(variant.evaluations(191).is_final());
}

TEST_CASE("bounds: work that outgrows a message is given out in several answers",
          "[integration][coordinator]") {
  Service service;
  service.start_and_claim_seed("large");
  run(service, "UPDATE variant SET files = " + files_json(300));
  run(service,
      "INSERT INTO evaluation (campaign_id, number, variant, split, seed, is_final)"
      " SELECT 1, n, 0, 'validation', n, false FROM generate_series(10, 73) n");
  run(service,
      "INSERT INTO work_item (campaign_id, kind, number, priority, runtime)"
      " SELECT 1, 'evaluation', n, 50, 'cpp' FROM generate_series(10, 73) n");
  run(service,
      "INSERT INTO proposal (campaign_id, number, operator, parents, inspirations, failures, seed,"
      " variants, model) SELECT 1, n, 'diff', '{0}', array_fill(0, '{4}'), array_fill(0, '{4}'),"
      " n, 1, '' FROM generate_series(10, 25) n");
  run(service,
      "INSERT INTO work_item (campaign_id, kind, number, priority)"
      " SELECT 1, 'proposal', n, 50 FROM generate_series(10, 25) n");
  for (auto* agent : {&service.worker, &service.codegen}) {
    const bool is_worker = agent == &service.worker;
    std::set<std::int64_t> items;
    std::vector<agent::v1::Assignment> held;
    int answers = 0;
    while (answers < 20) {
      auto request = agent->make_sync(64);
      for (const auto& one : held) *request.add_running()->mutable_lease() = one.lease();
      agent::v1::SyncResponse response;
      const auto status = agent->sync(request, &response);
      INFO(status.error_message());
      REQUIRE(status.ok());
      CHECK(response.cancelled().empty());
      if (response.assignments().empty()) break;
      ++answers;
      for (const auto& one : response.assignments()) {
        held.push_back(one);
        CHECK(items.insert(one.lease().item_id()).second);
      }
    }
    CHECK(answers > 1);
    CHECK(items.size() == (is_worker ? 64 : 16));
  }
  // Nobody is to blame for what was given back.
  CHECK(query_number(service.database, "SELECT sum(worker_faults + losses) FROM work_item") == 0);
}
