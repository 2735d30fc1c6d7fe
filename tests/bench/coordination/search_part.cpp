// proposal -> variant -> evaluation -> result -> next proposal, with nothing to evaluate.

#include <atomic>
#include <filesystem>
#include <fstream>
#include <pqxx/pqxx>
#include <stdexcept>
#include <thread>

#include "common/rpc/channel.hpp"
#include "tests/bench/coordination/canned_model.hpp"
#include "tests/bench/coordination/child.hpp"
#include "tests/bench/coordination/parts.hpp"
#include "tests/bench/coordination/stage.hpp"

namespace cambrian::bench {
namespace {

namespace fs = std::filesystem;

constexpr int kSlots = 64;
/// Evaluations and proposals in flight.
constexpr int kParallel = 128;
constexpr int kWorkers = 8;
constexpr int kEvaluationsAtOnce = 8;
constexpr milliseconds kLook{50};
/// The rate at a population of n is that of the evaluations behind it: so many, or as many as were
/// made in so long at the end.
constexpr std::int64_t kSmallPopulation = 100;
constexpr std::int64_t kSmallWindow = 1'000;
constexpr double kEndWindowSeconds = 20;

/// How the population grew.
struct Growth {
  std::vector<double> seconds;
  std::vector<std::int64_t> population;

  /// Evaluations a second from the first look at which there were `from` until there were `to`.
  double rate(std::int64_t from, std::int64_t to) const {
    const auto first = at_least(from);
    const auto last = at_least(to);
    if (last <= first) return 0;
    return static_cast<double>(population[last] - population[first]) /
           (seconds[last] - seconds[first]);
  }
  std::int64_t population_before_end(double time) const {
    std::size_t place = seconds.size() - 1;
    while (place > 0 && seconds.back() - seconds[place] < time) --place;
    return population[place];
  }

 private:
  std::size_t at_least(std::int64_t wanted) const {
    std::size_t place = 0;
    while (place + 1 < population.size() && population[place] < wanted) ++place;
    return place;
  }
};

class CodegenClient {
 public:
  CodegenClient(const std::string& coordinator, const std::string& base_url) {
    auto pattern = (fs::temp_directory_path() / "cambrian-bench-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    folder_ = pattern;
    std::ofstream(folder_ / "config.yaml")
        << "coordinator: " << coordinator << "\nname: bench\nslots: " << kSlots
        << "\nendpoints:\n- name: canned\n  base_url: " << base_url
        << "\n  models: [canned]\n  parallel: " << kSlots << "\n";
    child_ = std::make_unique<Child>(
        std::vector<std::string>{std::string(CAMBRIAN_BINARY_DIR) + "/bin/cambrian-codegen",
                                 "--config", folder_ / "config.yaml"},
        folder_ / "log");
  }
  ~CodegenClient() {
    child_.reset();
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  void check() {
    if (child_->has_ended()) {
      throw std::runtime_error("the codegen client ended:\n" + read_text(folder_ / "log"));
    }
  }

 private:
  fs::path folder_;
  std::unique_ptr<Child> child_;
};

/// Workers that find every variant evaluated as soon as they have it.
class NoOpWorkers {
 public:
  explicit NoOpWorkers(const std::string& address) {
    for (int i = 0; i < kWorkers; ++i) threads_.emplace_back([this, address] { run(address); });
  }
  ~NoOpWorkers() { is_over_ = true; }

 private:
  void run(const std::string& address) {
    test::ScriptedAgent agent(rpc::make_channel(address), agent::v1::AGENT_KIND_WORKER, "no-op");
    while (!is_over_) {
      std::vector<std::jthread> slots;  // Each reports by itself.
      for (const auto& assignment : agent.claim(kEvaluationsAtOnce, milliseconds(1'000))) {
        slots.emplace_back([&agent, assignment] {
          agent.finish(assignment.lease(), test::success(test::score_of(assignment.evaluation())));
        });
      }
    }
  }

  std::atomic<bool> is_over_ = false;
  std::vector<std::jthread> threads_;
};

spec::v1::CampaignSpec make_spec(test::User& user, std::int64_t population) {
  auto spec = user.make_spec("search", static_cast<int>(population + population / 10 + 1'000));
  spec.mutable_search()->set_policy(spec::v1::POLICY_ISLANDS);
  spec.mutable_evaluation()->set_parallel(kParallel);
  spec.mutable_codegen()->set_parallel(kParallel);
  return spec;
}

Growth watch(Stage& stage, CodegenClient& codegen, const Options& options) {
  Growth growth;
  const auto begin = Clock::now();
  double reached_at = -1;
  // One connection: to make one for each look took a quarter of both cores.
  pqxx::connection connection(stage.database());
  pqxx::nontransaction sql(connection);
  while (true) {
    codegen.check();
    const auto population =
        sql.query_value<std::int64_t>("SELECT evaluations FROM campaign WHERE name = 'search'");
    growth.population.push_back(population);
    growth.seconds.push_back(seconds_between(begin, Clock::now()));
    const double now = growth.seconds.back();
    if (reached_at < 0 && population >= options.population) reached_at = now;
    // Beyond it for a while: the rate there is measured there.
    if (reached_at >= 0 && now - reached_at >= kEndWindowSeconds / 2) return growth;
    if (now >= options.search_seconds) return growth;
    std::this_thread::sleep_for(kLook);
  }
}

}  // namespace

Json measure_search(const Options& options) {
  Stage stage;
  CannedModel model;
  stage.user().create(make_spec(stage.user(), options.population));
  Growth growth;
  {
    const NoOpWorkers workers(stage.coordinator().address());
    CodegenClient codegen(stage.coordinator().address(), model.base_url());
    growth = watch(stage, codegen, options);
  }
  const auto last = growth.population.back();
  const auto first_of_end = growth.population_before_end(kEndWindowSeconds);
  const double rate_small = growth.rate(kSmallPopulation, kSmallPopulation + kSmallWindow);
  const double rate_large = growth.rate(first_of_end, last);
  return {{"evaluations_per_second", growth.rate(kSmallPopulation, last)},
          {"rate_at_100", rate_small},
          {"rate_at_end", rate_large},
          {"ratio_end_to_100", rate_small > 0 ? rate_large / rate_small : 0},
          {"population_at_end", last},
          {"population_wanted", options.population},
          {"seconds", growth.seconds.back()},
          {"model_calls", model.answers()},
          {"coordinator_rss_bytes", memory_of(stage.coordinator().pid(), "VmRSS")}};
}

}  // namespace cambrian::bench
