#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "common/aio/blocking.hpp"
#include "common/metrics/metrics.hpp"
#include "coordinator/adapters/postgres/session.hpp"
#include "coordinator/adapters/postgres/socket_watch.hpp"

namespace cambrian::coordinator::postgres {

/// Kinds of work with connections and threads of their own, so that none starves another:
/// heartbeats go on while results wait for a campaign, and both while claims or long lists wait;
/// users are answered while contents of many megabytes are moved.
enum class Lane { agent, result, claim, driver, user, blob };
inline constexpr int kLanes = 6;

/// What to do when the answer to COMMIT was lost.
enum class InDoubt {
  repeat,  ///< Run the body again: it only reads, or its first statement sees what was done.
  report,  ///< Fail with `outcome_unknown`: the caller loads its state anew.
};

struct DatabaseOptions {
  std::string connection;  ///< As libpq takes it: key=value pairs or a URI.
  int connections = 12;    ///< At least one for each lane; the first lanes get what is left over.
};

/// The connection string with limits for every wait of the network: libpq waits for ever by
/// default.
std::string with_timeouts(const std::string& connection);

/// Connections to PostgreSQL and the one place where its failures become ours. A lost connection
/// is replaced at the next call; nothing here ends the process.
///
/// Every call ends within its lane's time (10 s for agents, 20 s for users, 25 s for drivers), the
/// wait for a thread included, and 4 s more where it was connecting then: a server that hangs
/// delays nobody for longer, however many calls wait.
///
/// Errors of every call: `unavailable` (server away, hanging, shutting down, read-only),
/// `exhausted` (the lane's queue is full), `deadline_exceeded` (statement or lock time-out),
/// `outcome_unknown`, `internal` (a bug: logged), and those that the body returns, which roll back.
class Database {
 public:
  Database(DatabaseOptions options, metrics::Registry& registry);
  ~Database();

  /// Runs `body(pqxx::work&)`, which returns a Result, in one transaction on a thread of the lane
  /// and commits when it succeeds. The body may run several times: it must only touch its own
  /// copies and the transaction. `name` is a closed set: it labels a metric.
  template <class Body>
  aio::asio::awaitable<std::invoke_result_t<Body, pqxx::work&>> run(
      Lane lane, const char* name, Body body, InDoubt in_doubt = InDoubt::repeat) {
    using R = std::invoke_result_t<Body, pqxx::work&>;
    // From now on: a call that waited for its thread has less time left.
    return run_on_lane<R>(Call{lane, name, in_doubt, deadline_of(lane)}, std::move(body));
  }

  /// The same on the caller's thread: for start-up and tests.
  template <class Body>
  std::invoke_result_t<Body, pqxx::work&> run_here(Lane lane, const char* name, Body& body,
                                                   InDoubt in_doubt = InDoubt::repeat) {
    using R = std::invoke_result_t<Body, pqxx::work&>;
    return run_call<R>(Call{lane, name, in_doubt, deadline_of(lane)}, std::ref(body));
  }

  /// Ends every wait for the server, now and from now on: calls fail with `unavailable`. For the
  /// end of the program. Any thread.
  void interrupt() { watch_.cut_all(); }

 private:
  struct Call {
    Lane lane;
    const char* name;
    InDoubt in_doubt;
    SocketWatch::Clock::time_point deadline;
  };
  static SocketWatch::Clock::time_point deadline_of(Lane lane);

  /// For each kind of result, not for each body: the code of a coroutine is large.
  template <class R>
  aio::asio::awaitable<R> run_on_lane(Call call, std::function<R(pqxx::work&)> body) {
    auto work = [this, call, body = std::move(body)] { return run_call<R>(call, body); };
    co_return co_await aio::run_blocking(lanes_[static_cast<std::size_t>(call.lane)]->pool,
                                         std::move(work));
  }

  template <class R>
  R run_call(const Call& call, const std::function<R(pqxx::work&)>& body) {
    R result = fail(Errc::internal, "not run");
    const Status status = run_erased(call, [&](pqxx::work& transaction) {
      result = body(transaction);
      return result.has_value();
    });
    if (!status && (result || status.error().code != Errc::cancelled)) {
      return fail(status.error());
    }
    return result;
  }

  struct LaneState {
    LaneState(std::string name, std::size_t threads, std::size_t pending_max)
        : pool(std::move(name), threads, pending_max) {}
    std::mutex mutex;  // Guards idle.
    std::vector<std::unique_ptr<Session>> idle;
    aio::BlockingPool pool;
  };
  /// The body's success; false rolls back.
  using Erased = std::function<bool(pqxx::work&)>;

  /// Fails with `cancelled` when the body itself refused and all was rolled back.
  Status run_erased(const Call& call, const Erased& body);
  Status try_once(const Call& call, const Erased& body, bool& may_repeat);
  std::unique_ptr<Session> connect(const Call& call);
  std::unique_ptr<Session> take_idle(Lane lane);
  /// Why a call may not be tried, or tried again; empty while it may.
  std::string find_obstacle(const Call& call) const;
  /// The others of a lane died with the one that was found dead.
  void drop_idle(Lane lane);
  void note_available(bool is_available, const std::string& why);
  metrics::Histogram& duration_of(const char* name);

  DatabaseOptions options_;
  metrics::Registry& registry_;
  SocketWatch watch_;  // Before the lanes: their threads use it until they end.
  std::array<std::unique_ptr<LaneState>, kLanes> lanes_;
  std::atomic<bool> is_available_ = true;
  std::mutex metrics_mutex_;  // Guards durations_.
  std::map<std::string, metrics::Histogram, std::less<>> durations_;
  metrics::Counter retries_;
  metrics::Counter failures_;
  metrics::Counter in_doubt_;
  metrics::Gauge busy_;
  metrics::Gauge idle_;
};

}  // namespace cambrian::coordinator::postgres
