#include "coordinator/app/driver.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <set>

#include "common/log/log.hpp"
#include "coordinator/ports/words.hpp"

namespace cambrian::coordinator {
namespace {

namespace asio = boost::asio;

/// Campaigns that one coordinator takes at one time.
constexpr int kAcquiredAtOnce = 16;
constexpr milliseconds kAcquireInterval{1'000};
/// Where there are more: others who serve the same database get their share.
constexpr milliseconds kAcquirePause{50};
/// Inputs of one step: bounds the transaction.
constexpr int kStepInputsMax = 64;
constexpr int kReplayPage = 500;
/// A driver looks for events of other coordinators at least this often.
constexpr milliseconds kLogLookInterval{5'000};
/// Pause after a failure, so that a broken campaign does not spin; doubles with every one.
constexpr milliseconds kFailureDelayMin{50};
constexpr milliseconds kFailureDelayMax{5'000};

/// How long the search may run; empty without such a budget.
std::optional<std::int64_t> wall_time_ms(const search::Search& search) {
  const auto limit = search.settings().budget.wall_time_ms;
  return limit > 0 ? std::optional(limit) : std::nullopt;
}

}  // namespace

awaitable<void> Drivers::run_acquisition() {
  while (!hub_.is_closed()) {
    const auto seen = hub_.version(Topic::drivers());
    const auto taken = co_await acquire_once();
    const bool has_more = taken == static_cast<std::size_t>(kAcquiredAtOnce);
    co_await hub_.wait(Topic::drivers(), seen, has_more ? kAcquirePause : kAcquireInterval);
  }
  co_await await_driven();
  std::vector<DriverLease> leases;
  for (const auto& [id, driven] : held_) leases.push_back(driven->lease);
  if (leases.empty()) co_return;
  const auto status = co_await store_.give_up(std::move(leases));
  if (!status) log::warn("drivers_not_given_up", {{"reason", status.error().message}});
}

awaitable<std::size_t> Drivers::acquire_once() {
  const auto taken = co_await store_.acquire(name_, kDriverLease, kAcquiredAtOnce);
  if (!taken) co_return 0;  // The database tells that it is away.
  for (const auto& lease : *taken) {
    auto& driven = held_[lease.campaign];
    if (driven) driven->is_lost = true;  // The old coroutine ends by itself.
    driven = std::make_shared<Driven>();
    driven->lease = lease;
    log::info("campaign_acquired", {{"campaign_id", lease.campaign.value}, {"epoch", lease.epoch}});
    ++driving_;
    asio::co_spawn(co_await asio::this_coro::executor, drive(driven),
                   [this](const std::exception_ptr& failure) {
                     if (failure) std::rethrow_exception(failure);
                     if (--driving_ == 0 && last_end_ != nullptr) last_end_->cancel();
                   });
  }
  co_return taken->size();
}

awaitable<void> Drivers::await_driven() {
  if (driving_ == 0) co_return;
  asio::steady_timer timer(co_await asio::this_coro::executor, kDriveEndMax);
  last_end_ = &timer;
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  last_end_ = nullptr;
  if (driving_ > 0) log::warn("drivers_still_busy", {{"count", driving_}});
}

awaitable<void> Drivers::run_renewal() {
  while (!hub_.is_closed()) {
    co_await hub_.pause(kDriverRenewal);
    const auto status = co_await renew_once();
    if (!status) log::debug("drivers_not_renewed", {{"reason", status.error().message}});
  }
}

awaitable<Status> Drivers::renew_once() {
  std::vector<DriverLease> leases;
  for (const auto& [id, driven] : held_) leases.push_back(driven->lease);
  if (leases.empty()) co_return Status();
  CAMBRIAN_CO_TRY(const auto renewed, co_await store_.renew(leases, kDriverLease));
  std::set<DriverLease> kept;
  for (const auto& one : renewed) {
    kept.insert(one.lease);
    const auto found = held_.find(one.lease.campaign);
    if (found == held_.end() || found->second->lease != one.lease) continue;
    auto& driven = *found->second;
    driven.running_ms = one.running_ms;
    const auto limit = driven.search ? wall_time_ms(*driven.search) : std::nullopt;
    if (limit && one.running_ms >= *limit && !driven.is_time_told) {
      hub_.notify(Topic::campaign(one.lease.campaign));
    }
  }
  for (const auto& lease : leases) {
    const auto found = held_.find(lease.campaign);
    if (kept.contains(lease) || found == held_.end() || found->second->lease != lease) continue;
    found->second->is_lost = true;
    hub_.notify(Topic::campaign(lease.campaign));
  }
  co_return Status();
}

awaitable<void> Drivers::drive(DrivenPtr driven) {
  auto delay = kFailureDelayMin;
  while (!hub_.is_closed() && !driven->is_lost) {
    const auto status = co_await drive_once(driven);
    if (status) {
      delay = kFailureDelayMin;
      continue;
    }
    driven->search.reset();
    if (status.error().code == Errc::conflict || status.error().code == Errc::not_found) {
      log::info("campaign_lost", {{"campaign_id", driven->lease.campaign.value},
                                  {"reason", status.error().message}});
      break;
    }
    log::warn("campaign_step_failed",
              {{"campaign_id", driven->lease.campaign.value}, {"reason", status.error().message}});
    // Not the campaign's topic: its notices would cut the pause short.
    co_await hub_.pause(delay);
    delay = std::min(delay * 2, kFailureDelayMax);
  }
  const auto found = held_.find(driven->lease.campaign);
  if (found != held_.end() && found->second == driven && !hub_.is_closed()) held_.erase(found);
}

/// One look at the log: rebuilds if need be, takes a step or waits for events.
awaitable<Status> Drivers::drive_once(DrivenPtr driven) {
  const auto topic = Topic::campaign(driven->lease.campaign);
  const auto seen = hub_.version(topic);
  if (!driven->search) CAMBRIAN_CO_TRY_STATUS(co_await rebuild(driven));
  if (driven->search->phase() == search::Phase::ended) {
    driven->is_lost = true;
    co_return Status();
  }
  CAMBRIAN_CO_TRY(auto inputs,
                  co_await store_.next_inputs(driven->lease, driven->applied, kStepInputsMax));
  if (!inputs.empty()) co_return co_await take_step(driven, std::move(inputs));
  const auto limit = wall_time_ms(*driven->search);
  if (limit && driven->running_ms >= *limit && !driven->is_time_told) {
    co_return co_await tell_time(driven);
  }
  co_await hub_.wait(topic, seen, kLogLookInterval);
  co_return Status();
}

awaitable<Status> Drivers::rebuild(DrivenPtr driven) {
  const auto campaign = driven->lease.campaign;
  CAMBRIAN_CO_TRY(auto loaded, co_await store_.load(campaign));
  // Of a version with other bounds: this campaign waits for that one, the others go on.
  if (const auto problems = search::validate(loaded.settings); !problems.empty()) {
    co_return fail(Errc::internal,
                   "this version does not take the stored settings: campaign=" + loaded.name +
                       " field=" + problems.front().field + " " + problems.front().description);
  }
  search::Search search(std::move(loaded.settings));
  std::int64_t after = 0;
  std::size_t replayed = 0;
  while (after < loaded.applied_sequence) {
    CAMBRIAN_CO_TRY(const auto inputs, co_await store_.read_inputs(
                                           campaign, after, loaded.applied_sequence, kReplayPage));
    if (inputs.empty()) break;
    for (const auto& input : inputs) search.handle(input.event);
    after = inputs.back().sequence;
    replayed += inputs.size();
  }
  driven->search.emplace(std::move(search));
  driven->applied = loaded.applied_sequence;
  driven->is_time_told = false;
  log::info("campaign_replayed", {{"campaign", loaded.name},
                                  {"inputs", replayed},
                                  {"applied_sequence", loaded.applied_sequence}});
  co_return Status();
}

awaitable<Status> Drivers::tell_time(DrivenPtr driven) {
  CAMBRIAN_CO_TRY_STATUS(co_await store_.append_time(driven->lease, driven->running_ms));
  driven->is_time_told = true;
  co_return Status();
}

awaitable<Status> Drivers::take_step(DrivenPtr driven, std::vector<Input> inputs) {
  const auto begin = hub_.now();
  DriverStep step{.lease = driven->lease,
                  .applied_before = driven->applied,
                  .applied_after = inputs.back().sequence,
                  .commands = {}};
  for (const auto& input : inputs) {
    auto commands = driven->search->handle(input.event);
    std::move(commands.begin(), commands.end(), std::back_inserter(step.commands));
  }
  const auto applied = step.applied_after;
  CAMBRIAN_CO_TRY(const auto state, co_await store_.commit(step));
  driven->applied = applied;
  observer_.on_step(inputs, step, state,
                    std::chrono::duration_cast<milliseconds>(hub_.now() - begin));
  hub_.offer(WorkKind::evaluation, static_cast<std::size_t>(state.evaluations_added));
  hub_.offer(WorkKind::proposal, static_cast<std::size_t>(state.proposals_added));
  hub_.notify(Topic::campaign(driven->lease.campaign));
  if (has_ended(state.state)) {
    log::info("campaign_ended",
              {{"campaign_id", driven->lease.campaign.value}, {"state", word(state.state)}});
  }
  co_return Status();
}

}  // namespace cambrian::coordinator
