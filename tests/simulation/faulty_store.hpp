#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <utility>

#include "common/base/assert.hpp"
#include "common/base/rng.hpp"
#include "coordinator/ports/agent_store.hpp"
#include "coordinator/ports/cleanup_store.hpp"
#include "tests/simulation/memory_database.hpp"
#include "tests/simulation/timeline.hpp"

namespace cambrian::coordinator::simulation {

/// What goes wrong between a coordinator and its database, as shares of the calls.
struct Faults {
  double refused = 0;      ///< Nothing happens.
  double answer_lost = 0;  ///< It happens, and the coordinator does not hear of it.
  double late = 0;         ///< It takes seconds.
  bool is_away = false;    ///< The server.
};

/// The database as one coordinator sees it: calls take time, fail, and lose their answers. A call
/// that may be repeated is, as `postgres::Database` does it.
class FaultyStore final : public WorkStore,
                          public DriverStore,
                          public CampaignStore,
                          public AgentStore,
                          public CleanupStore {
 public:
  /// `on_change` is called behind each transaction.
  FaultyStore(MemoryDatabase& database, Clock& clock, const Faults& faults, Rng rng,
              std::function<void()> on_change)
      : database_(database),
        clock_(clock),
        faults_(faults),
        rng_(std::move(rng)),
        on_change_(std::move(on_change)) {}

  awaitable<Result<SyncState>> sync(AgentReport report, LeaseTimes times) override {
    return run<SyncState>(Kind::repeated, [=, this] { return database_.sync(report, times); });
  }
  awaitable<Result<std::vector<Assignment>>> claim(Claim claim, LeaseTimes times) override {
    return run<std::vector<Assignment>>(Kind::reported,
                                        [=, this] { return database_.claim(claim, times); });
  }
  awaitable<Status> give_back(std::vector<Lease> leases, std::string /*why*/) override {
    return run_status(Kind::repeated, [this, leases]() -> Status {
      database_.give_back(leases);
      return {};
    });
  }
  awaitable<Result<FinishState>> finish(WorkReport report) override {
    return run<FinishState>(Kind::repeated, [=, this] { return database_.finish(report); });
  }
  awaitable<Result<SweepState>> sweep(int count, Instant until) override {
    return run<SweepState>(Kind::repeated, [=, this] { return database_.sweep(count, until); });
  }
  awaitable<Result<ReadyCounts>> count_ready() override {
    return run<ReadyCounts>(Kind::repeated, [this] { return database_.count_ready(); });
  }

  awaitable<Result<std::vector<DriverLease>>> acquire(std::string /*driver*/, milliseconds duration,
                                                      int count) override {
    return run<std::vector<DriverLease>>(Kind::reported,
                                         [=, this] { return database_.acquire(duration, count); });
  }
  awaitable<Result<std::vector<RenewedDriver>>> renew(std::vector<DriverLease> leases,
                                                      milliseconds duration) override {
    return run<std::vector<RenewedDriver>>(Kind::repeated,
                                           [=, this] { return database_.renew(leases, duration); });
  }
  awaitable<Result<DrivenCampaign>> load(CampaignId campaign) override {
    return run<DrivenCampaign>(Kind::repeated, [=, this] { return database_.load(campaign); });
  }
  awaitable<Result<std::vector<Input>>> read_inputs(CampaignId campaign, std::int64_t after,
                                                    std::int64_t until, int count) override {
    return run<std::vector<Input>>(
        Kind::repeated, [=, this] { return database_.read_inputs(campaign, after, until, count); });
  }
  awaitable<Result<std::vector<Input>>> next_inputs(DriverLease lease, std::int64_t applied,
                                                    int count) override {
    return run<std::vector<Input>>(
        Kind::repeated, [=, this] { return database_.next_inputs(lease, applied, count); });
  }
  awaitable<Result<StepState>> commit(DriverStep step) override {
    return run<StepState>(Kind::reported, [=, this] { return database_.commit(step); });
  }
  awaitable<Status> append_time(DriverLease lease, std::int64_t running_ms) override {
    return run_status(Kind::reported,
                      [=, this] { return database_.append_time(lease, running_ms); });
  }
  awaitable<Status> give_up(std::vector<DriverLease> leases) override {
    return run_status(Kind::repeated, [this, leases]() -> Status {
      database_.give_up(leases);
      return {};
    });
  }

  awaitable<Result<std::map<CampaignId, std::int64_t>>> last_sequences() override {
    return run<std::map<CampaignId, std::int64_t>>(Kind::repeated, [this] {
      std::map<CampaignId, std::int64_t> sequences;
      for (const auto& [id, campaign] : database_.campaigns()) {
        sequences[id] = campaign.last_sequence;
      }
      return sequences;
    });
  }

  // What nobody asks for here.
  awaitable<Result<CampaignRecord>> create(CampaignDefinition, Requester) override {
    return none();
  }
  awaitable<Result<CampaignRecord>> get(std::string) override { return none(); }
  awaitable<Result<std::vector<CampaignRecord>>> list(CampaignPage) override { return none(); }
  awaitable<Result<std::int64_t>> request(std::string, UserAction, Requester) override {
    return none();
  }
  awaitable<Status> hint(std::string, std::string, Requester) override { return none(); }
  awaitable<Status> remove(std::string, Requester) override { return none(); }
  awaitable<Result<EventPage>> read_events(std::string, std::int64_t, int) override {
    return none();
  }
  awaitable<Result<std::vector<AgentRecord>>> list(bool, milliseconds) override { return none(); }
  awaitable<Result<AgentRecord>> drain(std::string, milliseconds) override { return none(); }
  awaitable<Result<std::string>> release(std::string) override { return none(); }
  awaitable<Result<std::vector<ModelUsage>>> usage(std::string) override { return none(); }
  awaitable<Result<Overview>> overview(milliseconds) override { return none(); }
  awaitable<Result<bool>> purge(int) override { return none(); }
  awaitable<Result<bool>> compact(milliseconds, int) override { return none(); }
  awaitable<Status> forget() override { return none(); }
  awaitable<Result<std::int64_t>> disown_results() override { return none(); }

 private:
  enum class Kind {
    repeated,  ///< A lost answer means that it is done once more.
    reported,  ///< A lost answer is told.
  };
  struct None {
    template <class T>
    operator awaitable<T>() const {
      CAMBRIAN_ASSERT(false);
      return {};
    }
  };
  static None none() { return {}; }

  template <class T, class Body>
  awaitable<Result<T>> run(Kind kind, Body body) {
    co_await pause();
    if (faults_.is_away || rng_.chance(faults_.refused)) {
      co_return fail(Errc::unavailable, "the database is away");
    }
    Result<T> result = body();
    on_change_();
    const bool is_lost = rng_.chance(faults_.answer_lost);
    if (is_lost && kind == Kind::repeated) {
      co_await pause();
      if (faults_.is_away) co_return fail(Errc::unavailable, "the database is away");
      result = body();
      on_change_();
    }
    co_await pause();
    if (is_lost && kind == Kind::reported) co_return fail(Errc::outcome_unknown, "no answer");
    co_return result;
  }

  template <class Body>
  awaitable<Status> run_status(Kind kind, Body body) {
    const auto done = co_await run<bool>(kind, [body]() -> Result<bool> {
      CAMBRIAN_TRY_STATUS(body());
      return true;
    });
    if (!done) co_return fail(done.error());
    co_return Status();
  }

  awaitable<void> pause() {
    const milliseconds time(rng_.chance(faults_.late) ? rng_.between(500, 8'000)
                                                      : rng_.between(0, 3));
    if (time == milliseconds(0)) co_return;
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    clock_.arm(timer, time);
    co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    clock_.disarm(timer);
  }

  MemoryDatabase& database_;
  Clock& clock_;
  const Faults& faults_;
  Rng rng_;
  std::function<void()> on_change_;
};

}  // namespace cambrian::coordinator::simulation
