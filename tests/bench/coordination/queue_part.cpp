// Claims, reports, dispatch and renewals: the queue alone.

#include <atomic>
#include <map>
#include <mutex>
#include <pqxx/pqxx>
#include <stdexcept>
#include <thread>

#include "common/rpc/channel.hpp"
#include "tests/bench/coordination/parts.hpp"
#include "tests/bench/coordination/stage.hpp"

namespace cambrian::bench {
namespace {

using test::ScriptedAgent;

/// Before anything counts: connections are made, plans and caches are warm.
constexpr int kWarmUpSeconds = 3;
/// More than anything here finishes in a second.
constexpr std::int64_t kReadyPerSecond = 2'500;
constexpr int kLeasesOfAgent = 1'024;
constexpr int kClaimedAtOnce = 64;

ScriptedAgent make_agent(const std::string& address, const std::string& name) {
  return {rpc::make_channel(address), agent::v1::AGENT_KIND_WORKER, name};
}

struct Cycles {
  Samples claims;
  Samples finishes;
  Samples cycles;
  std::int64_t acknowledged = 0;
  std::int64_t failures = 0;
  std::int64_t idle_claims = 0;

  void add(const Cycles& others) {
    claims.add(others.claims);
    finishes.add(others.finishes);
    cycles.add(others.cycles);
    acknowledged += others.acknowledged;
    failures += others.failures;
    idle_claims += others.idle_claims;
  }
};

Cycles run_agent(const std::string& address, int place, Clock::time_point begin, int seconds) {
  auto agent = make_agent(address, "load-" + std::to_string(place));
  const auto request = agent.make_sync(1, milliseconds(1'000));
  Cycles cycles;
  while (seconds_between(begin, Clock::now()) < seconds) {
    const auto start = Clock::now();
    agent::v1::SyncResponse response;
    if (!agent.sync(request, &response).ok()) {
      ++cycles.failures;
      continue;
    }
    const double claim_ms = milliseconds_since(start);
    if (response.assignments().empty()) ++cycles.idle_claims;
    for (const auto& assignment : response.assignments()) {
      const auto reported = Clock::now();
      if (!agent.finish(assignment.lease(), test::success(0.5)).ok()) {
        ++cycles.failures;
        continue;
      }
      ++cycles.acknowledged;
      const double at = seconds_between(begin, Clock::now());
      cycles.claims.add(at, claim_ms);
      cycles.finishes.add(at, milliseconds_since(reported));
      cycles.cycles.add(at, milliseconds_since(start));
    }
  }
  return cycles;
}

Cycles run_cycles(Stage& stage, int agents, int seconds) {
  const auto counted = [&stage] {
    return stage.number("SELECT evaluations FROM campaign WHERE name = 'load'");
  };
  const auto before = counted();
  std::mutex mutex;
  Cycles cycles;
  {
    std::vector<std::jthread> threads;
    const auto begin = Clock::now();
    for (int i = 0; i < agents; ++i) {
      threads.emplace_back([&, i, begin] {
        const auto own = run_agent(stage.coordinator().address(), i, begin, seconds);
        const std::lock_guard lock(mutex);
        cycles.add(own);
      });
    }
  }
  if (counted() - before != cycles.acknowledged) {
    throw std::runtime_error("acknowledged " + std::to_string(cycles.acknowledged) +
                             " results, counted " + std::to_string(counted() - before));
  }
  if (cycles.idle_claims > 0 && stage.number("SELECT count(*) FROM (SELECT 1 FROM work_item"
                                             " WHERE state = 'ready' LIMIT 1) r") == 0) {
    throw std::runtime_error("the backlog ran out");
  }
  return cycles;
}

Json summary_of(const Cycles& all, double from, double to) {
  const auto window = all.cycles.within(from, to);
  return {{"cycles_per_second", all.cycles.rate(from, to)},
          {"p50_ms", window.quantile(0.5)},
          {"p99_ms", window.quantile(0.99)},
          {"claim", all.claims.within(from, to).summary()},
          {"finish", all.finishes.within(from, to).summary()},
          {"results_acknowledged_and_counted_once", all.acknowledged},
          {"failures", all.failures}};
}

// ---- Dispatch ----

/// Items that go round: whoever gets one keeps it for a moment and hands it back.
class Ring {
 public:
  void note_ready(std::int64_t item) {
    const std::lock_guard lock(mutex_);
    ready_at_[item] = Clock::now();
  }
  void note_got(std::int64_t item) {
    const auto now = Clock::now();
    const std::lock_guard lock(mutex_);
    const auto found = ready_at_.find(item);
    if (found == ready_at_.end()) return;
    samples_.add(0, seconds_between(found->second, now) * 1e3);
    ready_at_.erase(found);
  }
  std::size_t count() const {
    const std::lock_guard lock(mutex_);
    return samples_.size();
  }
  Samples samples() const {
    const std::lock_guard lock(mutex_);
    return samples_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::int64_t, Clock::time_point> ready_at_;
  Samples samples_;
};

constexpr int kRingAgents = 16;
constexpr int kRingItems = 4;
constexpr milliseconds kRingPause{25};
constexpr milliseconds kRingPatience{120'000};

void run_ring_agent(Ring& ring, const std::string& waits_at, const std::string& releases_at,
                    const std::atomic<bool>& is_over) {
  auto agent = make_agent(waits_at, "ring");
  const auto other = agent::v1::AgentService::NewStub(rpc::make_channel(releases_at));
  while (!is_over) {
    for (const auto& assignment : agent.claim(1, milliseconds(2'000))) {
      ring.note_got(assignment.lease().item_id());
      std::this_thread::sleep_for(kRingPause);
      auto request = agent.make_sync(0);
      auto* release = request.add_released();
      *release->mutable_lease() = assignment.lease();
      release->set_reason(agent::v1::RELEASE_REASON_SHUTDOWN);
      agent::v1::SyncResponse response;
      grpc::ClientContext context;
      rpc::set_deadline(context, milliseconds(20'000));
      ring.note_ready(assignment.lease().item_id());
      if (!other->Sync(&context, request, &response).ok()) return;
    }
  }
}

Json run_ring(Stage& stage, int dispatches, const std::string& waits_at,
              const std::string& releases_at) {
  stage.clear();
  stage.add_ready(kRingItems);
  Ring ring;
  std::atomic<bool> is_over = false;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kRingAgents; ++i) {
      threads.emplace_back([&] { run_ring_agent(ring, waits_at, releases_at, is_over); });
    }
    test::eventually([&] { return ring.count() >= static_cast<std::size_t>(dispatches); },
                     kRingPatience);
    is_over = true;
  }
  return ring.samples().summary();
}

// ---- Renewals ----

/// Takes as many leases as one call may name.
agent::v1::SyncRequest hold_leases(ScriptedAgent& agent) {
  auto request = agent.make_sync(0);
  for (int i = 0; i < kLeasesOfAgent; i += kClaimedAtOnce) {
    for (const auto& assignment : agent.claim(kClaimedAtOnce)) {
      auto* progress = request.add_running();
      *progress->mutable_lease() = assignment.lease();
      progress->set_phase("train");
    }
  }
  return request;
}

struct Updates {
  std::int64_t all = 0;
  std::int64_t hot = 0;
};

/// Sessions tell their counts at most once a second.
Updates updates_of(Stage& stage) {
  std::this_thread::sleep_for(milliseconds(2'000));
  const auto number = [&stage](const std::string& column) {
    return stage.number("SELECT " + column +
                        " FROM pg_stat_user_tables WHERE relname = 'work_item'");
  };
  return {.all = number("n_tup_upd"), .hot = number("n_tup_hot_upd")};
}

}  // namespace

Json measure_claims(Stage& stage, const Options& options) {
  const int seconds = kWarmUpSeconds + options.load_seconds;
  stage.clear();
  stage.add_ready(seconds * kReadyPerSecond);
  const auto cycles = run_cycles(stage, options.agents, seconds);
  auto summary = summary_of(cycles, kWarmUpSeconds, seconds);
  summary["agents"] = options.agents;
  summary["finished_rows"] = options.finished_rows;
  return summary;
}

Json measure_pinned(Stage& stage, const Options& options, double unpinned_rate) {
  const int seconds = options.pin_seconds + options.load_seconds;
  stage.clear();
  stage.add_ready(seconds * kReadyPerSecond);
  pqxx::connection connection(stage.database());
  pqxx::work pin(connection);
  pin.exec("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
  pin.exec("SELECT pg_current_xact_id()");
  const auto cycles = run_cycles(stage, options.agents, seconds);
  auto summary = summary_of(cycles, options.pin_seconds, seconds);
  summary["pinned_seconds_before"] = options.pin_seconds;
  if (unpinned_rate > 0) {
    summary["ratio_to_unpinned"] = summary["cycles_per_second"].get<double>() / unpinned_rate;
  }
  return summary;
}

Json measure_dispatch(Stage& stage, const Options& options) {
  test::CoordinatorProcess other({.database = stage.database()});
  const auto& here = stage.coordinator().address();
  const auto same = run_ring(stage, options.dispatches, here, here);
  const auto across = run_ring(stage, options.dispatches / 4, here, other.address());
  return {{"p50_ms", same["p50_ms"]},
          {"p99_ms", same["p99_ms"]},
          {"count", same["count"]},
          {"through_another_coordinator", across}};
}

Json measure_renewals(Stage& stage, const Options& options) {
  constexpr int kAgents = 16;
  stage.clear();
  stage.add_ready(kAgents * kLeasesOfAgent);
  std::vector<std::unique_ptr<ScriptedAgent>> agents;
  std::vector<agent::v1::SyncRequest> requests;
  for (int i = 0; i < kAgents; ++i) {
    agents.push_back(std::make_unique<ScriptedAgent>(
        make_agent(stage.coordinator().address(), "holder-" + std::to_string(i))));
    requests.push_back(hold_leases(*agents.back()));
    if (requests.back().running_size() != kLeasesOfAgent) throw std::runtime_error("no leases");
  }
  const auto before = updates_of(stage);
  std::atomic<std::int64_t> renewed = 0;
  std::atomic<std::int64_t> lost = 0;
  const auto begin = Clock::now();
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < agents.size(); ++i) {
      threads.emplace_back([&, i] {
        while (seconds_between(begin, Clock::now()) < options.renewal_seconds) {
          agent::v1::SyncResponse response;
          if (!agents[i]->sync(requests[i], &response).ok()) continue;
          renewed += requests[i].running_size() - response.cancelled_size();
          lost += response.cancelled_size();
        }
      });
    }
  }
  const double seconds = seconds_between(begin, Clock::now());
  const auto after = updates_of(stage);
  const auto updates = static_cast<double>(after.all - before.all);
  return {{"per_second", static_cast<double>(renewed) / seconds},
          {"hot_ratio", updates > 0 ? static_cast<double>(after.hot - before.hot) / updates : 0},
          {"rows_updated", after.all - before.all},
          {"lost", lost.load()},
          {"leases", kAgents * kLeasesOfAgent}};
}

}  // namespace cambrian::bench
