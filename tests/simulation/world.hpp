#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/simulation/coordinator_process.hpp"
#include "tests/simulation/rules.hpp"
#include "tests/unit/coordinator/search_world.hpp"

namespace cambrian::coordinator::simulation {

/// How often things went wrong: the histories must reach all of it.
using Counts = std::map<std::string, std::int64_t>;

/// One history: a database, two coordinators, workers and codegen clients, a network between them,
/// a user; what goes wrong, and what must hold all the same. The seed decides everything.
class World {
 public:
  explicit World(std::uint64_t seed);

  /// Fails the test where a rule is broken.
  void run();
  const Counts& counts() const { return counts_; }

 private:
  static constexpr int kCoordinators = 2;

  /// What an agent works on.
  struct Attempt {
    Assignment assignment;
    std::optional<WorkReport> report;  ///< Once it is done.
    double stamp = 0;
  };
  struct Agent {
    std::string id;
    std::string name;
    AgentKind kind = AgentKind::worker;
    int slots = 1;
    int coordinator = 0;
    std::map<Lease, Attempt> attempts;
    std::vector<Release> released;
    bool is_calling = false;
    bool is_frozen = false;
    bool is_dead = false;
    std::vector<std::function<void()>> inbox;  ///< What happened while it was frozen.
  };
  using AgentPtr = std::shared_ptr<Agent>;
  template <class T>
  using Then = std::function<void(std::optional<Result<T>>)>;

  // The run.
  void create_campaigns();
  void step();
  void run_until(const std::function<bool()>& is_over, milliseconds most);
  bool have_ended() const;
  void heal();

  // What goes wrong.
  void plan_trouble();
  void make_trouble();
  void kill_coordinator(int place);
  void start_coordinator(int place);
  void cut_network(int place);
  void lose_database();
  void disturb_agent();
  void disturb_user();

  // Agents.
  void add_agent(AgentKind kind, std::string name);
  void replace(const AgentPtr& agent);
  void tell(const AgentPtr& agent, std::function<void()> what);
  void sync(const AgentPtr& agent);
  void sync_later(const AgentPtr& agent, milliseconds time);
  AgentReport report_of(const Agent& agent) const;
  void take(const AgentPtr& agent, std::size_t released, std::optional<Result<SyncAnswer>> answer);
  void work(const AgentPtr& agent, const Lease& lease);
  WorkReport make_report(const Agent& agent, Attempt& attempt);
  void send_report(const AgentPtr& agent, const Lease& lease);
  void take_verdict(const AgentPtr& agent, const Lease& lease,
                    std::optional<Result<FinishState>> answer);
  void lie(const AgentPtr& agent, const WorkReport& report);
  void repeat_differently(const AgentPtr& agent, const WorkReport& report);

  /// Sends a call to a coordinator and waits for its answer; none when the time was over. Calls and
  /// answers take time, get lost, and arrive twice.
  template <class T>
  void call(int coordinator, milliseconds patience,
            std::function<awaitable<Result<T>>(AgentDesk&, std::function<bool()>)> ask,
            Then<T> then);
  milliseconds latency();

  Rng rng_;
  MemoryDatabase database_;
  Timeline timeline_{[this](Clock::Time::duration passed) {
    database_.now += std::chrono::duration_cast<std::chrono::microseconds>(passed);
  }};
  Rules rules_{database_};
  Faults faults_;
  bool is_quiet_ = false;  ///< Nothing goes wrong any more.
  double lost_ = 0;        ///< Share of messages.
  double twice_ = 0;
  double lies_ = 0;
  std::array<bool, kCoordinators> is_cut_{};
  std::array<std::unique_ptr<CoordinatorProcess>, kCoordinators> coordinators_;
  std::vector<AgentPtr> agents_;
  search::Agents results_;
  std::int64_t agents_made_ = 0;
  std::int64_t coordinators_made_ = 0;
  double stamps_ = 0;
  std::vector<Acknowledged> acknowledged_;
  Counts counts_;
};

}  // namespace cambrian::coordinator::simulation
