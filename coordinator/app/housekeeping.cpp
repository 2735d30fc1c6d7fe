#include "coordinator/app/housekeeping.hpp"

#include <algorithm>
#include <chrono>

#include "common/log/log.hpp"

namespace cambrian::coordinator {
namespace {

constexpr milliseconds kPollInterval{1'000};
constexpr milliseconds kSweepInterval{1'000};
constexpr milliseconds kOverviewInterval{5'000};
/// A longer gap between two sweeps is an outage. With long leases a quarter of the lease: agents
/// renew after a third of it, so that the rest is left for their next call.
constexpr milliseconds kOutageMin{5'000};
/// About once an hour.
constexpr int kOverviewsPerClean = 720;
constexpr int kSweptAtOnce = 200;
constexpr milliseconds kCleanupInterval{1'000};
/// Between two batches of rows: whoever waits for the database gets it.
constexpr milliseconds kCleanupPause{10};
/// A batch takes some ten milliseconds.
constexpr int kPurgedAtOnce = 1'000;
constexpr int kObservedCampaigns = 50;
}  // namespace

awaitable<void> Housekeeping::run_poll() {
  while (!hub_.is_closed()) {
    const auto status = co_await poll_once();
    on_health_(status.has_value());
    co_await hub_.pause(kPollInterval);
  }
}

awaitable<Status> Housekeeping::poll_once() {
  CAMBRIAN_CO_TRY(const auto ready, co_await stores_.work.count_ready());
  News news;
  news.ready = {{WorkKind::evaluation, static_cast<std::size_t>(ready.evaluations)},
                {WorkKind::proposal, static_cast<std::size_t>(ready.proposals)}};
  CAMBRIAN_CO_TRY(auto sequences, co_await stores_.campaigns.last_sequences());
  for (const auto& [campaign, sequence] : sequences) {
    const auto known = sequences_.find(campaign);
    if (known == sequences_.end() || known->second != sequence) news.campaigns.insert(campaign);
  }
  hub_.hear(news);
  sequences_ = std::move(sequences);
  co_return Status();
}

milliseconds Housekeeping::gap_max() const { return std::max(kOutageMin, times_.lease / 4); }

/// After an outage, and after our own start, every lease gets its whole time once more.
void Housekeeping::note_look(Instant now) {
  if (!looked_at_ || now - *looked_at_ > gap_max()) {
    if (looked_at_) {
      log::warn("leases_spared",
                {{"gap_ms", std::chrono::duration_cast<milliseconds>(now - *looked_at_)},
                 {"grace_ms", times_.lease}});
    }
    reachable_since_ = now;
  }
  looked_at_ = now;
}

Instant Housekeeping::sweep_until() const {
  if (!looked_at_ || *looked_at_ - reachable_since_ < times_.lease) return Instant();
  return *looked_at_ + gap_max();
}

awaitable<void> Housekeeping::run_sweep() {
  while (!hub_.is_closed()) {
    const auto status = co_await sweep_once();
    if (!status) {
      looked_at_.reset();
      log::debug("sweep_failed", {{"reason", status.error().message}});
    }
    co_await hub_.pause(kSweepInterval);
  }
}

awaitable<Status> Housekeeping::sweep_once() {
  CAMBRIAN_CO_TRY(const auto state, co_await stores_.work.sweep(kSweptAtOnce, sweep_until()));
  note_look(state.now);
  if (state.ended.empty()) co_return Status();
  observer_.on_attempts_ended(state.ended);
  log::warn("leases_expired", {{"count", state.ended.size()},
                               {"first", state.ended.front().outcome},
                               {"poisoned", state.poisoned}});
  for (const auto campaign : state.campaigns) hub_.notify(Topic::campaign(campaign));
  for (const auto kind : {WorkKind::evaluation, WorkKind::proposal}) {
    const auto is_it = [&](const EndedAttempt& one) { return one.kind == kind; };
    hub_.offer(kind, static_cast<std::size_t>(std::ranges::count_if(state.ended, is_it)));
  }
  co_return Status();
}

awaitable<void> Housekeeping::run_overview() {
  for (int look = 0; !hub_.is_closed(); ++look) {
    const auto status = co_await observe_once();
    if (look % kOverviewsPerClean == 0) {
      const auto forgotten = co_await stores_.cleanup.forget();
      if (!forgotten) log::debug("forget_failed", {{"reason", forgotten.error().message}});
    }
    if (!status) log::debug("overview_failed", {{"reason", status.error().message}});
    co_await hub_.pause(kOverviewInterval);
  }
}

awaitable<void> Housekeeping::run_cleanup() {
  while (!hub_.is_closed()) {
    const auto purged = co_await stores_.cleanup.purge(kPurgedAtOnce);
    if (!purged) log::debug("purge_failed", {{"reason", purged.error().message}});
    bool has_more = purged && *purged;
    if (keep_details_) {
      const auto compacted = co_await stores_.cleanup.compact(*keep_details_, kPurgedAtOnce);
      if (!compacted) log::debug("compact_failed", {{"reason", compacted.error().message}});
      has_more = has_more || (compacted && *compacted);
    }
    co_await hub_.pause(has_more ? kCleanupPause : kCleanupInterval);
  }
}

awaitable<Status> Housekeeping::observe_once() {
  CAMBRIAN_CO_TRY(const auto overview, co_await stores_.agents.overview(times_.lease));
  observer_.on_overview(overview);
  CAMBRIAN_CO_TRY(const auto campaigns, co_await stores_.campaigns.list(
                                            {.count = kObservedCampaigns, .only_active = true}));
  observer_.on_campaigns(campaigns);
  co_return Status();
}

}  // namespace cambrian::coordinator
