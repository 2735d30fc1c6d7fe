#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <future>
#include <pqxx/pqxx>
#include <thread>

#include "tests/integration/coordinator/fixture.hpp"

using namespace cambrian;
using namespace cambrian::test;

namespace {

/// A claim of another coordinator that has taken its row and has not committed yet.
class OpenClaim {
 public:
  OpenClaim(Service& service, const std::string& kind, const std::string& agent_id)
      : connection_(service.database), transaction_(connection_) {
    const auto row =
        transaction_
            .exec(
                "UPDATE work_item SET state = 'leased', epoch = epoch + 1, agent_id = $2,"
                " renewed_at = now(), lease_expires_at = now() + interval '1 minute',"
                " attempt_deadline = now() + interval '1 hour'"
                " WHERE kind = $1 AND state = 'ready' RETURNING id, epoch, number",
                pqxx::params{kind, agent_id})
            .one_row();
    lease_.set_item_id(row[0].as<std::int64_t>());
    lease_.set_epoch(row[1].as<std::int64_t>());
    number_ = row[2].as<std::int64_t>();
    transaction_.exec(
        "INSERT INTO attempt (item_id, epoch, agent_id, agent_name) VALUES ($1, $2, $3, 'other')",
        pqxx::params{lease_.item_id(), lease_.epoch(), agent_id});
  }

  void commit() { transaction_.commit(); }
  const agent::v1::Lease& lease() const { return lease_; }
  std::int64_t number() const { return number_; }

 private:
  pqxx::connection connection_;
  pqxx::work transaction_;
  agent::v1::Lease lease_;
  std::int64_t number_ = 0;
};

bool is_somebody_waiting(const Service& service) {
  return query_number(service.database,
                      "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                      " AND datname = current_database()") > 0;
}

std::int64_t open_attempts(const Service& service) {
  return query_number(service.database,
                      "SELECT count(*) FROM attempt a JOIN work_item w ON w.id = a.item_id"
                      " WHERE a.ended_at IS NULL AND w.state IN ('done', 'cancelled')");
}

void run(const Service& service, const std::string& sql) {
  pqxx::connection connection(service.database);
  pqxx::nontransaction(connection).exec(sql);
}

}  // namespace

TEST_CASE("stop: a claim in flight has begun, and is finished and counted",
          "[integration][coordinator]") {
  Service service;
  const auto seed = service.start_and_claim_seed("in-flight", 50);
  REQUIRE(service.worker.finish(seed.lease(), success(1)).ok());
  const auto proposals = service.codegen.claim(1);
  REQUIRE(proposals.size() == 1);
  REQUIRE(service.codegen.finish(proposals[0].lease(), proposal_of(1)).ok());
  REQUIRE(eventually([&] { return service.user.get("in-flight").evaluations_open() == 1; }));

  OpenClaim claim(service, "evaluation", service.worker.id());
  auto stop = std::async(std::launch::async, [&] { return service.user.stop("in-flight"); });
  CHECK(eventually([&] { return is_somebody_waiting(service); }));
  claim.commit();
  stop.get();
  CHECK(query_number(service.database,
                     "SELECT (payload #>> '{begun,0}')::bigint FROM event"
                     " WHERE type = 'stop_requested'") == claim.number());
  CHECK(service.worker.finish(claim.lease(), success(2)).ok());
  CHECK(eventually([&] { return has_ended(service.user.get("in-flight").state()); }));
  CHECK(service.user.get("in-flight").consumption().evaluations() == 2);
  CHECK(open_attempts(service) == 0);
}

TEST_CASE("stop: an item that is claimed while it is withdrawn leaves no attempt open",
          "[integration][coordinator]") {
  Service service;
  auto spec = service.user.make_spec("withdrawn", 50);
  spec.mutable_budget()->set_tokens(100'000);
  service.user.create(spec);
  const auto seed = service.worker.claim(1);
  REQUIRE(seed.size() == 1);
  REQUIRE(service.worker.finish(seed[0].lease(), success(1)).ok());
  REQUIRE(eventually([&] { return service.user.get("withdrawn").proposals_open() == 2; }));
  const auto dear = service.codegen.claim(1);
  REQUIRE(dear.size() == 1);

  OpenClaim claim(service, "proposal", service.codegen.id());
  // The budget ends here: the search withdraws the other proposal.
  REQUIRE(service.codegen.finish(dear[0].lease(), proposal_of(1, 100'000)).ok());
  CHECK(eventually([&] { return is_somebody_waiting(service); }));
  claim.commit();
  CHECK(eventually([&] { return service.user.get("withdrawn").proposals_open() == 0; }));
  CHECK(service.user.get("withdrawn").end_reason() == user::v1::END_REASON_TOKENS);
  CHECK(open_attempts(service) == 0);
  CHECK(query_number(service.database,
                     "SELECT count(*) FROM attempt WHERE outcome = 'cancelled'") == 1);
  CHECK(is_lease_lost(service.codegen.finish(claim.lease(), proposal_of(1))));
}

TEST_CASE("stop: nothing is given out between the wish and the search's answer",
          "[integration][coordinator]") {
  Service service;
  const auto seed = service.start_and_claim_seed("between", 50);
  REQUIRE(service.worker.finish(seed.lease(), success(1)).ok());
  REQUIRE(eventually([&] { return service.user.get("between").proposals_open() == 2; }));
  // Nobody drives: the wish waits in the log.
  run(service,
      "UPDATE campaign SET driver_id = 'nobody', driver_epoch = driver_epoch + 1,"
      " driver_expires_at = now() + interval '1 hour'");
  auto stop = std::async(std::launch::async, [&] { return service.user.stop("between"); });
  REQUIRE(eventually([&] {
    return query_number(service.database,
                        "SELECT count(*) FROM event WHERE type = 'stop_requested'") == 1;
  }));
  // What a step writes that was under way then.
  run(service,
      "INSERT INTO evaluation (campaign_id, number, variant, split, seed, is_final)"
      " VALUES (1, 99, 0, 'validation', 1, false)");
  run(service,
      "INSERT INTO work_item (campaign_id, kind, number, priority, runtime)"
      " VALUES (1, 'evaluation', 99, 50, 'cpp')");
  CHECK(service.worker.claim(1, milliseconds(300)).empty());
  CHECK(service.codegen.claim(1, milliseconds(300)).empty());
  run(service, "UPDATE campaign SET driver_id = NULL, driver_expires_at = NULL");
  stop.get();
  CHECK(eventually([&] { return has_ended(service.user.get("between").state()); }));
  CHECK(service.user.get("between").consumption().evaluations() == 1);
  CHECK(query_number(service.database, "SELECT count(*) FROM attempt") == 1);
}

TEST_CASE("stop: whatever many agents have begun is finished and counted, and nothing else",
          "[integration][coordinator]") {
  Service service;
  auto spec = service.user.make_spec("busy", 10'000);
  spec.mutable_search()->set_policy(spec::v1::POLICY_RANDOM);
  spec.mutable_evaluation()->set_parallel(64);
  spec.mutable_codegen()->set_parallel(16);
  spec.mutable_codegen()->set_variants(4);
  service.user.create(spec);
  std::atomic<bool> is_over = false;
  std::atomic<int> finished = 0;
  std::atomic<int> refused = 0;
  std::vector<std::thread> agents;
  for (int i = 0; i < 8; ++i) {
    agents.emplace_back([&, is_codegen = i % 4 == 0] {
      ScriptedAgent agent(service.coordinator.channel(),
                          is_codegen ? agent::v1::AGENT_KIND_CODEGEN : agent::v1::AGENT_KIND_WORKER,
                          "agent");
      while (!is_over) {
        for (const auto& one : agent.claim(is_codegen ? 2 : 1, milliseconds(200))) {
          if (is_codegen) {
            agent.finish(one.lease(), proposal_of(one.proposal().variants()));
          } else {
            ++(agent.finish(one.lease(), success(score_of(one.evaluation()))).ok() ? finished
                                                                                   : refused);
          }
        }
      }
    });
  }
  CHECK(eventually([&] { return finished > 60; }, milliseconds(60'000)));
  service.user.stop("busy");
  CHECK(eventually([&] { return has_ended(service.user.get("busy").state()); }));
  is_over = true;
  for (auto& agent : agents) agent.join();
  CHECK(refused == 0);
  CHECK(service.user.get("busy").consumption().evaluations() == finished);
  CHECK(open_attempts(service) == 0);
  CHECK(query_number(service.database,
                     "SELECT count(*) FROM attempt a JOIN work_item w ON w.id = a.item_id"
                     " WHERE w.kind = 'evaluation' AND a.outcome <> 'finished'") == 0);
}
