#include "common/agent/agent.hpp"

#include <grpcpp/client_context.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/thread_pool.hpp>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <format>
#include <list>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "cambrian/agent/v1/agent_service.grpc.pb.h"
#include "common/agent/report.hpp"
#include "common/failpoint/failpoint.hpp"
#include "common/log/log.hpp"
#include "common/rpc/backoff.hpp"
#include "common/rpc/channel.hpp"
#include "common/rpc/status.hpp"

namespace cambrian::agent {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kSyncTimeout = 15s;  // On top of the time that the call may wait for work.
constexpr auto kWaitMax = 10s;
constexpr auto kPollPause = 200ms;
// While a training may answer at a rung: its news must not wait behind a call that waits for work.
constexpr auto kWaitMaxAtRungs = 500ms;
constexpr auto kSyncIntervalDefault = 20s;
constexpr auto kOutageLogInterval = 30s;
// A token that was replaced is read again within seconds.
constexpr auto kTokenPatience = 10s;
constexpr std::size_t kRejectionBytesMax = 512;  // The coordinator takes twice as many.

std::chrono::milliseconds to_milliseconds(const google::protobuf::Duration& duration) {
  return std::chrono::seconds(duration.seconds()) +
         std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::nanoseconds(duration.nanos()));
}

std::string make_agent_id() {
  std::random_device entropy;  // Must be unique, not repeatable.
  std::string id;
  for (int i = 0; i < 4; ++i) id += std::format("{:08x}", entropy());
  return id;
}

/// The same kind of result, as a failure of ours. What calls took is spent all the same.
AttemptOutcome failed_outcome(const AttemptOutcome& outcome, const std::string& reason,
                              bool keeps_calls) {
  if (std::holds_alternative<v1::EvaluationResult>(outcome)) {
    v1::EvaluationResult result;
    result.set_outcome(v1::EVALUATION_OUTCOME_INFRASTRUCTURE);
    result.set_diagnostics(reason);
    return result;
  }
  v1::ProposalResult result;
  result.set_outcome(v1::PROPOSAL_OUTCOME_INFRASTRUCTURE);
  result.add_rejections(reason.substr(0, kRejectionBytesMax));
  if (keeps_calls) {
    const auto& refused = std::get<v1::ProposalResult>(outcome);
    *result.mutable_calls() = refused.calls();
    *result.mutable_contents() = refused.contents();
  }
  return result;
}

}  // namespace

void Attempt::set_progress(v1::Progress progress) {
  *progress.mutable_lease() = assignment_.lease();
  bool is_news = false;
  {
    const std::lock_guard lock(mutex_);
    is_news = progress.rungs_size() > progress_.rungs_size();
    // What was answered at rungs stays so: the coordinator may not have heard of it.
    if (progress.rungs().empty()) *progress.mutable_rungs() = progress_.rungs();
    progress_ = std::move(progress);
  }
  if (is_news && on_news_) on_news_();
}

void Attempt::set_progress(std::string phase) {
  v1::Progress progress;
  progress.set_phase(std::move(phase));
  set_progress(std::move(progress));
}

v1::Progress Attempt::progress() const {
  const std::lock_guard lock(mutex_);
  v1::Progress progress = progress_;
  *progress.mutable_lease() = assignment_.lease();
  return progress;
}

/// The state of a running agent. The Sync loop runs on the caller's thread, each attempt on one of
/// a pool that has as many as slots. There is never more than one Sync at a time, and a lease stays
/// in `running` until its report was acknowledged: so the coordinator may take a lease that the
/// agent does not name for one whose grant never arrived.
class Agent::Loop {
 public:
  Loop(std::shared_ptr<grpc::Channel> channel, AgentOptions options, Handler handler)
      : stub_(v1::AgentService::NewStub(std::move(channel))),
        options_(std::move(options)),
        handler_(std::move(handler)),
        threads_(static_cast<std::size_t>(std::max(1, options_.description.slots()))) {
    options_.description.set_agent_id(make_agent_id());
    if (options_.description.protocol_version() == 0) {
      options_.description.set_protocol_version(1);
    }
  }

  int run();
  void request_stop();

 private:
  struct Running {
    std::shared_ptr<Attempt> attempt;  // Shared by its thread and the Sync loop.
    bool is_done = false;
  };

  bool has_ended();
  void wait_for_next_sync();
  v1::SyncRequest make_request();
  bool has_rungs() const;
  Running* find(const v1::Lease& lease);
  grpc::Status sync(const v1::SyncRequest& request, v1::SyncResponse& response);
  bool handle_failure(const grpc::Status& status);
  void apply(const v1::SyncRequest& request, const v1::SyncResponse& response);
  void start(const v1::Assignment& assignment, std::int64_t contents_bytes_max);
  void work(Running& running);
  std::optional<Released> deliver(const v1::Lease& lease, const AttemptOutcome& outcome);
  void begin_drain(const char* reason);
  void finish_draining();
  void forget_done();

  std::unique_ptr<v1::AgentService::Stub> stub_;
  AgentOptions options_;
  Handler handler_;
  rpc::Backoff backoff_{static_cast<std::uint64_t>(::getpid())};
  const Clock::time_point start_time_ = Clock::now();
  Clock::time_point last_outage_log_{};
  bool is_in_outage_ = false;
  std::optional<Clock::time_point> unknown_since_;  // To the coordinator, which asks for a token.
  std::stop_source reports_stop_;                   // Ends the retries of reports at shutdown.

  std::mutex mutex_;  // Guards everything below.
  std::condition_variable wake_;
  std::list<Running> running_;
  std::vector<v1::Release> released_;
  grpc::ClientContext* call_ = nullptr;              // The Sync in flight.
  std::optional<Clock::time_point> drain_deadline_;  // After a signal.
  bool is_draining_ = false;                         // Takes nothing new.
  bool has_news_ = false;                            // Something to tell before the next interval.
  Clock::time_point next_sync_ = Clock::now();       // At the latest.
  Clock::time_point next_poll_ = Clock::now();       // For more work, at the earliest.
  Clock::time_point idle_since_ = Clock::now();

  // The last: its threads use everything above until they end.
  boost::asio::thread_pool threads_;
};

Agent::Agent(std::shared_ptr<grpc::Channel> channel, AgentOptions options, Handler handler)
    : loop_(std::make_unique<Loop>(std::move(channel), std::move(options), std::move(handler))) {}
Agent::~Agent() = default;
int Agent::run() { return loop_->run(); }
void Agent::request_stop() { loop_->request_stop(); }

int Agent::Loop::run() {
  boost::asio::io_context signals_context;
  boost::asio::signal_set signals(signals_context, SIGTERM, SIGINT);
  signals.async_wait([this](const boost::system::error_code& error, int) {
    if (!error) request_stop();
  });
  std::jthread signals_thread([&signals_context] { signals_context.run(); });
  log::info("agent_started", {{"agent", options_.description.agent_id()},
                              {"name", options_.description.name()},
                              {"slots", options_.description.slots()}});
  int exit_code = 0;
  while (!has_ended()) {
    wait_for_next_sync();
    const auto request = make_request();
    v1::SyncResponse response;
    const auto status = sync(request, response);
    if (status.ok()) {
      apply(request, response);
    } else if (!handle_failure(status)) {
      exit_code = 1;
      break;
    }
    forget_done();
  }
  finish_draining();
  signals_context.stop();
  log::info("agent_ended", {{"agent", options_.description.agent_id()}, {"code", exit_code}});
  return exit_code;
}

void Agent::Loop::request_stop() {
  const std::lock_guard lock(mutex_);
  if (drain_deadline_) return;
  drain_deadline_ = Clock::now() + options_.drain_timeout;
  begin_drain("signal");
  if (call_ != nullptr) call_->TryCancel();
}

void Agent::Loop::begin_drain(const char* reason) {
  if (!is_draining_) log::info("agent_draining", {{"reason", reason}});
  is_draining_ = true;
  has_news_ = true;
  wake_.notify_all();
}

bool Agent::Loop::has_ended() {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (!is_draining_ && options_.lifetime_max && now - start_time_ >= *options_.lifetime_max) {
    begin_drain("lifetime");
  }
  if (!is_draining_ && options_.idle_exit && running_.empty() &&
      now - idle_since_ >= *options_.idle_exit) {
    begin_drain("idle");
  }
  const bool is_over = drain_deadline_ && now >= *drain_deadline_;
  return is_over || (is_draining_ && running_.empty());
}

void Agent::Loop::wait_for_next_sync() {
  std::unique_lock lock(mutex_);
  const auto is_due = [this] {
    const auto busy = std::ranges::count_if(running_, [](const auto& r) { return !r.is_done; });
    const bool has_free_slot = !is_draining_ && busy < options_.description.slots();
    return has_news_ || (has_free_slot && !is_in_outage_);
  };
  // While the last attempts finish, their leases are renewed as always.
  const auto due = drain_deadline_ ? std::min(next_sync_, *drain_deadline_) : next_sync_;
  // An answer without work is not asked for again at once, however fast it came.
  wake_.wait_until(lock, std::min(next_poll_, due), [this] { return has_news_; });
  wake_.wait_until(lock, due, is_due);
  has_news_ = false;
}

v1::SyncRequest Agent::Loop::make_request() {
  v1::SyncRequest request;
  const std::lock_guard lock(mutex_);
  if (options_.refresh) options_.refresh(options_.description);
  *request.mutable_agent() = options_.description;
  for (const auto& running : running_) {
    if (!running.is_done) *request.add_running() = running.attempt->progress();
  }
  for (const auto& release : released_) *request.add_released() = release;
  const int free_slots = options_.description.slots() - request.running_size();
  request.set_is_draining(is_draining_);
  if (!is_draining_ && free_slots > 0) {
    request.set_wanted(free_slots);
    auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(kWaitMax);
    if (options_.idle_exit) wait = std::min(wait, *options_.idle_exit);
    if (has_rungs()) wait = std::min<std::chrono::milliseconds>(wait, kWaitMaxAtRungs);
    request.mutable_wait_max()->set_seconds(wait.count() / 1000);
    request.mutable_wait_max()->set_nanos(static_cast<int>(wait.count() % 1000) * 1'000'000);
  }
  return request;
}

bool Agent::Loop::has_rungs() const {
  return std::ranges::any_of(running_, [](const Running& running) {
    return running.attempt->assignment().evaluation().rungs_size() > 0;
  });
}

grpc::Status Agent::Loop::sync(const v1::SyncRequest& request, v1::SyncResponse& response) {
  grpc::ClientContext context;
  rpc::set_deadline(context, kSyncTimeout + to_milliseconds(request.wait_max()));
  {
    const std::lock_guard lock(mutex_);
    if (drain_deadline_ && request.wanted() > 0) return grpc::Status::CANCELLED;  // Out of date.
    call_ = &context;
  }
  CAMBRIAN_FAILPOINT("agent", "syncing");
  const auto status = stub_->Sync(&context, request, &response);
  CAMBRIAN_FAILPOINT("agent", "synced");
  const std::lock_guard lock(mutex_);
  call_ = nullptr;
  return status;
}

// False when the coordinator will never accept this agent.
bool Agent::Loop::handle_failure(const grpc::Status& status) {
  const auto code = status.error_code();
  if (code == grpc::StatusCode::CANCELLED) return true;
  const bool is_unknown = code == grpc::StatusCode::UNAUTHENTICATED;
  if (is_unknown && !unknown_since_) unknown_since_ = Clock::now();
  if (code == grpc::StatusCode::INVALID_ARGUMENT || code == grpc::StatusCode::PERMISSION_DENIED ||
      code == grpc::StatusCode::UNIMPLEMENTED ||
      (is_unknown && Clock::now() - *unknown_since_ >= kTokenPatience)) {
    log::error("agent_refused", {{"cause", status.error_message()}});
    return false;
  }
  is_in_outage_ = true;
  if (Clock::now() - last_outage_log_ >= kOutageLogInterval) {
    last_outage_log_ = Clock::now();
    log::warn("coordinator_unreachable",
              {{"cause", status.error_message()},
               {"next", is_unknown ? "trying again for some seconds, in case the token is replaced"
                                   : "trying again; are the address and tls right?"}});
  }
  const auto hint = rpc::details_of(status).retry_delay;
  const std::lock_guard lock(mutex_);
  next_sync_ = Clock::now() + hint.value_or(backoff_.next());
  return true;
}

void Agent::Loop::apply(const v1::SyncRequest& request, const v1::SyncResponse& response) {
  if (is_in_outage_) log::info("coordinator_reached");
  is_in_outage_ = false;
  unknown_since_.reset();
  backoff_.reset();
  const std::lock_guard lock(mutex_);
  // What was told need not be told again; what came in meanwhile stays.
  released_.erase(released_.begin(), released_.begin() + request.released_size());
  const auto interval = response.has_next_sync() ? to_milliseconds(response.next_sync())
                                                 : std::chrono::milliseconds(kSyncIntervalDefault);
  next_sync_ = Clock::now() + interval;
  next_poll_ = Clock::now() + (response.assignments().empty() ? kPollPause : 0ms);
  for (const auto& lease : response.cancelled()) {
    if (Running* running = find(lease)) {
      log::info("attempt_cancelled", {{"item", lease.item_id()}, {"epoch", lease.epoch()}});
      running->attempt->request_stop();
    }
  }
  for (const auto& lease : response.stopped()) {
    Running* running = find(lease);
    if (running == nullptr || running->attempt->early_stop_token().stop_requested()) continue;
    log::info("attempt_stopped_early", {{"item", lease.item_id()}, {"epoch", lease.epoch()}});
    running->attempt->request_early_stop();
  }
  for (const auto& assignment : response.assignments()) {
    start(assignment, response.contents_bytes_max());
  }
  if (response.should_drain() && !is_draining_) begin_drain("asked by the coordinator");
}

Agent::Loop::Running* Agent::Loop::find(const v1::Lease& lease) {
  for (auto& running : running_) {
    const auto& own = running.attempt->assignment().lease();
    if (own.item_id() == lease.item_id() && own.epoch() == lease.epoch()) return &running;
  }
  return nullptr;
}

void Agent::Loop::start(const v1::Assignment& assignment, std::int64_t contents_bytes_max) {
  log::info("attempt_started",
            {{"item", assignment.lease().item_id()}, {"epoch", assignment.lease().epoch()}});
  auto& running = running_.emplace_back();
  const auto tell = [this] {
    const std::lock_guard lock(mutex_);
    has_news_ = true;
    wake_.notify_all();
  };
  running.attempt = std::make_shared<Attempt>(assignment, options_.description.agent_id(),
                                              contents_bytes_max, tell);
  boost::asio::post(threads_, [this, &running] { work(running); });
}

void Agent::Loop::work(Running& running) {
  const auto attempt = running.attempt;
  const auto lease = attempt->assignment().lease();
  CAMBRIAN_FAILPOINT("agent", "begun");
  const auto outcome = handler_(*attempt);
  const auto release = deliver(lease, outcome);
  const std::lock_guard lock(mutex_);
  if (release) {
    auto& added = released_.emplace_back();
    *added.mutable_lease() = lease;
    added.set_reason(release->reason);
    added.set_checkpoint(release->checkpoint);
  }
  has_news_ = has_news_ || release || is_draining_;
  running.is_done = true;
  idle_since_ = Clock::now();
  wake_.notify_all();
}

// How the lease is handed back, or nothing when the coordinator has the result.
std::optional<Released> Agent::Loop::deliver(const v1::Lease& lease,
                                             const AttemptOutcome& outcome) {
  if (const auto* released = std::get_if<Released>(&outcome)) return *released;
  const auto& id = options_.description.agent_id();
  auto sent = report(*stub_, id, lease, outcome, reports_stop_.get_token());
  // The reason belongs into the campaign, not only into this agent's log. The calls may be what is
  // refused.
  for (const bool keeps_calls : {true, false}) {
    if (sent.delivery != Delivery::refused) break;
    const auto said =
        failed_outcome(outcome, "the coordinator refused the result: " + sent.cause, keeps_calls);
    sent = report(*stub_, id, lease, said, reports_stop_.get_token());
  }
  switch (sent.delivery) {
    case Delivery::delivered: return std::nullopt;
    case Delivery::refused: return v1::RELEASE_REASON_UNABLE;
    case Delivery::stopped: return v1::RELEASE_REASON_SHUTDOWN;
  }
  return std::nullopt;
}

void Agent::Loop::forget_done() {
  const std::lock_guard lock(mutex_);
  std::erase_if(running_, [](const Running& running) { return running.is_done; });
}

void Agent::Loop::finish_draining() {
  {
    std::unique_lock lock(mutex_);
    const auto all_done = [this] {
      return std::ranges::all_of(running_, [](const auto& r) { return r.is_done; });
    };
    for (auto& running : running_) running.attempt->hand_on();
    reports_stop_.request_stop();
    if (!wake_.wait_for(lock, kStopGrace, all_done)) {
      // A thread that hangs cannot be ended; its lease can still be handed back.
      for (const auto& running : running_) {
        if (running.is_done) continue;
        auto& added = released_.emplace_back();
        *added.mutable_lease() = running.attempt->assignment().lease();
        added.set_reason(v1::RELEASE_REASON_SHUTDOWN);
      }
      log::error("attempts_hang", {{"grace_ms", kStopGrace}});
    }
  }
  auto request = make_request();
  request.clear_running();
  v1::SyncResponse response;
  if (const auto status = sync(request, response); !status.ok()) {
    log::warn("goodbye_failed", {{"cause", status.error_message()}});
  }
  const std::lock_guard lock(mutex_);
  if (!std::ranges::all_of(running_, [](const auto& r) { return r.is_done; })) std::_Exit(0);
}

}  // namespace cambrian::agent
