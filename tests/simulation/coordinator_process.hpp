#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <functional>
#include <string>
#include <utility>

#include "coordinator/app/agent_desk.hpp"
#include "coordinator/app/driver.hpp"
#include "coordinator/app/housekeeping.hpp"
#include "tests/simulation/faulty_store.hpp"
#include "tests/unit/coordinator/null_observer.hpp"

namespace cambrian::coordinator::simulation {

/// Times of the service, short: a history is some ten seconds long.
inline constexpr LeaseTimes kTimes{.lease = milliseconds(4'000),
                                   .evaluation_attempt = milliseconds(20'000),
                                   .proposal_attempt = milliseconds(20'000),
                                   .control_interval = milliseconds(1'800'000),
                                   .has_controls = false};
inline constexpr milliseconds kSyncInterval{1'300};

/// A coordinator: the real app over a database in memory. To destroy it is to kill it, whatever
/// its coroutines are doing.
class CoordinatorProcess {
 public:
  CoordinatorProcess(MemoryDatabase& database, Timeline& timeline, const Faults& faults,
                     const Rng& rng, std::function<void()> on_change)
      : clock_(timeline), store_(database, clock_, faults, rng, std::move(on_change)) {
    start(drivers_.run_acquisition());
    start(drivers_.run_renewal());
    start(housekeeping_.run_sweep());
    start(housekeeping_.run_poll());
  }
  CoordinatorProcess(const CoordinatorProcess&) = delete;
  CoordinatorProcess& operator=(const CoordinatorProcess&) = delete;

  /// Runs what is ready.
  void poll() {
    const bool is_due = clock_.take_has_ended();
    if (!is_due && !has_calls_) return;
    has_calls_ = false;
    context_.restart();
    context_.poll();
  }

  AgentDesk& desk() { return desk_; }

  /// Answers a call, unless it is killed before.
  template <class T>
  void serve(awaitable<Result<T>> call, std::function<void(Result<T>)> then) {
    has_calls_ = true;
    boost::asio::co_spawn(
        context_, std::move(call),
        [then = std::move(then)](const std::exception_ptr& thrown, Result<T> got) {
          if (thrown) std::rethrow_exception(thrown);
          then(std::move(got));
        });
  }

 private:
  void start(awaitable<void> loop) {
    boost::asio::co_spawn(context_, std::move(loop), [](const std::exception_ptr& thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
  }

  SimulatedClock clock_;
  FaultyStore store_;
  Hub hub_{clock_};
  test::NullObserver observer_;
  AgentDesk desk_{store_, hub_, observer_, kTimes, kSyncInterval};
  Drivers drivers_{store_, hub_, observer_, "simulated"};
  Housekeeping housekeeping_{
      {store_, store_, store_, store_}, hub_, observer_, kTimes, std::nullopt, [](bool) {}};
  bool has_calls_ = true;
  boost::asio::io_context context_{
      BOOST_ASIO_CONCURRENCY_HINT_UNSAFE};  // The last: its coroutines use everything above.
};

}  // namespace cambrian::coordinator::simulation
