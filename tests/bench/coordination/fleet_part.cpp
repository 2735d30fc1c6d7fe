// Ten thousand agents. Each is an agent of its own for the coordinator; their calls share a few
// hundred connections, for ten thousand sockets on both sides would measure this machine's limits.

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <queue>
#include <stdexcept>
#include <thread>

#include "common/rpc/channel.hpp"
#include "tests/bench/coordination/child.hpp"
#include "tests/bench/coordination/parts.hpp"
#include "tests/bench/coordination/stage.hpp"

namespace cambrian::bench {
namespace {

constexpr milliseconds kCallTimeout{40'000};
constexpr milliseconds kLongPoll{10'000};
constexpr milliseconds kEndPatience{60'000};

/// Calls at given times, on one thread. The calls themselves must not block.
class Schedule {
 public:
  using Task = std::function<void()>;
  Schedule() : thread_([this] { run(); }) {}
  ~Schedule() {
    {
      const std::lock_guard lock(mutex_);
      is_over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  void at(Clock::time_point time, Task task) {
    const std::lock_guard lock(mutex_);
    tasks_.push({time, std::move(task)});
    changed_.notify_all();
  }

 private:
  struct Entry {
    Clock::time_point time;
    Task task;
    bool operator<(const Entry& other) const { return time > other.time; }
  };

  void run() {
    std::unique_lock lock(mutex_);
    while (!is_over_) {
      if (tasks_.empty()) {
        changed_.wait(lock);
      } else if (tasks_.top().time > Clock::now()) {
        changed_.wait_until(lock, tasks_.top().time);
      } else {
        const auto task = tasks_.top().task;
        tasks_.pop();
        lock.unlock();
        task();
        lock.lock();
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::priority_queue<Entry> tasks_;
  bool is_over_ = false;
  std::thread thread_;
};

/// What the whole fleet shares.
struct Fleet {
  explicit Fleet(milliseconds beat) : interval(beat) {}
  milliseconds interval;
  Clock::time_point begin = Clock::now();
  Schedule schedule;
  std::mutex mutex;  // Guards what follows.
  std::condition_variable idle;
  Samples heartbeats;
  Samples claims;
  std::int64_t failures = 0;
  std::int64_t lost_leases = 0;
  std::size_t in_flight = 0;
  bool is_over = false;
};

/// One agent: with a lease it only heartbeats, without one it waits for work, reports it at once
/// and waits again. One call at a time.
class Member {
 public:
  Member(Fleet& fleet, std::shared_ptr<grpc::Channel> channel, std::string id,
         std::optional<agent::v1::Lease> lease)
      : fleet_(fleet),
        stub_(agent::v1::AgentService::NewStub(std::move(channel))),
        id_(std::move(id)),
        is_working_(lease.has_value()) {
    auto* self = request_.mutable_agent();
    self->set_agent_id(id_);
    self->set_name(id_);
    self->set_kind(agent::v1::AGENT_KIND_WORKER);
    self->set_version("bench");
    self->set_protocol_version(1);
    self->set_slots(1);
    self->add_runtimes(spec::v1::RUNTIME_CPP);
    self->set_sandbox_level(spec::v1::SANDBOX_LEVEL_STANDARD);
    if (lease) {
      auto* progress = request_.add_running();
      *progress->mutable_lease() = *lease;
      progress->set_phase("train");
    } else {
      request_.set_wanted(1);
      request_.mutable_wait_max()->set_seconds(kLongPoll.count() / 1'000);
    }
  }

  void start(milliseconds delay) {
    fleet_.schedule.at(fleet_.begin + delay, [this] { sync(); });
  }

 private:
  bool enter() {
    const std::lock_guard lock(fleet_.mutex);
    if (fleet_.is_over) return false;
    ++fleet_.in_flight;
    return true;
  }
  void leave() {
    const std::lock_guard lock(fleet_.mutex);
    if (--fleet_.in_flight == 0) fleet_.idle.notify_all();
  }

  void sync() {
    if (!enter()) return;
    context_ = std::make_unique<grpc::ClientContext>();
    rpc::set_deadline(*context_, kCallTimeout);
    response_.Clear();
    started_ = Clock::now();
    stub_->async()->Sync(context_.get(), &request_, &response_,
                         [this](const grpc::Status& status) { on_sync(status.ok()); });
  }

  void on_sync(bool is_ok) {
    const auto now = Clock::now();
    {
      const std::lock_guard lock(fleet_.mutex);
      if (!is_ok) ++fleet_.failures;
      fleet_.lost_leases += response_.cancelled_size();
      if (is_ok && is_working_) {
        fleet_.heartbeats.add(seconds_between(fleet_.begin, now),
                              seconds_between(started_, now) * 1e3);
      }
    }
    if (is_ok && response_.assignments_size() > 0) return finish();
    const auto next = is_working_ ? started_ + fleet_.interval : now;
    fleet_.schedule.at(is_ok ? next : now + milliseconds(1'000), [this] { sync(); });
    leave();
  }

  void finish() {
    finished_.set_agent_id(id_);
    *finished_.mutable_lease() = response_.assignments(0).lease();
    *finished_.mutable_result() = test::success(0.5);
    context_ = std::make_unique<grpc::ClientContext>();
    rpc::set_deadline(*context_, kCallTimeout);
    started_ = Clock::now();
    stub_->async()->FinishEvaluation(
        context_.get(), &finished_, &finish_response_,
        [this](const grpc::Status& status) { on_finish(status.ok()); });
  }

  void on_finish(bool is_ok) {
    const auto now = Clock::now();
    {
      const std::lock_guard lock(fleet_.mutex);
      if (!is_ok) ++fleet_.failures;
      if (is_ok) {
        fleet_.claims.add(seconds_between(fleet_.begin, now), seconds_between(started_, now) * 1e3);
      }
    }
    fleet_.schedule.at(now, [this] { sync(); });
    leave();
  }

  Fleet& fleet_;
  std::unique_ptr<agent::v1::AgentService::Stub> stub_;
  std::string id_;
  bool is_working_;
  Clock::time_point started_;
  std::unique_ptr<grpc::ClientContext> context_;
  agent::v1::SyncRequest request_;
  agent::v1::SyncResponse response_;
  agent::v1::FinishEvaluationRequest finished_;
  agent::v1::FinishEvaluationResponse finish_response_;
};

std::vector<std::unique_ptr<Member>> make_members(Fleet& fleet, Stage& stage,
                                                  const Options& options) {
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < options.fleet_channels; ++i) {
    channels.push_back(rpc::make_channel(stage.coordinator().address()));
  }
  const int working = options.fleet / 2;
  const std::string prefix = "fleet-member-";
  const auto first = stage.add_leased(working, prefix);
  std::vector<std::unique_ptr<Member>> members;
  for (int i = 0; i < options.fleet; ++i) {
    std::optional<agent::v1::Lease> lease;
    if (i < working) {
      lease.emplace();
      lease->set_item_id(first + i);
      lease->set_epoch(1);
    }
    members.push_back(
        std::make_unique<Member>(fleet, channels[static_cast<std::size_t>(i) % channels.size()],
                                 prefix + std::to_string(i), lease));
  }
  return members;
}

void wait_until_idle(Fleet& fleet) {
  std::unique_lock lock(fleet.mutex);
  fleet.is_over = true;
  if (!fleet.idle.wait_for(lock, kEndPatience, [&] { return fleet.in_flight == 0; })) {
    throw std::runtime_error("calls of the fleet do not end");
  }
}

}  // namespace

Json measure_fleet(Stage& stage, const Options& options) {
  stage.clear();
  // Before the fleet: its schedule calls them until it ends.
  std::vector<std::unique_ptr<Member>> members;
  Fleet fleet(options.fleet_interval);
  members = make_members(fleet, stage, options);
  fleet.begin = Clock::now();
  const auto ramp_up = options.fleet_interval;  // The start is no storm, and no beat either.
  for (std::size_t i = 0; i < members.size(); ++i) {
    members[i]->start(ramp_up * static_cast<int>(i) / static_cast<int>(members.size()));
  }
  const double from = std::chrono::duration<double>(ramp_up).count() + 2;
  const double to = from + options.fleet_seconds;
  // As a driver's step does: some items at a time, that nobody announces.
  constexpr milliseconds kFeedInterval{250};
  auto next_feed = fleet.begin;
  while (seconds_between(fleet.begin, Clock::now()) < to) {
    stage.add_ready(options.claims_per_second * kFeedInterval.count() / 1'000);
    next_feed += kFeedInterval;
    std::this_thread::sleep_until(next_feed);
  }
  const auto rss = memory_of(stage.coordinator().pid(), "VmRSS");
  wait_until_idle(fleet);
  const auto heartbeats = fleet.heartbeats.within(from, to);
  const auto claims = fleet.claims.within(from, to);
  return {{"agents", options.fleet},
          {"connections", options.fleet_channels},
          {"heartbeats_per_second", fleet.heartbeats.rate(from, to)},
          {"heartbeat_p50_ms", heartbeats.quantile(0.5)},
          {"heartbeat_p99_ms", heartbeats.quantile(0.99)},
          {"claims_per_second", static_cast<double>(claims.size()) / (to - from)},
          {"finish", claims.summary()},
          {"failures", fleet.failures},
          {"lost_leases", fleet.lost_leases},
          {"coordinator_rss_bytes", rss},
          {"coordinator_rss_peak_bytes", memory_of(stage.coordinator().pid(), "VmHWM")}};
}

}  // namespace cambrian::bench
