#include "coordinator/app/driver.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <catch2/catch_test_macros.hpp>
#include <deque>
#include <exception>

#include "tests/unit/coordinator/null_observer.hpp"

using namespace cambrian;
using namespace cambrian::coordinator;
namespace asio = boost::asio;

namespace {

/// One campaign in memory. `fail_commits` says how the next commits fail; an outcome_unknown one
/// is carried out all the same, as the worst of lost answers.
class FakeDriverStore final : public DriverStore {
 public:
  std::vector<Input> log;
  std::int64_t applied = 0;
  std::int64_t epoch = 0;
  std::vector<search::Command> carried_out;
  std::deque<Errc> fail_commits;
  int loads = 0;
  int evaluations = 3;  // Of the budget.
  milliseconds commit_time{0};
  int commits_open = 0;
  int given_up = 0;

  awaitable<Result<std::vector<DriverLease>>> acquire(std::string, milliseconds, int) override {
    if (epoch > 0) co_return std::vector<DriverLease>();
    co_return std::vector{DriverLease{CampaignId{1}, ++epoch}};
  }
  awaitable<Result<std::vector<RenewedDriver>>> renew(std::vector<DriverLease> leases,
                                                      milliseconds) override {
    std::vector<RenewedDriver> renewed;
    for (const auto& lease : leases) renewed.push_back({lease, 0});
    co_return renewed;
  }
  awaitable<Result<DrivenCampaign>> load(CampaignId) override {
    ++loads;
    search::Settings settings;
    settings.objectives = {{"score", search::Goal::maximize, std::nullopt}};
    settings.policy = search::PolicyKind::hill_climb;
    settings.operators = {{.kind = search::Operator::diff}};
    settings.budget.evaluations = evaluations;
    co_return DrivenCampaign{
        .name = "fake", .settings = std::move(settings), .applied_sequence = applied};
  }
  awaitable<Result<std::vector<Input>>> read_inputs(CampaignId, std::int64_t after,
                                                    std::int64_t until, int count) override {
    std::vector<Input> inputs;
    for (const auto& input : log) {
      if (input.sequence > after && input.sequence <= until &&
          inputs.size() < static_cast<std::size_t>(count)) {
        inputs.push_back(input);
      }
    }
    co_return inputs;
  }
  awaitable<Result<std::vector<Input>>> next_inputs(DriverLease lease, std::int64_t known,
                                                    int count) override {
    if (lease.epoch != epoch) co_return fail(Errc::conflict, "another driver");
    if (known != applied) co_return fail(Errc::outcome_unknown, "another sequence");
    co_return co_await read_inputs(lease.campaign, known, 1'000'000, count);
  }
  awaitable<Result<StepState>> commit(DriverStep step) override {
    if (step.lease.epoch != epoch) co_return fail(Errc::conflict, "another driver");
    if (step.applied_before != applied) co_return fail(Errc::outcome_unknown, "another sequence");
    if (commit_time > milliseconds(0)) {
      ++commits_open;
      asio::steady_timer timer(co_await asio::this_coro::executor, commit_time);
      co_await timer.async_wait(asio::use_awaitable);
      --commits_open;
    }
    auto failure = std::optional<Errc>();
    if (!fail_commits.empty()) {
      failure = fail_commits.front();
      fail_commits.pop_front();
    }
    if (!failure || *failure == Errc::outcome_unknown) {
      applied = step.applied_after;
      carried_out.insert(carried_out.end(), step.commands.begin(), step.commands.end());
    }
    if (failure) co_return fail(*failure, "planned");
    co_return StepState{};
  }
  awaitable<Status> append_time(DriverLease, std::int64_t) override { co_return Status(); }
  awaitable<Status> give_up(std::vector<DriverLease> leases) override {
    given_up += static_cast<int>(leases.size());
    co_return Status();
  }
};

struct Bench {
  asio::io_context context;
  FakeDriverStore store;
  Hub hub;
  test::NullObserver observer;
  Drivers drivers{store, hub, observer, "test"};
  bool has_acquisition_ended = false;

  Bench() {
    store.log.push_back(
        {1, search::Started{.seed_token_digest = "seed", .seed_source_tokens = 10}});
    store.log.push_back({4, evaluation_finished()});
    asio::co_spawn(context, drivers.run_acquisition(), [this](const std::exception_ptr& failure) {
      if (failure) std::rethrow_exception(failure);
      has_acquisition_ended = true;
    });
  }
  ~Bench() {
    hub.close();
    context.run_for(std::chrono::seconds(5));
  }
  template <class Condition>
  bool run_until(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition() && std::chrono::steady_clock::now() < deadline) {
      context.run_one_for(milliseconds(50));
    }
    return condition();
  }
  static search::EvaluationFinished evaluation_finished() {
    search::EvaluationFinished event;
    event.evaluation = {1};
    event.metrics = {{"score", 1}};
    return event;
  }
  int count_seeds() const {
    int count = 0;
    for (const auto& command : store.carried_out) {
      if (const auto* added = std::get_if<search::AddVariant>(&command)) {
        count += added->variant.value == 0 ? 1 : 0;
      }
    }
    return count;
  }
};

}  // namespace

TEST_CASE("driver: handles the log in order and carries out the commands", "[unit][coordinator]") {
  Bench bench;
  REQUIRE(bench.run_until([&] { return bench.store.applied == 4; }));
  CHECK(bench.store.loads == 1);
  CHECK(bench.count_seeds() == 1);
}

TEST_CASE("driver: a step that failed is done again from the log, once", "[unit][coordinator]") {
  for (const auto failure : {Errc::unavailable, Errc::outcome_unknown, Errc::deadline_exceeded}) {
    CAPTURE(to_string(failure));
    Bench bench;
    bench.store.fail_commits = {failure};
    REQUIRE(bench.run_until([&] { return bench.store.applied == 4 && bench.store.loads == 2; }));
    CHECK(bench.count_seeds() == 1);
  }
}

TEST_CASE("driver: leaves a campaign that another one drives", "[unit][coordinator]") {
  Bench bench;
  REQUIRE(bench.run_until([&] { return bench.store.applied == 4; }));
  bench.store.epoch = 7;
  bench.store.log.push_back({5, search::PauseRequested{}});
  bench.hub.notify(Topic::campaign(CampaignId{1}));
  REQUIRE(bench.run_until([&] { return bench.drivers.held() == 0; }));
  CHECK(bench.store.applied == 4);
}

TEST_CASE("driver: follows a database that went back in time", "[unit][coordinator]") {
  Bench bench;
  REQUIRE(bench.run_until([&] { return bench.store.applied == 4; }));
  // A failover lost the last commits: the log and what was applied are shorter now.
  bench.store.applied = 1;
  bench.store.log.resize(1);
  bench.store.log.push_back({3, bench.evaluation_finished()});
  bench.hub.notify(Topic::campaign(CampaignId{1}));
  REQUIRE(bench.run_until([&] { return bench.store.applied == 3; }));
  CHECK(bench.store.loads == 2);
}

TEST_CASE("driver: settings that this version does not take stop one campaign, not the program",
          "[unit][coordinator]") {
  Bench bench;
  bench.store.evaluations = -1;
  REQUIRE(bench.run_until([&] { return bench.store.loads == 2; }));
  CHECK(bench.store.applied == 0);
  bench.store.evaluations = 3;
  REQUIRE(bench.run_until([&] { return bench.store.applied == 4; }));
}

TEST_CASE("driver: the end waits for a step in progress, and gives the campaign back after it",
          "[unit][coordinator]") {
  Bench bench;
  bench.store.commit_time = milliseconds(20);
  REQUIRE(bench.run_until([&] { return bench.store.commits_open == 1; }));
  CHECK(bench.drivers.driving() == 1);
  bench.hub.close();
  bench.context.poll();
  CHECK(bench.store.given_up == 0);
  REQUIRE(bench.run_until([&] { return bench.has_acquisition_ended; }));
  CHECK(bench.store.commits_open == 0);
  CHECK(bench.store.applied == 4);
  CHECK(bench.drivers.driving() == 0);
  CHECK(bench.store.given_up == 1);
}
