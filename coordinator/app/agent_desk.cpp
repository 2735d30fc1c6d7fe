#include "coordinator/app/agent_desk.hpp"

#include <algorithm>
#include <chrono>

#include "common/log/log.hpp"
#include "coordinator/ports/words.hpp"

namespace cambrian::coordinator {
namespace {

/// Longest wait for work, whatever the agent asked for.
constexpr milliseconds kWaitMax{30'000};
/// Proposals carry programs' diagnostics: more of them would not fit into a message.
constexpr int kProposalsMax = 16;
/// Campaigns whose turns are remembered.
constexpr std::size_t kServedMax = 256;
/// An agent without work that did not wait calls again after this.
constexpr milliseconds kIdleInterval{1'000};

WorkKind kind_of(AgentKind agent) {
  return agent == AgentKind::worker ? WorkKind::evaluation : WorkKind::proposal;
}

std::string outcome_of(const WorkReport& report) {
  if (const auto* evaluation = std::get_if<EvaluationResult>(&report.result)) {
    return word(evaluation->outcome);
  }
  return word(std::get<ProposalResult>(report.result).outcome);
}

}  // namespace

awaitable<Result<SyncAnswer>> AgentDesk::sync(AgentReport report,
                                              std::function<bool()> is_caller_gone) {
  CAMBRIAN_CO_TRY(auto state, co_await store_.sync(report, times_));
  if (!state.released.empty()) {
    observer_.on_attempts_ended(state.released);
    hub_.notify(Topic::work(kind_of(report.agent.kind)));
  }
  SyncAnswer answer{.assignments = {},
                    .cancelled = std::move(state.cancelled),
                    .lease_duration = times_.lease,
                    .next_sync = next_sync(report),
                    .should_drain = state.should_drain};
  // An agent that must stop something, or drain, hears of it at once and not after a wait.
  if (!answer.cancelled.empty()) report.wait_max = milliseconds(0);
  if (report.wanted == 0 || report.is_draining || state.should_drain || hub_.is_closed()) {
    co_return answer;
  }
  CAMBRIAN_CO_TRY(answer.assignments,
                  co_await find_work(std::move(report), std::move(is_caller_gone)));
  co_return answer;
}

awaitable<Result<std::vector<Assignment>>> AgentDesk::find_work(AgentReport report,
                                                                std::function<bool()> is_gone) {
  const auto kind = kind_of(report.agent.kind);
  const auto topic = Topic::work(kind);
  if (kind == WorkKind::proposal) report.wanted = std::min(report.wanted, kProposalsMax);
  const auto deadline =
      std::chrono::steady_clock::now() + std::clamp(report.wait_max, milliseconds(0), kWaitMax);
  while (!is_gone() && !hub_.is_closed()) {
    const auto seen = hub_.version(topic);
    CAMBRIAN_CO_TRY(auto assignments,
                    co_await store_.claim({report.agent, report.wanted, served_}, times_));
    note_served(assignments);
    if (!assignments.empty() && is_gone()) {
      std::vector<Lease> leases;
      for (const auto& assignment : assignments) leases.push_back(assignment.lease);
      CAMBRIAN_CO_TRY_STATUS(co_await store_.give_back(std::move(leases)));
      hub_.notify(topic);
      co_return std::vector<Assignment>();
    }
    const auto left =
        std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
    if (!assignments.empty() || left <= milliseconds(0)) co_return assignments;
    co_await hub_.wait(topic, seen, left);
  }
  co_return std::vector<Assignment>();
}

void AgentDesk::note_served(const std::vector<Assignment>& assignments) {
  for (const auto& assignment : assignments) {
    std::erase(served_, assignment.campaign);
    served_.push_back(assignment.campaign);
  }
  if (served_.size() > kServedMax) served_.erase(served_.begin());
}

milliseconds AgentDesk::next_sync(const AgentReport& report) const {
  if (report.wanted > 0 && report.wait_max <= milliseconds(0)) return kIdleInterval;
  return sync_interval_;
}

awaitable<Result<FinishState>> AgentDesk::finish(WorkReport report) {
  CAMBRIAN_CO_TRY(const auto state, co_await store_.finish(report));
  observer_.on_report(report, state);
  if (state.verdict == Verdict::accepted) hub_.notify(Topic::campaign(state.campaign));
  if (state.verdict == Verdict::stale || state.verdict == Verdict::unknown) {
    log::warn("report_refused", {{"item", report.lease.item.value},
                                 {"epoch", report.lease.epoch},
                                 {"agent", report.agent_id},
                                 {"outcome", outcome_of(report)}});
  }
  co_return state;
}

}  // namespace cambrian::coordinator
