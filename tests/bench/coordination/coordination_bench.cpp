// What the coordinator and its queue can do: scripts/bench coordination. See README.md.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <thread>

#include "tests/bench/coordination/parts.hpp"
#include "tests/bench/coordination/stage.hpp"

namespace cambrian::bench {
namespace {

const std::vector<std::string> kParts = {"claim",    "pinned", "sql",   "dispatch",
                                         "renewals", "fleet",  "search"};

struct Target {
  const char* name;
  const char* figure;  ///< JSON pointer.
  bool is_at_least;
  double bound;
};

constexpr double kGigabyte = 1e9;
const std::vector<Target> kTargets = {
    {"claim-and-finish cycles a second", "/claim/cycles_per_second", true, 1'000},
    {"cycle p99 (ms)", "/claim/p99_ms", false, 50},
    {"share of that under a pinned xmin", "/pinned/ratio_to_unpinned", true, 0.5},
    {"dispatch p50 (ms)", "/dispatch/p50_ms", false, 10},
    {"dispatch p99 (ms)", "/dispatch/p99_ms", false, 50},
    {"lease renewals a second", "/renewals/per_second", true, 50'000},
    {"share of HOT updates", "/renewals/hot_ratio", true, 0.95},
    {"heartbeat p99 of the fleet (ms)", "/fleet/heartbeat_p99_ms", false, 250},
    {"coordinator memory (bytes)", "/fleet/coordinator_rss_bytes", false, kGigabyte},
    {"evaluations a second", "/search/evaluations_per_second", true, 300},
    {"rate at the end to that at 100", "/search/ratio_end_to_100", true, 0.9}};

Options quick_options() {
  return {.finished_rows = 50'000,
          .load_seconds = 4,
          .pin_seconds = 4,
          .dispatches = 100,
          .renewal_seconds = 3,
          .fleet = 1'000,
          .fleet_channels = 20,
          .fleet_interval = milliseconds(3'000),
          .fleet_seconds = 6,
          .population = 600,
          .search_seconds = 20};
}

double load_average() {
  double load = 0;
  std::ifstream("/proc/loadavg") >> load;
  return load;
}

double number_at(const Json& json, const char* pointer) {
  const auto place = Json::json_pointer(pointer);
  return json.contains(place) ? json.at(place).get<double>() : 0;
}

/// Runs the parts in an order in which each finds what it needs, and says what it does on stderr.
class Bench {
 public:
  Bench(Options options, std::vector<std::string> only)
      : options_(std::move(options)), only_(std::move(only)) {
    figures_["machine"] = {{"cores", std::thread::hardware_concurrency()},
                           {"load_average_before", load_average()}};
  }

  Json run() {
    run_part("claim", [this] { return measure_claims(stage(), options_); });
    run_part("pinned", [this] {
      if (!figures_.contains("claim")) figures_["claim"] = measure_claims(stage(), options_);
      return measure_pinned(stage(), options_, number_at(figures_, "/claim/cycles_per_second"));
    });
    run_part("sql", [this] { return measure_bare_sql(stage(), options_); });
    run_part("dispatch", [this] { return measure_dispatch(stage(), options_); });
    run_part("renewals", [this] { return measure_renewals(stage(), options_); });
    run_part("fleet", [this] { return measure_fleet(stage(), options_); });
    stage_.reset();
    run_part("search", [this] { return measure_search(options_); });
    const double bare = number_at(figures_, "/sql/cycles_per_second");
    if (bare > 0 && figures_.contains("claim")) {
      figures_["ratio_to_bare_sql"] = number_at(figures_, "/claim/cycles_per_second") / bare;
    }
    check_targets();
    return std::move(figures_);
  }

 private:
  template <class Part>
  void run_part(const std::string& name, Part part) {
    if (!only_.empty() && std::ranges::find(only_, name) == only_.end()) return;
    std::fprintf(stderr, "%s ...\n", name.c_str());
    const auto begin = Clock::now();
    const double load = load_average();
    Json figures = part();
    figures["load_average"] = load;
    figures["took_seconds"] = seconds_between(begin, Clock::now());
    std::fprintf(stderr, "  %s\n", figures.dump().c_str());
    figures_[name] = std::move(figures);
  }

  Stage& stage() {
    if (!stage_) {
      std::fprintf(stderr, "filling %ld finished rows ...\n", options_.finished_rows);
      stage_ = std::make_unique<Stage>();
      stage_->fill(options_.finished_rows);
    }
    return *stage_;
  }

  void check_targets() {
    figures_["targets"] = Json::array();
    for (const auto& target : kTargets) {
      if (!figures_.contains(Json::json_pointer(target.figure))) continue;
      const double value = number_at(figures_, target.figure);
      const bool is_met = target.is_at_least ? value >= target.bound : value <= target.bound;
      figures_["targets"].push_back({{"name", target.name},
                                     {"value", value},
                                     {"bound", target.bound},
                                     {"is_at_least", target.is_at_least},
                                     {"is_met", is_met}});
    }
  }

  Options options_;
  std::vector<std::string> only_;
  Json figures_;
  std::unique_ptr<Stage> stage_;
};

void show(const Json& figures) {
  for (const auto& target : figures["targets"]) {
    std::printf("%s %-36s %14.2f (wanted %s %.2f)\n", target["is_met"] ? "met   " : "MISSED",
                target["name"].get<std::string>().c_str(), target["value"].get<double>(),
                target["is_at_least"] ? ">=" : "<=", target["bound"].get<double>());
  }
  if (figures.contains("ratio_to_bare_sql")) {
    std::printf("       %-36s %14.2f\n", "cycles against those of bare SQL",
                figures["ratio_to_bare_sql"].get<double>());
  }
}

}  // namespace
}  // namespace cambrian::bench

int main(int argc, char** argv) {
  using namespace cambrian::bench;
  CLI::App app("Measures the coordinator: claims, dispatch, renewals, a fleet, whole searches");
  bool is_quick = false;
  bool is_json = false;
  std::vector<std::string> only;
  app.add_flag("--quick", is_quick, "Small sizes, about a minute: shows that it works");
  app.add_flag("--json", is_json, "All figures as JSON");
  app.add_option("--only", only, "A part alone, may be repeated")->check(CLI::IsMember(kParts));
  Options sizes;
  app.add_option("--finished-rows", sizes.finished_rows, "Finished items beside those at work");
  app.add_option("--population", sizes.population, "Variants up to which the search runs");
  app.add_option("--search-seconds", sizes.search_seconds, "Or until so long has passed");
  CLI11_PARSE(app, argc, argv);
  try {
    const auto figures = Bench(is_quick ? quick_options() : sizes, only).run();
    if (is_json) {
      std::printf("%s\n", figures.dump(2).c_str());
    } else {
      show(figures);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "coordination_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
