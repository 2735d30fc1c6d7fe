// The drivers' part of the database in memory.

#include <algorithm>

#include "coordinator/journal/codec.hpp"
#include "tests/simulation/memory_database.hpp"

namespace cambrian::coordinator::simulation {
namespace {

/// A driver that was away for longer adds no more to the running time.
constexpr milliseconds kAccruedMax{4'000};

std::int64_t accrued_ms(const MemoryCampaign& campaign, Instant now, milliseconds most) {
  if (campaign.state != CampaignState::running) return 0;
  const auto passed = std::chrono::duration_cast<milliseconds>(now - campaign.accrued_at);
  return std::min(passed, most).count();
}

}  // namespace

std::vector<DriverLease> MemoryDatabase::acquire(milliseconds duration, int count) {
  std::vector<DriverLease> leases;
  for (auto& [id, campaign] : campaigns_) {
    const bool is_free = !campaign.has_driver || campaign.driver_expires_at < now;
    if (has_ended(campaign.state) || !is_free || std::ssize(leases) >= count) continue;
    campaign.has_driver = true;
    campaign.driver_expires_at = now + duration;
    campaign.accrued_at = now;
    leases.push_back({id, ++campaign.driver_epoch});
  }
  return leases;
}

std::vector<RenewedDriver> MemoryDatabase::renew(const std::vector<DriverLease>& leases,
                                                 milliseconds duration) {
  std::vector<RenewedDriver> renewed;
  for (const auto& lease : leases) {
    auto& campaign = campaigns_.at(lease.campaign);
    if (campaign.driver_epoch != lease.epoch || has_ended(campaign.state)) continue;
    campaign.driver_expires_at = now + duration;
    campaign.running_ms += accrued_ms(campaign, now, duration);
    campaign.accrued_at = now;
    renewed.push_back({lease, campaign.running_ms});
  }
  return renewed;
}

Result<DrivenCampaign> MemoryDatabase::load(CampaignId id) const {
  const auto& campaign = campaigns_.at(id);
  return DrivenCampaign{.name = campaign.definition.name,
                        .settings = campaign.definition.settings,
                        .applied_sequence = campaign.applied_sequence};
}

std::vector<Input> MemoryDatabase::read_inputs(CampaignId id, std::int64_t after,
                                               std::int64_t until, int count) const {
  std::vector<Input> inputs;
  for (const auto& event : campaigns_.at(id).log) {
    if (std::ssize(inputs) == count) break;
    if (event.input && event.sequence > after && event.sequence <= until) {
      inputs.push_back({event.sequence, *event.input});
    }
  }
  return inputs;
}

Result<std::vector<Input>> MemoryDatabase::next_inputs(const DriverLease& lease,
                                                       std::int64_t applied, int count) const {
  const auto& campaign = campaigns_.at(lease.campaign);
  if (campaign.driver_epoch != lease.epoch) return fail(Errc::conflict, "another driver");
  if (campaign.applied_sequence != applied) return fail(Errc::outcome_unknown, "another state");
  return read_inputs(lease.campaign, applied, campaign.last_sequence, count);
}

void MemoryDatabase::add_item(MemoryCampaign& campaign, WorkKind kind, std::int64_t number,
                              std::vector<std::string> other_than) {
  const ItemId id{std::ssize(items_) + 1};
  auto& item = items_[id];
  item.id = id;
  item.campaign = campaign.id;
  item.kind = kind;
  item.number = number;
  item.priority = campaign.definition.priority;
  item.created_at = now;
  item.not_before = now;
  item.other_than = std::move(other_than);
}

void MemoryDatabase::cancel(MemoryCampaign& campaign, WorkKind kind,
                            const std::set<std::int64_t>& numbers, StepState& state) {
  for (auto& [id, item] : items_) {
    if (item.campaign != campaign.id || item.kind != kind || !numbers.contains(item.number)) {
      continue;
    }
    if (item.state == "ready" || item.state == "leased") item.state = "cancelled";
    const auto attempt = item.attempts.find(item.epoch);
    if (item.state != "cancelled" || attempt == item.attempts.end() ||
        !attempt->second.outcome.empty()) {
      continue;
    }
    attempt->second.outcome = "cancelled";
    attempt->second.ended_at = now;
    state.cancelled.push_back({kind, "cancelled"});
  }
}

void MemoryDatabase::carry_out(MemoryCampaign& campaign, const search::Command& command,
                               StepState& state) {
  if (const auto* proposal = std::get_if<search::RequestProposal>(&command)) {
    campaign.proposals[proposal->proposal.value] = *proposal;
    ++state.proposals_added;
  } else if (const auto* evaluation = std::get_if<search::RequestEvaluation>(&command)) {
    campaign.evaluations[evaluation->evaluation.value] = *evaluation;
    ++state.evaluations_added;
  } else if (const auto* phase = std::get_if<search::SetPhase>(&command)) {
    state.state = journal::state_of(*phase);
  }
  const auto* requested = std::get_if<search::RequestEvaluation>(&command);
  const bool is_told = journal::derived_of(command).has_value();
  if (is_told && (requested == nullptr || requested->jump)) {
    append(campaign, {.sequence = 0, .input = {}, .derived = command});
  }
}

Result<StepState> MemoryDatabase::commit(const DriverStep& step) {
  auto& campaign = campaigns_.at(step.lease.campaign);
  if (campaign.driver_epoch != step.lease.epoch) return fail(Errc::conflict, "another driver");
  if (campaign.applied_sequence != step.applied_before) {
    return fail(Errc::outcome_unknown, "another state");
  }
  campaign.running_ms += accrued_ms(campaign, now, kAccruedMax);
  campaign.accrued_at = now;
  StepState state;
  state.state = campaign.state;
  std::map<WorkKind, std::set<std::int64_t>> cancelled;
  for (const auto& command : step.commands) {
    carry_out(campaign, command, state);
    campaign.commands.push_back(command);
    if (const auto* proposals = std::get_if<search::CancelProposals>(&command)) {
      for (const auto one : proposals->proposals) cancelled[WorkKind::proposal].insert(one.value);
    } else if (const auto* evaluations = std::get_if<search::CancelEvaluations>(&command)) {
      for (const auto one : evaluations->evaluations) {
        cancelled[WorkKind::evaluation].insert(one.value);
      }
    }
  }
  // In the order of the commands: ids are places in the queue.
  for (const auto& command : step.commands) {
    if (const auto* proposal = std::get_if<search::RequestProposal>(&command)) {
      add_item(campaign, WorkKind::proposal, proposal->proposal.value, {});
    } else if (const auto* evaluation = std::get_if<search::RequestEvaluation>(&command)) {
      const auto& names = campaign.evaluated_by[evaluation->variant.value];
      add_item(
          campaign, WorkKind::evaluation, evaluation->evaluation.value,
          evaluation->jump ? std::vector(names.begin(), names.end()) : std::vector<std::string>());
    }
  }
  cancel(campaign, WorkKind::evaluation, cancelled[WorkKind::evaluation], state);
  cancel(campaign, WorkKind::proposal, cancelled[WorkKind::proposal], state);
  campaign.applied_sequence = step.applied_after;
  campaign.state = state.state;
  if (!has_ended(state.state)) return state;
  campaign.has_driver = false;
  for (const auto kind : {WorkKind::evaluation, WorkKind::proposal}) {
    std::set<std::int64_t> open;
    for (const auto& [id, item] : items_) {
      const bool is_open = item.state == "ready" || item.state == "leased";
      if (item.campaign == campaign.id && item.kind == kind && is_open) open.insert(item.number);
    }
    cancel(campaign, kind, open, state);
  }
  return state;
}

Status MemoryDatabase::append_time(const DriverLease& lease, std::int64_t running_ms) {
  auto& campaign = campaigns_.at(lease.campaign);
  if (campaign.driver_epoch != lease.epoch) return fail(Errc::conflict, "another driver");
  append(campaign, {.sequence = 0, .input = search::TimePassed{running_ms}, .derived = {}});
  return {};
}

void MemoryDatabase::give_up(const std::vector<DriverLease>& leases) {
  for (const auto& lease : leases) {
    auto& campaign = campaigns_.at(lease.campaign);
    if (campaign.driver_epoch == lease.epoch) campaign.has_driver = false;
  }
}

}  // namespace cambrian::coordinator::simulation
