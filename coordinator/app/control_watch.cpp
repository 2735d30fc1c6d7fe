#include "coordinator/app/control_watch.hpp"

#include <algorithm>
#include <cmath>
#include <format>
#include <set>

#include "common/log/log.hpp"
#include "common/statistics/runs.hpp"

namespace cambrian::coordinator {
namespace {

constexpr milliseconds kControlLookInterval{5'000};
constexpr std::size_t kWorkersMin = 2;
constexpr std::size_t kDifferentScoresMin = 16;
/// Controls that must be off in a row: once may be luck.
constexpr int kStrikesMax = 2;
constexpr double kSpreads = 6;
constexpr double kNoises = 4;
constexpr double kShareOfMedian = 0.02;
/// Of normally distributed values, their standard deviation over their median deviation.
constexpr double kDeviationScale = 1.4826;

}  // namespace

Comparison compare(const Control& control) {
  std::vector<double> scores;
  std::set<std::string> workers;
  for (const auto& other : control.others) {
    if (!other.score) continue;
    scores.push_back(*other.score);
    workers.insert(other.worker);
  }
  if (workers.size() < kWorkersMin || 2 * scores.size() <= control.others.size()) return {};
  const double median = statistics::median(scores);
  if (!control.own.score) {
    return {.is_known = true,
            .is_off = true,
            .explanation =
                std::format("the seed of {} fails here, and has {} {:.6g} on {} other workers",
                            control.campaign_name, control.metric, median, workers.size())};
  }
  const auto [least, most] = std::ranges::minmax(scores);
  if (least != most && scores.size() < kDifferentScoresMin) return {};
  std::vector<double> distances;
  for (const double score : scores) distances.push_back(std::abs(score - median));
  const double limit =
      std::max({kSpreads * kDeviationScale * statistics::median(distances),
                kNoises * control.noise.value_or(0), kShareOfMedian * std::abs(median)});
  Comparison comparison{.is_known = true, .is_off = false, .explanation = {}};
  // What is not a number is off, too.
  if (std::abs(*control.own.score - median) <= limit) return comparison;
  comparison.is_off = true;
  comparison.explanation = std::format(
      "the seed of {} has {} {:.6g} here, and {:.6g} on {} other workers (up to {:.2g} apart is "
      "usual)",
      control.campaign_name, control.metric, *control.own.score, median, workers.size(), limit);
  return comparison;
}

awaitable<void> ControlWatch::run() {
  while (!hub_.is_closed()) {
    const auto status = co_await look_once();
    if (!status) log::debug("control_look_failed", {{"reason", status.error().message}});
    co_await hub_.pause(kControlLookInterval);
  }
}

awaitable<Status> ControlWatch::look_once() {
  CAMBRIAN_CO_TRY(const auto controls, co_await store_.unjudged());
  for (const auto& control : controls) CAMBRIAN_CO_TRY_STATUS(co_await judge(control));
  co_return co_await take_back_held();
}

awaitable<Status> ControlWatch::judge(const Control& control) {
  const auto comparison = compare(control);
  CAMBRIAN_CO_TRY(const int strikes, co_await store_.note(control, comparison.is_off, interval_));
  if (!comparison.is_off) co_return Status();
  log::warn("control_off", {{"worker", control.own.worker},
                            {"campaign", control.campaign_name},
                            {"strikes", strikes},
                            {"reason", comparison.explanation}});
  if (strikes < kStrikesMax) co_return Status();
  const auto evidence = comparison.explanation + ", twice in a row";
  log::error("worker_quarantined", {{"worker", control.own.worker}, {"evidence", evidence}});
  co_return co_await store_.quarantine(control.own.worker, evidence);
}

awaitable<Status> ControlWatch::take_back_held() {
  CAMBRIAN_CO_TRY(const auto leases, co_await store_.held());
  // One short transaction each: nobody's campaign is held for long.
  for (const auto& lease : leases) {
    CAMBRIAN_CO_TRY_STATUS(co_await work_.give_back({lease}, "the worker is in quarantine"));
    hub_.offer(WorkKind::evaluation, 1);
  }
  co_return Status();
}

}  // namespace cambrian::coordinator
