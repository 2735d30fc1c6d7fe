#include "coordinator/app/agent_desk.hpp"

#include <algorithm>
#include <chrono>

#include "common/log/log.hpp"
#include "coordinator/ports/words.hpp"

namespace cambrian::coordinator {
namespace {

/// Longest wait for work, whatever the agent asked for.
constexpr milliseconds kWaitMax{30'000};
/// Proposals carry programs' diagnostics: few of them fill a message.
constexpr int kProposalsMax = 16;
/// What the assignments of one answer may take: a message holds 4 MiB.
constexpr std::size_t kAnswerBytesMax = 3 * 1024 * 1024;
/// More than the tags, lengths and numbers around the texts of one entry.
constexpr std::size_t kEntryBytes = 32;
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

std::size_t bytes_of(const std::vector<SourceFile>& files) {
  std::size_t bytes = 0;
  for (const auto& file : files) bytes += file.path.size() + file.sha256.size() + kEntryBytes;
  return bytes;
}

std::size_t bytes_of(const std::map<std::string, double>& numbers) {
  std::size_t bytes = 0;
  for (const auto& [name, value] : numbers) bytes += name.size() + kEntryBytes;
  return bytes;
}

/// At least what the assignment takes in a message.
std::size_t bytes_of(const Assignment& assignment) {
  if (const auto* work = std::get_if<EvaluationWork>(&assignment.work)) {
    return 8 * kEntryBytes + bytes_of(work->files) + bytes_of(work->parameters);
  }
  const auto& work = std::get<ProposalWork>(assignment.work);
  auto bytes = 16 * kEntryBytes + work.model.size() + work.instructions.size() + work.order.size();
  for (const auto& gain : work.gains) bytes += 4 * kEntryBytes + gain.change.size();
  for (const auto* contexts : {&work.parents, &work.inspirations, &work.failures}) {
    for (const auto& one : *contexts) {
      bytes += 2 * kEntryBytes + bytes_of(one.files) + bytes_of(one.metrics);
      bytes += one.diagnostics.size();
    }
  }
  return bytes;
}

/// Takes away what does not fit into one answer and returns its leases. The first always stays: the
/// limits of one item keep it below the limit.
std::vector<Lease> take_excess(std::vector<Assignment>& assignments) {
  std::size_t bytes = 0;
  std::size_t kept = 0;
  for (; kept < assignments.size(); ++kept) {
    bytes += bytes_of(assignments[kept]);
    if (kept > 0 && bytes > kAnswerBytesMax) break;
  }
  std::vector<Lease> leases;
  for (std::size_t i = kept; i < assignments.size(); ++i) leases.push_back(assignments[i].lease);
  assignments.resize(kept);
  return leases;
}

}  // namespace

awaitable<Result<SyncAnswer>> AgentDesk::sync(AgentReport report,
                                              std::function<bool()> is_caller_gone) {
  CAMBRIAN_CO_TRY(auto state, co_await store_.sync(report, times_));
  if (!state.released.empty()) {
    observer_.on_attempts_ended(state.released);
    hub_.offer(kind_of(report.agent.kind), state.released.size());
  }
  SyncAnswer answer{.assignments = {},
                    .cancelled = std::move(state.cancelled),
                    .stopped = std::move(state.stopped),
                    .lease_duration = times_.lease,
                    .next_sync = next_sync(report),
                    .should_drain = state.should_drain};
  // An agent that must stop something, or drain, hears of it at once and not after a wait.
  if (!answer.cancelled.empty() || !answer.stopped.empty()) report.wait_max = milliseconds(0);
  if (report.wanted == 0 || report.is_draining || state.should_drain || hub_.is_closed()) {
    co_return answer;
  }
  if (state.is_quarantined) {  // It stays connected, and waits until it is released.
    co_await hub_.pause(std::clamp(report.wait_max, milliseconds(0), kWaitMax));
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
  const auto deadline = hub_.now() + std::clamp(report.wait_max, milliseconds(0), kWaitMax);
  while (!is_gone() && !hub_.is_closed()) {
    const auto seen = hub_.version(topic);
    CAMBRIAN_CO_TRY(auto assignments,
                    co_await store_.claim({report.agent, report.wanted, served_}, times_));
    if (auto excess = take_excess(assignments); !excess.empty()) {
      log::info("assignments_given_back", {{"reason", "the answer is full"},
                                           {"kept", assignments.size()},
                                           {"count", excess.size()}});
      const auto count = excess.size();
      // Should this fail, they come back as dropped leases do.
      const auto status = co_await store_.give_back(std::move(excess), "the answer is full");
      if (!status) log::warn("assignments_not_given_back", {{"reason", status.error().message}});
      hub_.offer(kind, count);
    }
    note_served(assignments);
    if (!assignments.empty() && is_gone()) {
      std::vector<Lease> leases;
      for (const auto& assignment : assignments) leases.push_back(assignment.lease);
      CAMBRIAN_CO_TRY_STATUS(co_await store_.give_back(std::move(leases), "the call was gone"));
      hub_.offer(kind, assignments.size());
      co_return std::vector<Assignment>();
    }
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - hub_.now());
    if (!assignments.empty() || left <= milliseconds(0)) {
      observer_.on_assigned(kind, assignments);
      co_return assignments;
    }
    co_await hub_.wait(topic, seen, left);
  }
  co_return std::vector<Assignment>();
}

void AgentDesk::note_served(const std::vector<Assignment>& assignments) {
  for (const auto& assignment : assignments) {
    std::erase(served_, assignment.campaign);
    served_.push_back(assignment.campaign);
  }
  if (served_.size() <= kServedMax) return;
  served_.erase(served_.begin(), served_.end() - std::ptrdiff_t{kServedMax});
}

milliseconds AgentDesk::next_sync(const AgentReport& report) const {
  if (report.wanted > 0 && report.wait_max <= milliseconds(0)) return kIdleInterval;
  return sync_interval_;
}

awaitable<Result<FinishState>> AgentDesk::finish(WorkReport report) {
  CAMBRIAN_CO_TRY(const auto state, co_await store_.finish(report));
  observer_.on_report(report, state);
  // Also what is not counted may have cost something, which the search hears of.
  if (state.verdict != Verdict::repeated && state.verdict != Verdict::unknown) {
    hub_.notify(Topic::campaign(state.campaign));
  }
  if (state.verdict == Verdict::stale || state.verdict == Verdict::unknown) {
    log::warn("report_refused", {{"item", report.lease.item.value},
                                 {"epoch", report.lease.epoch},
                                 {"agent", report.agent_id},
                                 {"outcome", outcome_of(report)}});
  }
  co_return state;
}

}  // namespace cambrian::coordinator
