#pragma once

#include <grpcpp/channel.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <variant>

#include "cambrian/agent/v1/agent_service.pb.h"
#include "cambrian/agent/v1/work.pb.h"

namespace cambrian::agent {

/// Time of handlers to return after they were asked to stop.
inline constexpr std::chrono::seconds kStopGrace{10};

/// One try at an item, in the hands of the handler. Its methods may be called from any thread.
class Attempt {
 public:
  /// `on_news` is called, if set, when the coordinator should hear of the progress at once.
  explicit Attempt(v1::Assignment assignment, std::string agent_id = {},
                   std::int64_t contents_bytes_max = 0, std::function<void()> on_news = {})
      : assignment_(std::move(assignment)),
        agent_id_(std::move(agent_id)),
        contents_bytes_max_(contents_bytes_max),
        on_news_(std::move(on_news)) {}

  const v1::Assignment& assignment() const { return assignment_; }
  /// Of the agent that works on it: for what it says of the attempt by itself.
  const std::string& agent_id() const { return agent_id_; }
  /// What the contents of its report may have together, in bytes; others are uploaded.
  std::int64_t contents_bytes_max() const { return contents_bytes_max_; }
  /// Stopped when the lease is lost, the item is cancelled or the agent shuts down: the handler
  /// returns soon then, within kStopGrace, with RELEASE_REASON_SHUTDOWN.
  std::stop_token stop_token() const { return stop_.get_token(); }
  void request_stop() { stop_.request_stop(); }
  /// Whether it was stopped because the agent ends: somebody else goes on, from a checkpoint where
  /// the handler leaves one within a few seconds.
  bool is_handed_on() const { return is_handed_on_; }
  void hand_on() {
    is_handed_on_ = true;
    request_stop();
  }
  /// Stopped when the coordinator finds the training hopeless: the handler ends it, if it is still
  /// going on, and returns a result all the same.
  std::stop_token early_stop_token() const { return early_stop_.get_token(); }
  void request_early_stop() { early_stop_.request_stop(); }

  /// Shown by `cambrian worker list`; of its rungs the coordinator hears at once. The lease is
  /// added here.
  void set_progress(v1::Progress progress);
  void set_progress(std::string phase);
  v1::Progress progress() const;

 private:
  v1::Assignment assignment_;
  std::string agent_id_;
  std::int64_t contents_bytes_max_;
  std::function<void()> on_news_;
  std::stop_source stop_;
  std::atomic<bool> is_handed_on_ = false;
  std::stop_source early_stop_;
  mutable std::mutex mutex_;  // Guards progress_.
  v1::Progress progress_;
};

/// A lease that goes back.
struct Released {
  Released(v1::ReleaseReason why, std::string checkpoint_digest = {})
      : reason(why), checkpoint(std::move(checkpoint_digest)) {}

  v1::ReleaseReason reason;
  std::string checkpoint;  ///< Digest of what the next attempt may go on from. Empty: nothing.
};

/// How an attempt ended: with a result, or the lease goes back.
using AttemptOutcome = std::variant<v1::EvaluationResult, v1::ProposalResult, Released>;

/// Does the work. Called on a thread of a pool, at most `slots` at once. It must not throw.
using Handler = std::function<AttemptOutcome(Attempt&)>;

struct AgentOptions {
  /// Who it is and what it can do. `agent_id` is made here; `slots` bounds the attempts.
  v1::AgentDescription description;
  /// Brings the description up to date before each call: what it can do may change. Must not block.
  std::function<void(v1::AgentDescription&)> refresh;
  /// After a stop was asked for: time to finish what runs before it is handed back.
  std::chrono::milliseconds drain_timeout{0};
  /// Ends after this long without work.
  std::optional<std::chrono::milliseconds> idle_exit;
  /// Takes nothing new after this long, and ends when idle.
  std::optional<std::chrono::milliseconds> lifetime_max;
};

/// The life of an agent: asks for work, renews leases, reports results, hands leases back. The
/// agent lives through any outage of the coordinator and delivers its results afterwards.
class Agent {
 public:
  Agent(std::shared_ptr<grpc::Channel> channel, AgentOptions options, Handler handler);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  /// Blocks until a stop was asked for (SIGTERM and SIGINT ask for one), the coordinator asked for
  /// a drain, or the agent is idle or old. Returns the exit code of the program: 0, or 1 when the
  /// coordinator refuses this agent for good.
  int run();

  /// Any thread.
  void request_stop();

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace cambrian::agent
