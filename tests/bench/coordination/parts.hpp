#pragma once

#include <cstdint>

#include "tests/bench/coordination/figures.hpp"

namespace cambrian::bench {

class Stage;

/// Sizes and times of all parts. `--quick` makes them small enough for a minute.
struct Options {
  int agents = 32;
  std::int64_t finished_rows = 1'000'000;
  int load_seconds = 20;
  int pin_seconds = 60;
  int dispatches = 1'000;
  int renewal_seconds = 10;
  int fleet = 10'000;
  int fleet_channels = 100;
  milliseconds fleet_interval{20'000};
  int fleet_seconds = 45;
  int claims_per_second = 100;
  std::int64_t population = 100'000;
  int search_seconds = 600;
};

/// Cycles of claim and finish by so many agents at once, each on a connection of its own, with a
/// deep backlog of ready items.
Json measure_claims(Stage& stage, const Options& options);

/// The same while a transaction pins xmin, once it has done so for `pin_seconds`.
Json measure_pinned(Stage& stage, const Options& options, double unpinned_rate);

/// From the moment at which an agent begins to hand an item back until another one, which waits in
/// a long poll, has it: longer than from the commit that makes the item ready. Once with all agents
/// at one coordinator, once with those that wait at another one.
Json measure_dispatch(Stage& stage, const Options& options);

/// Agents that hold 1,024 leases each and do nothing but renew them.
Json measure_renewals(Stage& stage, const Options& options);

/// So many agents, half of them at work and half of them in long polls, and items for those.
Json measure_fleet(Stage& stage, const Options& options);

/// The bare SQL of the cycle, by pgbench, on the same table.
Json measure_bare_sql(Stage& stage, const Options& options);

/// A whole search with the real codegen client and a canned model, without any real evaluation.
Json measure_search(const Options& options);

}  // namespace cambrian::bench
