#include "tests/simulation/rules.hpp"

#include <algorithm>

#include "coordinator/search/search.hpp"
#include "tests/unit/coordinator/search_world.hpp"

namespace cambrian::coordinator::simulation {
namespace {

using search::expect;

bool is_over(const std::string& state) { return state == "done" || state == "cancelled"; }

/// The item whose end an input tells; none for other inputs.
std::optional<std::pair<WorkKind, std::int64_t>> ended_by(const search::Event& event) {
  if (const auto* evaluation = std::get_if<search::EvaluationFinished>(&event)) {
    return std::pair(WorkKind::evaluation, evaluation->evaluation.value);
  }
  if (const auto* proposal = std::get_if<search::ProposalFinished>(&event)) {
    return std::pair(WorkKind::proposal, proposal->proposal.value);
  }
  return std::nullopt;
}

}  // namespace

void Rules::check() {
  for (const auto& [id, item] : database_.items()) check_item(item);
  for (const auto& [id, campaign] : database_.campaigns()) check_campaign(campaign);
}

void Rules::check_item(const MemoryItem& item) {
  auto& seen = items_[item.id];
  expect(item.epoch >= seen.epoch, "an epoch never falls");
  expect(!is_over(seen.state) || item.state == seen.state, "what is over stays so");
  expect(!is_over(seen.state) || item.epoch == seen.epoch, "what is over is not given out");
  expect(std::ssize(item.attempts) == item.epoch, "each epoch is one attempt");
  int counted = 0;
  for (const auto& [epoch, attempt] : item.attempts) {
    counted += attempt.is_counted ? 1 : 0;
    expect(!attempt.outcome.empty() || (epoch == item.epoch && item.state == "leased"),
           "only the lease that holds is open");
    expect(!attempt.is_counted || epoch == item.epoch, "only the last lease counts");
    expect(!attempt.is_counted || attempt.outcome == "finished", "what counts has finished");
    expect(!attempt.is_counted || !attempt.has_stale_report, "what came late does not count");
  }
  expect(counted <= 1, "one attempt counts at most");
  expect(counted == 0 || item.state == "done", "what counts ends the item");
  expect(item.has_result == (item.state == "done"), "done is what has a result");
  expect(
      (item.state == "leased") == (item.epoch > 0 && item.attempts.at(item.epoch).outcome.empty()),
      "a lease is held while its attempt is open");
  seen = {.state = item.state, .epoch = item.epoch};
}

void Rules::check_campaign(const MemoryCampaign& campaign) {
  auto& seen = campaigns_[campaign.id];
  expect(campaign.driver_epoch >= seen.driver_epoch, "an epoch of drivers never falls");
  expect(campaign.applied_sequence >= seen.applied, "what is applied stays so");
  expect(campaign.applied_sequence <= campaign.last_sequence, "only what is there is applied");
  expect(std::ssize(campaign.log) == campaign.last_sequence, "the log has no gap");
  for (std::size_t i = seen.length; i < campaign.log.size(); ++i) {
    expect(campaign.log[i].sequence == static_cast<std::int64_t>(i) + 1, "in its order");
    if (!campaign.log[i].input) continue;
    const auto ended = ended_by(*campaign.log[i].input);
    if (!ended) continue;
    expect(seen.ended.insert(*ended).second, "an item ends once");
    if (ended->first != WorkKind::evaluation) continue;
    ++(campaign.evaluations.at(ended->second).is_final ? seen.finals : seen.evaluations);
  }
  seen.length = campaign.log.size();
  seen.driver_epoch = campaign.driver_epoch;
  seen.applied = campaign.applied_sequence;
  check_budget(campaign, seen);
}

void Rules::check_budget(const MemoryCampaign& campaign, const SeenLog& seen) const {
  expect(campaign.consumption.evaluations == seen.evaluations &&
             campaign.consumption.final_evaluations == seen.finals,
         "evaluations are counted as they are told");
  std::int64_t open = 0;
  for (const auto& [id, item] : database_.items()) {
    if (item.campaign != campaign.id || item.kind != WorkKind::evaluation || is_over(item.state)) {
      continue;
    }
    open += campaign.evaluations.at(item.number).is_final ? 0 : 1;
  }
  const auto budget = campaign.definition.settings.budget.evaluations;
  expect(campaign.consumption.evaluations + open <= budget, "the budget holds, with what is open");
}

void Rules::check_end(const std::vector<Acknowledged>& acknowledged) {
  for (const auto& [id, item] : database_.items()) {
    expect(is_over(item.state), "nothing is open");
  }
  std::map<std::pair<CampaignId, std::int64_t>, double> stamps;
  for (const auto& [id, campaign] : database_.campaigns()) {
    expect(has_ended(campaign.state), "every campaign has ended");
    for (const auto& event : campaign.log) {
      if (!event.input) continue;
      const auto* finished = std::get_if<search::EvaluationFinished>(&*event.input);
      if (finished == nullptr || !finished->metrics.contains("stamp")) continue;
      stamps[{id, finished->evaluation.value}] = finished->metrics.at("stamp");
    }
    check_replay(campaign);
  }
  for (const auto& [lease, stamp] : acknowledged) {
    const auto& item = database_.items().at(lease.item);
    const auto& attempt = item.attempts.at(lease.epoch);
    expect(attempt.is_counted && attempt.outcome == "finished", "what was acknowledged counts");
    expect(stamp == 0 || stamps.at({item.campaign, item.number}) == stamp,
           "what was acknowledged is what is in the log");
  }
}

/// The commands of all drivers together are those of one that never failed.
void Rules::check_replay(const MemoryCampaign& campaign) {
  search::Search search(campaign.definition.settings);
  std::vector<search::Command> commands;
  for (const auto& event : campaign.log) {
    if (!event.input || event.sequence > campaign.applied_sequence) continue;
    auto made = search.handle(*event.input);
    std::move(made.begin(), made.end(), std::back_inserter(commands));
  }
  expect(commands == campaign.commands, "the log repeats the search");
  expect(search.phase() == search::Phase::ended, "and its end");
}

}  // namespace cambrian::coordinator::simulation
