#include "coordinator/app/agent_desk.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_test_macros.hpp>
#include <exception>
#include <utility>

#include "tests/unit/coordinator/null_observer.hpp"

using namespace cambrian;
using namespace cambrian::coordinator;
namespace asio = boost::asio;

namespace {

/// Gives out an item of another campaign each, as many as are asked for.
class FakeWorkStore final : public WorkStore {
 public:
  std::vector<CampaignId> served;  // As the last claim named them.
  std::vector<Lease> given_back;
  FinishState finish_state;
  std::int64_t items = 0;

  awaitable<Result<SyncState>> sync(AgentReport, LeaseTimes) override { co_return SyncState(); }
  awaitable<Result<std::vector<Assignment>>> claim(Claim claim, LeaseTimes) override {
    served = std::move(claim.served);
    std::vector<Assignment> assignments;
    for (int i = 0; i < claim.count; ++i) {
      ++items;
      assignments.push_back({.lease = {ItemId{items}, 1},
                             .campaign = CampaignId{items},
                             .attempt_budget = {},
                             .work = EvaluationWork()});
    }
    co_return assignments;
  }
  awaitable<Status> give_back(std::vector<Lease> leases, std::string /*why*/) override {
    given_back = std::move(leases);
    co_return Status();
  }
  awaitable<Result<FinishState>> finish(WorkReport) override { co_return finish_state; }
  awaitable<Result<SweepState>> sweep(int, Instant) override { co_return SweepState(); }
  awaitable<Result<ReadyCounts>> count_ready() override { co_return ReadyCounts(); }
};

struct Bench {
  asio::io_context context;
  FakeWorkStore store;
  Hub hub;
  test::NullObserver observer;
  AgentDesk desk{store, hub, observer, LeaseTimes(), milliseconds(20'000)};

  /// What the coroutine returns; it must not have to wait.
  template <class T>
  T result_of(awaitable<Result<T>> call) {
    std::optional<T> result;
    asio::co_spawn(context, std::move(call),
                   [&](const std::exception_ptr& failure, Result<T> value) {
                     if (failure) std::rethrow_exception(failure);
                     result = std::move(value).value();
                   });
    context.restart();
    context.poll();
    REQUIRE(result.has_value());
    return std::move(*result);
  }
  SyncAnswer ask(int wanted, bool is_gone = false) {
    AgentReport report;
    report.wanted = wanted;
    return result_of(desk.sync(report, [is_gone] { return is_gone; }));
  }
};

}  // namespace

TEST_CASE("agent_desk: remembers the turns of so many campaigns, the latest last",
          "[unit][coordinator]") {
  Bench bench;
  for (int i = 0; i < 10; ++i) CHECK(bench.ask(kWantedMax).assignments.size() == kWantedMax);
  bench.ask(1);
  CHECK(bench.store.served.size() == 256);
  CHECK(bench.store.served.back() == CampaignId{10 * kWantedMax});
}

TEST_CASE("agent_desk: work for a caller that is gone goes back", "[unit][coordinator]") {
  Bench bench;
  int looks = 0;
  AgentReport report;
  report.wanted = 3;
  // There when the work is looked for, gone when it is found.
  const auto answer = bench.result_of(bench.desk.sync(report, [&] { return looks++ > 0; }));
  CHECK(answer.assignments.empty());
  CHECK(bench.store.given_back.size() == 3);
  CHECK(bench.ask(1, true).assignments.empty());
  CHECK(bench.store.items == 3);
}

TEST_CASE("agent_desk: the search hears at once of what a report cost, counted or not",
          "[unit][coordinator]") {
  Bench bench;
  const auto topic = Topic::campaign(CampaignId{7});
  for (const auto& [verdict, is_told] : {std::pair{Verdict::accepted, true},
                                         {Verdict::retried, true},
                                         {Verdict::stale, true},
                                         {Verdict::repeated, false},
                                         {Verdict::unknown, false}}) {
    CAPTURE(static_cast<int>(verdict));
    bench.store.finish_state = {.verdict = verdict, .campaign = CampaignId{7}};
    const auto before = bench.hub.version(topic);
    bench.result_of(bench.desk.finish({"agent-id", {ItemId{1}, 1}, EvaluationResult()}));
    CHECK((bench.hub.version(topic) != before) == is_told);
  }
}
