#include "coordinator/adapters/postgres/database.hpp"

#include <chrono>

#include "common/failpoint/failpoint.hpp"
#include "common/log/log.hpp"

namespace cambrian::coordinator::postgres {
namespace {

// A body may meet a deadlock or a dead connection this often before the caller hears of it.
constexpr int kTriesMax = 3;
constexpr std::size_t kPendingMax = 4'096;

constexpr const char* kConnections = "cambrian_coordinator_database_connections";
constexpr const char* kConnectionsHelp = "Connections to PostgreSQL";

/// Counts a connection as busy as long as it lives.
class Busy {
 public:
  explicit Busy(metrics::Gauge gauge) : gauge_(gauge) { gauge_.add(1); }
  ~Busy() { gauge_.add(-1); }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  metrics::Gauge gauge_;
};

/// What these lanes do touches few rows of tables that may be large. A plan that is made from
/// counts that lag behind would read the whole table for them. Plans are still made for each call's
/// values where the server finds that better: of generic ones, made while tables were small, some
/// walk the wrong index when they have grown.
constexpr const char* kReadByIndex =
    "SELECT set_config(name, 'off', false) FROM unnest(ARRAY['enable_seqscan', 'enable_hashjoin',"
    " 'enable_mergejoin', 'jit']) AS name";

/// A claim's plan takes ten times as long to make as to carry out, and is the same for all values:
/// plan_test.cpp pins it.
constexpr const char* kPlanOnce = "SET plan_cache_mode = force_generic_plan";

struct LaneLimits {
  const char* name;
  int statement_timeout_ms;
  int lock_timeout_ms;
  std::chrono::milliseconds call_max;  ///< The wait for a thread and every try included.
  bool reads_by_index;
};

// Agents wait for the first three, and give up a call after 15 s; a driver's step may write
// hundreds of rows; lists may be long, and so may contents.
constexpr std::array<LaneLimits, kLanes> kLimits = {{
    {"agent", 8'000, 5'000, std::chrono::milliseconds(10'000), true},
    {"result", 8'000, 5'000, std::chrono::milliseconds(10'000), true},
    {"claim", 5'000, 2'000, std::chrono::milliseconds(10'000), true},
    {"driver", 20'000, 10'000, std::chrono::milliseconds(25'000), true},
    {"user", 15'000, 5'000, std::chrono::milliseconds(20'000), false},
    {"blob", 15'000, 5'000, std::chrono::milliseconds(20'000), true},
}};

const LaneLimits& limits_of(Lane lane) { return kLimits[static_cast<std::size_t>(lane)]; }

/// The time to connect is for each address of a name. Keepalives find a dead link under a
/// connection that lies idle, before a call has to.
constexpr std::array<const char*, 5> kTimeouts = {"connect_timeout=4", "tcp_user_timeout=8000",
                                                  "keepalives_idle=15", "keepalives_interval=5",
                                                  "keepalives_count=3"};

/// True for states in which the server cannot serve now, and another connection may do better.
bool is_away(std::string_view state) {
  return state.starts_with("08") || state.starts_with("57P") || state.starts_with("53") ||
         state == "25006";
}

}  // namespace

std::string with_timeouts(const std::string& connection) {
  const bool is_uri =
      connection.starts_with("postgres://") || connection.starts_with("postgresql://");
  const char* separator = is_uri ? "&" : " ";
  const bool is_first = is_uri && connection.find('?') == std::string::npos;
  auto bounded = connection;
  for (std::size_t i = 0; i < kTimeouts.size(); ++i) {
    bounded += i == 0 && is_first ? "?" : separator;
    bounded += kTimeouts[i];
  }
  return bounded;
}

Database::Database(DatabaseOptions options, metrics::Registry& registry)
    : options_(std::move(options)),
      registry_(registry),
      retries_(registry.counter("cambrian_coordinator_database_retries_total",
                                "Transactions that were run again after a deadlock or a lost "
                                "connection")),
      failures_(registry.counter("cambrian_coordinator_database_failures_total",
                                 "Transactions that failed because the database was away or too "
                                 "slow")),
      in_doubt_(registry.counter("cambrian_coordinator_database_in_doubt_total",
                                 "Commits whose answer was lost")),
      busy_(registry.gauge(kConnections, kConnectionsHelp, {{"state", "busy"}})),
      idle_(registry.gauge(kConnections, kConnectionsHelp, {{"state", "idle"}})) {
  for (int i = 0; i < kLanes; ++i) {
    const int share = options_.connections / kLanes + (i < options_.connections % kLanes ? 1 : 0);
    const auto place = static_cast<std::size_t>(i);
    lanes_[place] = std::make_unique<LaneState>(
        kLimits[place].name, static_cast<std::size_t>(std::max(1, share)), kPendingMax);
  }
}

Database::~Database() = default;

SocketWatch::Clock::time_point Database::deadline_of(Lane lane) {
  return SocketWatch::Clock::now() + limits_of(lane).call_max;
}

std::unique_ptr<Session> Database::connect(const Call& call) {
  auto connection = std::make_unique<Session>(with_timeouts(options_.connection));
  const SocketWatch::Scope scope(watch_, connection->sock(), call.deadline);
  const auto& limits = limits_of(call.lane);
  pqxx::nontransaction setup(*connection);
  setup.exec(
      "SELECT set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false), "
      "set_config('idle_in_transaction_session_timeout', '60000', false), "
      "set_config('client_min_messages', 'warning', false), "
      "set_config('application_name', $3, false)",
      pqxx::params{std::to_string(limits.statement_timeout_ms),
                   std::to_string(limits.lock_timeout_ms),
                   std::string("cambrian-coordinator-") + limits.name});
  if (limits.reads_by_index) setup.exec(kReadByIndex);
  if (call.lane == Lane::claim) setup.exec(kPlanOnce);
  return connection;
}

std::unique_ptr<Session> Database::take_idle(Lane lane) {
  auto& state = *lanes_[static_cast<std::size_t>(lane)];
  const std::lock_guard lock(state.mutex);
  if (state.idle.empty()) return nullptr;
  auto connection = std::move(state.idle.back());
  state.idle.pop_back();
  idle_.add(-1);
  return connection;
}

Status Database::try_once(const Call& call, const Erased& body, bool& may_repeat) {
  auto connection = take_idle(call.lane);
  // A connection that lay idle may have died meanwhile: that alone says nothing about the server.
  may_repeat = connection != nullptr;
  if (!connection) connection = connect(call);
  bool is_done = false;
  {
    const Busy busy(busy_);
    const SocketWatch::Scope scope(watch_, connection->sock(), call.deadline);
    connection->forget_old_plans();
    {
      pqxx::work transaction(*connection);
      is_done = body(transaction);
      CAMBRIAN_FAILPOINT(call.name, "before_commit");
      if (is_done) transaction.commit();
      CAMBRIAN_FAILPOINT(call.name, "after_commit");
    }
    if (scope.is_cut()) connection.reset();  // Done at the last moment.
  }
  if (connection) {
    auto& state = *lanes_[static_cast<std::size_t>(call.lane)];
    const std::lock_guard lock(state.mutex);
    state.idle.push_back(std::move(connection));
    idle_.add(1);
  }
  if (!is_done) return fail(Errc::cancelled, "rolled back");
  return {};
}

std::string Database::find_obstacle(const Call& call) const {
  if (watch_.is_cutting_all()) return "the coordinator is shutting down";
  if (SocketWatch::Clock::now() < call.deadline) return {};
  return "the database does not answer in time: query=" + std::string(call.name);
}

Status Database::run_erased(const Call& call, const Erased& body) {
  const char* name = call.name;
  const auto begin = std::chrono::steady_clock::now();
  Status last = fail(Errc::unavailable, "not tried");
  for (int i = 0; i < kTriesMax; ++i) {
    if (auto obstacle = find_obstacle(call); !obstacle.empty()) {
      // A commit in doubt stays in doubt.
      if (i == 0 || last.error().code == Errc::unavailable) {
        last = fail(Errc::unavailable, std::move(obstacle));
      }
      break;
    }
    if (i > 0) retries_.add();
    bool may_repeat = false;
    try {
      auto status = try_once(call, body, may_repeat);
      note_available(true, "");
      duration_of(name).observe(
          std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
      return status;
    } catch (const pqxx::in_doubt_error& error) {
      in_doubt_.add();
      last = fail(Errc::outcome_unknown,
                  "the answer to a commit was lost: " + first_line(error.what()));
      if (call.in_doubt == InDoubt::report) break;
    } catch (const pqxx::broken_connection& error) {
      last = fail(Errc::unavailable, "the database is away: " + first_line(error.what()));
      drop_idle(call.lane);
      if (!may_repeat) break;
    } catch (const pqxx::serialization_failure& error) {
      last = fail(Errc::unavailable, "transactions collided: " + first_line(error.what()));
    } catch (const pqxx::deadlock_detected& error) {
      last = fail(Errc::unavailable, "transactions collided: " + first_line(error.what()));
    } catch (const pqxx::sql_error& error) {
      const std::string& code = error.sqlstate();
      if (is_away(code)) {
        last = fail(Errc::unavailable, "the database is away: " + first_line(error.what()));
        drop_idle(call.lane);
        if (!may_repeat) break;
      } else if (code == "57014" || code == "55P03") {
        last =
            fail(Errc::deadline_exceeded, "the database took too long: query=" + std::string(name));
        break;
      } else {
        log::error("query_failed",
                   {{"query", name}, {"sqlstate", code}, {"what", first_line(error.what())}});
        return fail(Errc::internal, "query failed: query=" + std::string(name));
      }
    } catch (const std::exception& error) {
      log::error("query_failed", {{"query", name}, {"what", first_line(error.what())}});
      return fail(Errc::internal, "query failed: query=" + std::string(name));
    }
  }
  failures_.add();
  if (last.error().code == Errc::unavailable) note_available(false, last.error().message);
  return last;
}

void Database::drop_idle(Lane lane) {
  auto& state = *lanes_[static_cast<std::size_t>(lane)];
  const std::lock_guard lock(state.mutex);
  idle_.add(-static_cast<double>(state.idle.size()));
  state.idle.clear();
}

void Database::note_available(bool is_available, const std::string& why) {
  if (is_available_.exchange(is_available) == is_available) return;
  if (is_available) {
    log::info("database_restored");
  } else {
    log::warn("database_lost", {{"reason", why}});
  }
}

metrics::Histogram& Database::duration_of(const char* name) {
  const std::lock_guard lock(metrics_mutex_);
  const auto found = durations_.find(name);
  if (found != durations_.end()) return found->second;
  auto histogram = registry_.histogram("cambrian_coordinator_database_query_duration_seconds",
                                       "Time of one transaction, by use case",
                                       metrics::duration_buckets(), {{"query", name}});
  return durations_.emplace(name, histogram).first->second;
}

}  // namespace cambrian::coordinator::postgres
