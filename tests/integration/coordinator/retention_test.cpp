#include <catch2/catch_test_macros.hpp>
#include <pqxx/pqxx>
#include <thread>

#include "tests/integration/coordinator/fixture.hpp"
#include "tests/integration/coordinator/replay_check.hpp"

using namespace cambrian;
using namespace cambrian::test;

namespace {

std::int64_t count(const Service& service, const std::string& from) {
  return query_number(service.database, "SELECT count(*) FROM " + from);
}

std::string of(const std::string& table, const std::string& campaign) {
  return table + " x JOIN campaign c ON c.id = x.campaign_id AND c.name = '" + campaign + "'";
}

}  // namespace

TEST_CASE("retention: of a campaign that ended long ago the details go, and it can be replayed",
          "[integration][coordinator]") {
  Service service({.more_config = "keep_details: 6s\n"});
  service.user.create(service.user.make_spec("old", 8));
  REQUIRE(work_until_ended(service.user, "old", service.worker, service.codegen));
  {
    pqxx::connection connection(service.database);
    pqxx::nontransaction sql(connection);
    sql.exec("UPDATE evaluation SET log = 'much', diagnostics = 'more'");
  }
  const auto before = service.user.get("old");
  const auto variants = count(service, of("variant", "old"));
  const auto calls = count(service, of("model_call", "old"));
  CHECK(count(service, of("work_item", "old")) > 0);  // Not at once.

  // One that goes on keeps everything.
  const auto seed = service.start_and_claim_seed("young");
  REQUIRE(service.worker.finish(seed.lease(), success(1)).ok());
  REQUIRE(eventually([&] { return count(service, "campaign WHERE is_compacted") == 1; }));
  CHECK(count(service, of("work_item", "old")) == 0);
  CHECK(count(service,
              "attempt a WHERE NOT EXISTS (SELECT 1 FROM work_item w"
              " WHERE w.id = a.item_id)") == 0);
  CHECK(count(service, of("evaluation", "old") + " WHERE x.log <> '' OR x.diagnostics <> ''") == 0);
  CHECK(count(service, of("proposal", "old") + " WHERE x.result_variants <> '[]'") == 0);
  CHECK(count(service, of("work_item", "young")) > 0);
  CHECK(count(service, "campaign WHERE name = 'young' AND NOT is_compacted") == 1);

  CHECK(count(service, of("variant", "old")) == variants);
  CHECK(count(service, of("model_call", "old")) == calls);
  const auto after = service.user.get("old");
  CHECK(after.SerializeAsString() == before.SerializeAsString());
  check_replay(service.user, "old");
}

TEST_CASE("retention: without a limit everything stays, and one of less than a second is refused",
          "[integration][coordinator]") {
  Service service;
  service.user.create(service.user.make_spec("kept", 4));
  REQUIRE(work_until_ended(service.user, "kept", service.worker, service.codegen));
  {
    pqxx::connection connection(service.database);
    pqxx::nontransaction(connection)
        .exec("UPDATE campaign SET ended_at = now() - interval '10 years'");
  }
  const auto items = count(service, of("work_item", "kept"));
  std::this_thread::sleep_for(milliseconds(3'000));  // Three looks of the clean-up.
  CHECK(count(service, of("work_item", "kept")) == items);
  const auto refused = [] {
    try {
      CoordinatorProcess({.database = "dbname=none", .more_config = "keep_details: 10ms\n"});
    } catch (const std::runtime_error& error) {
      return std::string(error.what());
    }
    return std::string();
  }();
  CHECK(refused.find("keep_details must be at least 1 s") != std::string::npos);
}
