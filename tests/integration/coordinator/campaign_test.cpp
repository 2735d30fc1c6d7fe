#include <catch2/catch_test_macros.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "tests/integration/coordinator/fixture.hpp"
#include "tests/integration/coordinator/replay_check.hpp"

using namespace cambrian;
using namespace cambrian::test;

namespace {

/// Field paths of an INVALID_ARGUMENT.
std::set<std::string> fields_of(const grpc::Status& status) {
  std::set<std::string> fields;
  for (const auto& violation : rpc::details_of(status).field_violations) {
    fields.insert(violation.field);
  }
  return fields;
}

}  // namespace

TEST_CASE("coordinator: a campaign makes exactly its evaluations and ends",
          "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  const auto created = user.create(user.make_spec("first", 12));
  CHECK(created.state() == user::v1::CAMPAIGN_STATE_RUNNING);
  CHECK(created.spec().codegen().output_tokens() == 4096);
  CHECK(created.spec().task().parameters().at("rounds") == 10);
  REQUIRE(work_until_ended(user, "first", service.worker, service.codegen));

  const auto campaign = user.get("first");
  CHECK(campaign.state() == user::v1::CAMPAIGN_STATE_SUCCEEDED);
  CHECK(campaign.end_reason() == user::v1::END_REASON_EVALUATIONS);
  CHECK(campaign.consumption().evaluations() == 12);
  CHECK(campaign.consumption().evaluations_failed() == 0);
  CHECK(campaign.evaluations_open() == 0);
  CHECK(campaign.proposals_open() == 0);
  CHECK(campaign.has_end_time());
  CHECK(campaign.has_seed_score());
  CHECK(campaign.best_score() >= campaign.seed_score());
  CHECK(campaign.final_seed().validation().at("score").values_size() == 2);
  CHECK(campaign.final_seed().validation().at("score").has_standard_error());
  CHECK(campaign.final_best().sealed().at("score").values_size() == 2);

  const auto variants = user.variants("first");
  CHECK(variants.size() == 12);
  for (const auto& variant : variants) CHECK(variant.state() == user::v1::VARIANT_STATE_EVALUATED);

  const auto events = user.events("first");
  REQUIRE(!events.empty());
  CHECK(events.front().type() == "campaign_created");
  CHECK(events.back().type() == "phase_changed");
  for (std::size_t i = 0; i < events.size(); ++i) {
    CHECK(events[i].sequence() == static_cast<std::int64_t>(i) + 1);
    CHECK_FALSE(nlohmann::json::parse(events[i].json()).is_discarded());
  }
  CHECK(campaign.last_sequence() == static_cast<std::int64_t>(events.size()));
  for (const auto& event : events) {
    if (event.type() == "proposal_finished") CHECK(event.message().ends_with(": 1 variant"));
  }
}

TEST_CASE("coordinator: a campaign measures the noise of its task", "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  auto spec = user.make_spec("noise", 8);
  spec.mutable_evaluation()->set_noise_repeats(3);
  user.create(spec);
  REQUIRE(work_until_ended(user, "noise", service.worker, service.codegen));
  const auto campaign = user.get("noise");
  CHECK(campaign.consumption().evaluations() == 8);
  REQUIRE(campaign.has_noise_deviation());
  std::vector<double> told;
  for (const auto& event : user.events("noise")) {
    if (event.type() != "noise_measured") continue;
    const auto payload = nlohmann::json::parse(event.json());
    CHECK(payload.at("evaluations") == 3);
    told.push_back(payload.at("deviation"));
  }
  CHECK(told == std::vector{campaign.noise_deviation()});
  spec.set_name("one");
  spec.mutable_evaluation()->set_noise_repeats(1);
  user::v1::Campaign refused;
  CHECK(fields_of(user.try_create(spec, &refused)).contains("spec.evaluation.noise_repeats"));
}

TEST_CASE("coordinator: proposals carry parents, failures and their diagnostics",
          "[integration][coordinator]") {
  Service service;
  const auto seed = service.start_and_claim_seed("prompts", 6);
  CHECK(seed.evaluation().files(0).path() == "answer.cpp");
  CHECK(seed.evaluation().parameters().at("rounds") == 10);
  CHECK(seed.evaluation().split() == agent::v1::SPLIT_VALIDATION);
  REQUIRE(service.worker.finish(seed.lease(), success(1)).ok());

  auto proposals = service.codegen.claim(1);
  REQUIRE(proposals.size() == 1);
  const auto& first = proposals.front().proposal();
  CHECK(first.task_digest() == seed.evaluation().task_digest());
  REQUIRE(first.parents_size() == 1);
  CHECK(first.parents(0).variant() == 0);
  CHECK(first.parents(0).metrics().at("score") == 1);
  CHECK(first.parents(0).outcome() == agent::v1::EVALUATION_OUTCOME_SUCCESS);
  REQUIRE(service.codegen.finish(proposals.front().lease(), proposal_of(1)).ok());
  const auto work = service.worker.claim(1);
  REQUIRE(work.size() == 1);
  const auto broken = failure(agent::v1::EVALUATION_OUTCOME_COMPILE_ERROR, "expected ;");
  REQUIRE(service.worker.finish(work.front().lease(), broken).ok());

  // Proposals that were asked for before know nothing of it; a later one does.
  bool is_shown = false;
  for (int i = 0; i < 4 && !is_shown; ++i) {
    proposals = service.codegen.claim(1);
    REQUIRE(proposals.size() == 1);
    for (const auto& context : proposals.front().proposal().failures()) {
      CHECK(context.outcome() == agent::v1::EVALUATION_OUTCOME_COMPILE_ERROR);
      CHECK(context.diagnostics() == "expected ;");
      is_shown = true;
    }
    REQUIRE(service.codegen.finish(proposals.front().lease(), proposal_of(0)).ok());
  }
  CHECK(is_shown);
  const auto variant = service.user.variant("prompts", 1);
  CHECK(variant.state() == user::v1::VARIANT_STATE_FAILED);
  CHECK(variant.outcome() == agent::v1::EVALUATION_OUTCOME_COMPILE_ERROR);
  CHECK(variant.diagnostics() == "expected ;");
  CHECK(variant.model() == "small-1");
  CHECK(service.user.get("prompts").consumption().evaluations_failed() == 1);
}

TEST_CASE("coordinator: proposals carry what helped of late, and the campaign's own words",
          "[integration][coordinator]") {
  Service service;
  auto spec = service.user.make_spec("gains", 20);
  spec.mutable_codegen()->set_parallel(1);
  spec.mutable_budget()->set_evaluations(30);
  auto* prompt = spec.mutable_codegen()->add_prompts();
  prompt->set_operator_(spec::v1::OPERATOR_DIFF);
  prompt->set_text("Change one number.");
  auto* share = spec.mutable_search()->add_operators();
  share->set_kind(spec::v1::OPERATOR_DIFF);
  share->set_weight(1);
  service.user.create(spec);
  const auto evaluate = [&](double score) {
    const auto work = service.worker.claim(1);
    REQUIRE(work.size() == 1);
    REQUIRE(service.worker.finish(work.front().lease(), success(score)).ok());
  };
  evaluate(1);
  std::vector<std::string> seen;
  for (int i = 1; i <= 14; ++i) {
    const auto proposals = service.codegen.claim(1);
    REQUIRE(proposals.size() == 1);
    const auto& work = proposals.front().proposal();
    CHECK(work.order() == "Change one number.");
    seen.clear();
    for (const auto& gain : work.gains()) {
      seen.push_back(std::to_string(gain.variant()) + " " + std::to_string(int(gain.before())) +
                     " " + std::to_string(int(gain.after())));
      CHECK(gain.change() == "because");
    }
    auto answer = proposal_of(1);
    answer.mutable_variants(0)->set_rationale("because");
    REQUIRE(service.codegen.finish(proposals.front().lease(), answer).ok());
    // Every other one is no better.
    evaluate(i % 2 == 0 ? 0 : 1 + i);
    REQUIRE(eventually([&] {
      return service.user.get("gains").consumption().evaluations() == i + 1 &&
             (i % 2 == 0 || service.user.get("gains").best_score() == 1 + i);
    }));
  }
  // The latest five of seven.
  CHECK(seen == std::vector<std::string>{"5 4 6", "7 6 8", "9 8 10", "11 10 12", "13 12 14"});
}

TEST_CASE("coordinator: independent samples are not told what helped",
          "[integration][coordinator]") {
  Service service;
  auto spec = service.user.make_spec("samples", 20);
  spec.mutable_search()->set_policy(spec::v1::POLICY_RANDOM);
  spec.mutable_codegen()->set_parallel(1);
  service.user.create(spec);
  for (int i = 1; i <= 3; ++i) {
    const auto work = service.worker.claim(1);
    REQUIRE(work.size() == 1);
    REQUIRE(service.worker.finish(work.front().lease(), success(i)).ok());
    REQUIRE(eventually([&] { return service.user.get("samples").best_score() == i; }));
    const auto proposals = service.codegen.claim(1);
    REQUIRE(proposals.size() == 1);
    CHECK(proposals.front().proposal().gains().empty());
    REQUIRE(service.codegen.finish(proposals.front().lease(), proposal_of(1)).ok());
  }
}

TEST_CASE("coordinator: a wrong spec is refused with every field path",
          "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  auto spec = user.make_spec("Wrong Name", 0);
  spec.set_api_version("v9");
  spec.mutable_search()->set_islands(65);
  spec.mutable_search()->set_exploitation(2);
  spec.mutable_codegen()->set_variants(17);
  spec.set_priority(101);
  (*spec.mutable_task()->mutable_parameters())["roundz"] = 1;
  user::v1::Campaign campaign;
  const auto status = user.try_create(spec, &campaign);
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  const auto fields = fields_of(status);
  for (const char* field :
       {"spec.name", "spec.api_version", "spec.search.islands", "spec.search.exploitation",
        "spec.codegen.variants", "spec.priority", "spec.task.parameters.roundz", "spec.budget"}) {
    INFO(field);
    CHECK(fields.contains(field));
  }
  auto unknown_task = user.make_spec("unknown-task", 5);
  unknown_task.mutable_task()->set_digest(std::string(64, 'a'));
  CHECK(fields_of(user.try_create(unknown_task, &campaign)).contains("spec.task.digest"));
  CHECK(query_number(service.database, "SELECT count(*) FROM campaign") == 0);
}

TEST_CASE("coordinator: creating again gives the same campaign, another spec is refused",
          "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  const auto spec = user.make_spec("once", 5);
  user.create(spec, "request-1");
  user.create(spec, "request-1");
  user.create(spec);
  CHECK(query_number(service.database, "SELECT count(*) FROM campaign") == 1);
  user::v1::Campaign campaign;
  CHECK(user.try_create(user.make_spec("once", 6), &campaign).error_code() ==
        grpc::StatusCode::ALREADY_EXISTS);
}

TEST_CASE("coordinator: a paused campaign gives out nothing and counts what runs",
          "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  const auto seed = service.start_and_claim_seed("pausing", 4);
  CHECK(user.pause("pausing").state() == user::v1::CAMPAIGN_STATE_PAUSED);
  REQUIRE(service.worker.finish(seed.lease(), success(1)).ok());
  CHECK(eventually([&] { return user.get("pausing").has_seed_score(); }));
  CHECK(user.get("pausing").consumption().evaluations() == 1);
  CHECK(service.codegen.claim(1, milliseconds(500)).empty());
  CHECK(user.resume("pausing").state() == user::v1::CAMPAIGN_STATE_RUNNING);
  CHECK(service.codegen.claim(1).size() == 1);
}

TEST_CASE("coordinator: proposals that are handed out later have the hint",
          "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  auto spec = user.make_spec("hinted", 20);
  spec.mutable_codegen()->set_instructions("Prefer small models.");
  user.create(spec);
  const auto seed = service.worker.claim(1);
  REQUIRE(seed.size() == 1);
  REQUIRE(service.worker.finish(seed.front().lease(), success(1)).ok());

  const auto next_instructions = [&] {
    const auto proposals = service.codegen.claim(1);
    REQUIRE(proposals.size() == 1);
    REQUIRE(service.codegen.finish(proposals.front().lease(), proposal_of(0)).ok());
    return proposals.front().proposal().instructions();
  };
  CHECK(next_instructions() == "Prefer small models.");
  REQUIRE(user.try_hint("hinted", "It\nis odd.", "request-1").ok());
  CHECK(next_instructions() == "Prefer small models.\n\nIt\nis odd.");
  REQUIRE(user.try_hint("hinted", "Try \"even\" ones.").ok());
  // Said again by a call whose answer was lost: the later hint stays.
  REQUIRE(user.try_hint("hinted", "It\nis odd.", "request-1").ok());
  CHECK(next_instructions() == "Prefer small models.\n\nTry \"even\" ones.");
  CHECK(user.get("hinted").hint() == "Try \"even\" ones.");
  REQUIRE(user.try_hint("hinted", "").ok());
  CHECK(next_instructions() == "Prefer small models.");

  std::vector<std::string> hints;
  for (const auto& event : user.events("hinted")) {
    if (event.type() == "hint_given") hints.push_back(event.json());
  }
  REQUIRE(hints.size() == 3);
  CHECK(nlohmann::json::parse(hints[1]).at("hint") == "Try \"even\" ones.");

  CHECK(fields_of(user.try_hint("hinted", std::string(4097, 'x'))).contains("hint"));
  CHECK(fields_of(user.try_hint("hinted", std::string("a\0b", 3))).contains("hint"));
  CHECK(user.try_hint("nobody", "x").error_code() == grpc::StatusCode::NOT_FOUND);
  user.stop("hinted");
  REQUIRE(eventually([&] { return user.get("hinted").has_end_time(); }));
  CHECK(user.try_hint("hinted", "x").error_code() == grpc::StatusCode::FAILED_PRECONDITION);
  check_replay(user, "hinted");
}

TEST_CASE("coordinator: a stopped campaign finishes what runs and nothing else",
          "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  const auto seed = service.start_and_claim_seed("stopping", 50);
  REQUIRE(service.worker.finish(seed.lease(), success(1)).ok());
  const auto proposals = service.codegen.claim(2);
  REQUIRE(proposals.size() == 2);
  REQUIRE(service.codegen.finish(proposals[0].lease(), proposal_of(1)).ok());
  const auto running = service.worker.claim(1);
  REQUIRE(running.size() == 1);

  CHECK(user.stop("stopping").state() == user::v1::CAMPAIGN_STATE_DRAINING);
  CHECK(service.codegen.claim(1, milliseconds(300)).empty());
  // The open proposal is withdrawn: its client learns that at its next call.
  auto request = service.codegen.make_sync(0);
  *request.add_running()->mutable_lease() = proposals[1].lease();
  agent::v1::SyncResponse response;
  REQUIRE(service.codegen.sync(request, &response).ok());
  REQUIRE(response.cancelled_size() == 1);
  CHECK(response.cancelled(0).item_id() == proposals[1].lease().item_id());
  CHECK(is_lease_lost(service.codegen.finish(proposals[1].lease(), proposal_of(1))));

  REQUIRE(service.worker.finish(running.front().lease(), success(2)).ok());
  CHECK(eventually([&] { return has_ended(user.get("stopping").state()); }));
  const auto campaign = user.get("stopping");
  CHECK(campaign.state() == user::v1::CAMPAIGN_STATE_STOPPED);
  CHECK(campaign.end_reason() == user::v1::END_REASON_USER);
  CHECK(campaign.consumption().evaluations() == 2);
  // Stopping again changes nothing; what has ended cannot go on.
  CHECK(user.stop("stopping").state() == user::v1::CAMPAIGN_STATE_STOPPED);
  CHECK_THROWS(user.resume("stopping"));
}

TEST_CASE("coordinator: only an ended campaign can be deleted", "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  const auto seed = service.start_and_claim_seed("going", 5);
  CHECK(user.remove("going").error_code() == grpc::StatusCode::FAILED_PRECONDITION);
  user.stop("going");
  REQUIRE(service.worker.finish(seed.lease(), success(1)).ok());
  REQUIRE(eventually([&] { return has_ended(user.get("going").state()); }));
  CHECK(user.remove("going").ok());
  CHECK(user.remove("going").error_code() == grpc::StatusCode::NOT_FOUND);
  for (const char* table : {"event", "variant", "evaluation", "proposal", "work_item", "attempt"}) {
    INFO(table);
    CHECK(eventually([&] {
      return query_number(service.database, std::string("SELECT count(*) FROM ") + table) == 0;
    }));
  }
  // A report that comes now finds nothing.
  CHECK(is_lease_lost(service.worker.finish(seed.lease(), success(1))));
}

TEST_CASE("coordinator: a deletion with the same request id happens once",
          "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  const auto create_ended = [&] {
    user.create(user.make_spec("again", 5));
    user.stop("again");
    REQUIRE(eventually([&] { return has_ended(user.get("again").state()); }));
  };
  create_ended();
  CHECK(user.remove("again", std::string(65, 'x')).error_code() ==
        grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(user.remove("again", "first").ok());
  CHECK(user.remove("again", "first").ok());
  CHECK(user.remove("again", "second").error_code() == grpc::StatusCode::NOT_FOUND);
  // The name is another campaign's by now: the old request does not touch it.
  create_ended();
  CHECK(user.remove("again", "first").ok());
  CHECK(has_ended(user.get("again").state()));
  // One that was refused, as the campaign ran or did not exist, is not noted.
  CHECK(user.remove("again", "second").ok());
  CHECK(user.remove("again", "second").ok());
}

TEST_CASE("coordinator: budgets of tokens and of wall time end a campaign",
          "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  auto by_tokens = user.make_spec("by-tokens", 0);
  by_tokens.mutable_budget()->set_tokens(12'000);
  user.create(by_tokens);
  REQUIRE(work_until_ended(user, "by-tokens", service.worker, service.codegen));
  const auto tokens = user.get("by-tokens");
  CHECK(tokens.end_reason() == user::v1::END_REASON_TOKENS);
  CHECK(tokens.consumption().tokens() > 0);
  CHECK(tokens.consumption().tokens() <= 12'000);

  auto by_time = user.make_spec("by-time", 0);
  by_time.mutable_budget()->mutable_wall_time()->set_seconds(2);
  user.create(by_time);
  // Nobody works on it: time alone ends it, and what was open is withdrawn or finished.
  REQUIRE(work_until_ended(user, "by-time", service.worker, service.codegen));
  const auto time = user.get("by-time");
  CHECK(time.end_reason() == user::v1::END_REASON_WALL_TIME);
  CHECK(time.consumption().wall_time().seconds() >= 2);
  CHECK(time.consumption().wall_time().seconds() <= 10);
}

TEST_CASE("coordinator: watchers get every event once, from any point, as it happens",
          "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  user.create(user.make_spec("watched", 8));
  std::vector<std::int64_t> seen;
  grpc::Status status;
  std::thread watcher([&] {
    user::v1::WatchEventsRequest request;
    request.set_campaign("watched");
    grpc::ClientContext context;
    const auto reader = user.campaigns().WatchEvents(&context, request);
    user::v1::WatchEventsResponse response;
    while (reader->Read(&response)) seen.push_back(response.event().sequence());
    status = reader->Finish();
  });
  const bool has_finished = work_until_ended(user, "watched", service.worker, service.codegen);
  watcher.join();
  REQUIRE(has_finished);
  CHECK(status.ok());
  const auto last = user.get("watched").last_sequence();
  REQUIRE(static_cast<std::int64_t>(seen.size()) == last);
  for (std::int64_t i = 0; i < last; ++i) CHECK(seen[static_cast<std::size_t>(i)] == i + 1);
  const auto rest = user.events("watched", last - 3);
  REQUIRE(rest.size() == 3);
  CHECK(rest.front().sequence() == last - 2);
  CHECK(user.events("watched", last).empty());
}

TEST_CASE("coordinator: a campaign of higher priority is served first",
          "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  auto low = user.make_spec("low", 5);
  low.set_priority(10);
  auto high = user.make_spec("high", 5);
  high.set_priority(90);
  user.create(low);
  REQUIRE(eventually([&] { return user.get("low").evaluations_open() == 1; }));
  user.create(high);
  REQUIRE(eventually([&] { return user.get("high").evaluations_open() == 1; }));
  const auto first = service.worker.claim(1);
  REQUIRE(first.size() == 1);
  REQUIRE(service.worker.finish(first.front().lease(), success(1)).ok());
  CHECK(user.get("high").consumption().evaluations() == 1);
  CHECK(user.get("low").consumption().evaluations() == 0);
}

TEST_CASE("coordinator: campaigns of one priority take turns", "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  for (const char* name : {"old", "new"}) {
    auto spec = user.make_spec(name, 40);
    spec.mutable_codegen()->set_parallel(8);
    spec.mutable_evaluation()->set_parallel(16);
    spec.mutable_search()->set_children(16);
    user.create(spec);
    REQUIRE(eventually([&] { return user.get(name).evaluations_open() == 1; }));
    // The turn of the other campaign was before: this is the seed of this one.
    const auto seed = service.worker.claim(1);
    REQUIRE(seed.size() == 1);
    REQUIRE(service.worker.finish(seed.front().lease(), success(1)).ok());
    // Many evaluations of this campaign wait.
    REQUIRE(eventually([&] {
      for (const auto& proposal : service.codegen.claim(8, milliseconds(0))) {
        CHECK(service.codegen.finish(proposal.lease(), proposal_of(1)).ok());
      }
      return user.get(name).evaluations_open() >= 8;
    }));
  }
  const auto before = user.get("new").consumption().evaluations();
  for (int i = 0; i < 6; ++i) {
    const auto work = service.worker.claim(1);
    REQUIRE(work.size() == 1);
    REQUIRE(service.worker.finish(work.front().lease(), success(1)).ok());
  }
  CHECK(user.get("new").consumption().evaluations() == before + 3);
}

TEST_CASE("coordinator: one waits on a Unix socket as well", "[integration][coordinator]") {
  Service service({.listens_on_unix_socket = true});
  CHECK(service.coordinator.address().starts_with("unix:"));
  service.user.create(service.user.make_spec("unix", 3));
  CHECK(work_until_ended(service.user, "unix", service.worker, service.codegen));
}
