// The database in memory is what the SQL does: the same calls to both, the same answers, the same
// rows. PostgreSQL's time is the test's.

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <pqxx/pqxx>

#include "common/digest/sha256.hpp"
#include "coordinator/adapters/postgres/campaign_store.hpp"
#include "coordinator/adapters/postgres/content_store.hpp"
#include "coordinator/adapters/postgres/driver_store.hpp"
#include "coordinator/adapters/postgres/migrate.hpp"
#include "coordinator/adapters/postgres/work_store.hpp"
#include "coordinator/journal/codec.hpp"
#include "coordinator/search/search.hpp"
#include "tests/simulation/memory_database.hpp"
#include "tests/support/postgres.hpp"
#include "tests/unit/coordinator/search_world.hpp"

namespace cambrian::coordinator::simulation {
namespace {

using cambrian::test::PrivatePostgres;

constexpr int kHistories = 12;
constexpr int kCallsOfHistory = 220;
constexpr LeaseTimes kTimes{.lease = milliseconds(4'000),
                            .evaluation_attempt = milliseconds(9'000),
                            .proposal_attempt = milliseconds(9'000),
                            .control_interval = milliseconds(1'800'000),
                            .has_controls = false};

/// An empty database whose `now()` is a row of it: the statements and the defaults of the tables
/// find that function before the system's.
std::string make_timed_database() {
  const auto connection = PrivatePostgres::shared().make_database();
  pqxx::connection plain(connection);
  pqxx::nontransaction sql(plain);
  sql.exec("CREATE SCHEMA simulated");
  sql.exec("CREATE TABLE simulated.clock (time timestamptz NOT NULL)");
  sql.exec("INSERT INTO simulated.clock VALUES ('epoch')");
  sql.exec(
      "CREATE FUNCTION simulated.now() RETURNS timestamptz LANGUAGE sql STABLE"
      " AS 'SELECT time FROM simulated.clock'");
  const auto timed = connection + " options='-csearch_path=public,simulated,pg_catalog'";
  pqxx::connection(timed).close();
  const auto migrated =
      postgres::migrate(timed, postgres::embedded_migrations(), milliseconds(30'000));
  if (!migrated) throw std::runtime_error(migrated.error().message);
  return timed;
}

std::string text_of(const Lease& lease) {
  return std::to_string(lease.item.value) + "@" + std::to_string(lease.epoch);
}

/// An answer as text: what both must give.
std::string text_of(const SyncState& state) {
  std::string text = "cancelled:";
  for (const auto& lease : state.cancelled) text += " " + text_of(lease);
  text += " released:";
  for (const auto& one : state.released) text += " " + one.outcome;
  return text;
}

std::string text_of(const std::vector<Assignment>& assignments) {
  std::string text;
  for (const auto& one : assignments) {
    text += text_of(one.lease) + " of " + std::to_string(one.campaign.value) + " for " +
            std::to_string(one.attempt_budget.count());
    if (const auto* evaluation = std::get_if<EvaluationWork>(&one.work)) {
      text += " evaluation " + word(evaluation->split) + " " + std::to_string(evaluation->seed);
    } else {
      const auto& proposal = std::get<ProposalWork>(one.work);
      text += " proposal " + word(proposal.operation) + " " + std::to_string(proposal.seed) + " " +
              std::to_string(proposal.variants) + " " + proposal.model;
      for (const auto& parent : proposal.parents) text += " of " + std::to_string(parent.variant);
    }
    text += "\n";
  }
  return text;
}

std::string text_of(const FinishState& state) {
  return std::to_string(static_cast<int>(state.verdict)) + " of " +
         std::to_string(state.campaign.value);
}

std::string text_of(const SweepState& state) {
  std::string text = "poisoned " + std::to_string(state.poisoned) + ":";
  for (const auto& one : state.ended) text += " " + word(one.kind) + " " + one.outcome;
  for (const auto campaign : state.campaigns) text += " " + std::to_string(campaign.value);
  return text;
}

std::string text_of(const ReadyCounts& counts) {
  return std::to_string(counts.evaluations) + " " + std::to_string(counts.proposals);
}

std::string text_of(std::vector<DriverLease> leases) {
  std::ranges::sort(leases);  // Their order is nobody's business.
  std::string text;
  for (const auto& one : leases) {
    text += std::to_string(one.campaign.value) + "@" + std::to_string(one.epoch) + " ";
  }
  return text;
}

std::string text_of(std::vector<RenewedDriver> renewed) {
  std::ranges::sort(renewed, {}, &RenewedDriver::lease);
  std::string text;
  for (const auto& one : renewed) {
    text += std::to_string(one.lease.campaign.value) + "@" + std::to_string(one.lease.epoch) + " " +
            std::to_string(one.running_ms) + " ";
  }
  return text;
}

std::string text_of(const std::vector<Input>& inputs) {
  std::string text;
  for (const auto& one : inputs) {
    text += std::to_string(one.sequence) + " " + journal::type_of(one.event) + " " +
            journal::to_json(one.event).dump() + "\n";
  }
  return text;
}

std::string text_of(const StepState& state) {
  return word(state.state) + " " + std::to_string(state.evaluations_added) + " " +
         std::to_string(state.proposals_added) + " cancelled " +
         std::to_string(state.cancelled.size());
}

std::string text_of(std::int64_t number) { return std::to_string(number); }

template <class T>
std::string text_of(const Result<T>& result) {
  return result ? text_of(*result) : "failed: " + std::string(to_string(result.error().code));
}

/// Both databases. Each call goes to both, and they must say the same.
class Both {
 public:
  Both() : connection_(make_timed_database()) { set_time(); }

  MemoryDatabase memory;

  void pass(milliseconds time) {
    memory.now += time;
    set_time();
  }

  CampaignId create(CampaignDefinition definition) {
    const std::string bundle = "a task";
    definition.task_digest = sha256_hex(bundle);
    definition.task_name = "task";
    REQUIRE(result_of(tasks_.add(definition.task_digest, "task", bundle)));
    const auto made = result_of(campaigns_.create(definition, Requester{}));
    REQUIRE(made);
    CHECK(made->id == memory.create(definition));
    return made->id;
  }

  template <class T>
  void compare(const char* call, const Result<T>& expected, const Result<T>& found) {
    INFO(call);
    REQUIRE(text_of(found) == text_of(expected));
    REQUIRE(rows_found() == rows_expected());
  }

  SyncState sync(const AgentReport& report) {
    noted_.forget_all();  // That is about a moment of true time.
    const Result<SyncState> expected = memory.sync(report, kTimes);
    compare("sync", expected, result_of(work_.sync(report, kTimes)));
    return *expected;
  }
  std::vector<Assignment> claim(const Claim& claim) {
    const Result<std::vector<Assignment>> expected = memory.claim(claim, kTimes);
    compare("claim", expected, result_of(work_.claim(claim, kTimes)));
    return *expected;
  }
  void give_back(const std::vector<Lease>& leases) {
    memory.give_back(leases);
    CHECK(result_of(work_.give_back(leases, "why")));
    REQUIRE(rows_found() == rows_expected());
  }
  Result<FinishState> finish(const WorkReport& report) {
    auto expected = memory.finish(report);
    compare("finish", expected, result_of(work_.finish(report)));
    return expected;
  }
  void sweep(Instant until) {
    const Result<SweepState> expected = memory.sweep(200, until);
    compare("sweep", expected, result_of(work_.sweep(200, until)));
  }
  void count_ready() {
    const Result<ReadyCounts> expected = memory.count_ready();
    compare("count_ready", expected, result_of(work_.count_ready()));
  }
  std::vector<DriverLease> acquire() {
    const Result<std::vector<DriverLease>> expected = memory.acquire(milliseconds(4'000), 16);
    compare("acquire", expected, result_of(drivers_.acquire("test", milliseconds(4'000), 16)));
    return *expected;
  }
  void renew(const std::vector<DriverLease>& leases) {
    const Result<std::vector<RenewedDriver>> expected = memory.renew(leases, milliseconds(4'000));
    compare("renew", expected, result_of(drivers_.renew(leases, milliseconds(4'000))));
  }
  void give_up(const std::vector<DriverLease>& leases) {
    memory.give_up(leases);
    CHECK(result_of(drivers_.give_up(leases)));
  }
  Result<std::vector<Input>> next_inputs(const DriverLease& lease, std::int64_t applied) {
    auto expected = memory.next_inputs(lease, applied, 64);
    compare("next_inputs", expected, result_of(drivers_.next_inputs(lease, applied, 64)));
    return expected;
  }
  Result<StepState> commit(const DriverStep& step) {
    auto expected = memory.commit(step);
    compare("commit", expected, result_of(drivers_.commit(step)));
    return expected;
  }
  void append_time(const DriverLease& lease, std::int64_t running_ms) {
    const auto expected = memory.append_time(lease, running_ms);
    const auto found = result_of(drivers_.append_time(lease, running_ms));
    CHECK(found.has_value() == expected.has_value());
  }
  void request(CampaignId campaign, UserAction action) {
    const auto expected = memory.request(campaign, action);
    const auto& name = memory.campaigns().at(campaign).definition.name;
    compare("request", expected, result_of(campaigns_.request(name, action, Requester{})));
  }

 private:
  void set_time() {
    pqxx::nontransaction sql(look_);
    sql.exec(
        "UPDATE simulated.clock SET time = timestamptz 'epoch' + $1 * interval '1 microsecond'",
        pqxx::params{memory.now.time_since_epoch().count()});
  }

  template <class R>
  R result_of(awaitable<R> call) {
    std::optional<R> result;
    boost::asio::co_spawn(context_, std::move(call),
                          [&](const std::exception_ptr& thrown, R value) {
                            if (thrown) std::rethrow_exception(thrown);
                            result.emplace(std::move(value));
                          });
    context_.restart();
    const auto work = boost::asio::make_work_guard(context_);
    while (!result) context_.run_one();
    return std::move(*result);
  }

  std::string rows_found() {
    pqxx::nontransaction sql(look_);
    std::string text;
    for (const auto& row : sql.exec(
             "SELECT concat_ws(' ', id, campaign_id, kind, number, state, epoch,"
             " coalesce(agent_id, ''), worker_faults, losses, (SELECT string_agg(concat_ws(':',"
             "  a.epoch, a.agent_id, coalesce(a.outcome, ''), a.is_counted::integer, a.tokens,"
             "  a.cost_micro_usd, (a.stale_report_at IS NOT NULL)::integer), ',' ORDER BY a.epoch)"
             "  FROM attempt a WHERE a.item_id = w.id)) FROM work_item w ORDER BY id")) {
      text += row[0].as<std::string>() + "\n";
    }
    for (const auto& row :
         sql.exec("SELECT concat_ws(' ', id, state, last_sequence, applied_sequence, driver_epoch,"
                  " running_ms, evaluations, evaluations_failed, final_evaluations, proposals,"
                  " proposals_failed, tokens, cost_micro_usd, gpu_time_ms) FROM campaign ORDER BY"
                  " id")) {
      text += row[0].as<std::string>() + "\n";
    }
    return text;
  }

  std::string rows_expected() const {
    std::string text;
    for (const auto& [id, item] : memory.items()) {
      text += std::to_string(id.value) + " " + std::to_string(item.campaign.value) + " " +
              word(item.kind) + " " + std::to_string(item.number) + " " + item.state + " " +
              std::to_string(item.epoch) + " " + item.agent_id + " " +
              std::to_string(item.worker_faults) + " " + std::to_string(item.losses);
      std::string attempts;
      for (const auto& [epoch, one] : item.attempts) {
        attempts += (attempts.empty() ? "" : ",") + std::to_string(epoch) + ":" + one.agent_id +
                    ":" + one.outcome + ":" + (one.is_counted ? "1" : "0") + ":" +
                    std::to_string(one.tokens) + ":" + std::to_string(one.cost_micro_usd) + ":" +
                    (one.has_stale_report ? "1" : "0");
      }
      text += (attempts.empty() ? "" : " ") + attempts + "\n";
    }
    for (const auto& [id, one] : memory.campaigns()) {
      text += std::to_string(id.value) + " " + word(one.state);
      const auto& used = one.consumption;
      for (const auto number :
           {one.last_sequence, one.applied_sequence, one.driver_epoch, one.running_ms,
            used.evaluations, used.evaluations_failed, used.final_evaluations, used.proposals,
            used.proposals_failed, used.tokens, used.cost_micro_usd, used.gpu_time_ms}) {
        text += " " + std::to_string(number);
      }
      text += "\n";
    }
    return text;
  }

  std::string connection_;
  pqxx::connection look_{connection_};
  metrics::Registry registry_;
  postgres::Database database_{{.connection = connection_}, registry_};
  postgres::NotedAgents noted_;
  postgres::PostgresWorkStore work_{database_, noted_};
  postgres::PostgresDriverStore drivers_{database_};
  postgres::PostgresCampaignStore campaigns_{database_};
  postgres::PostgresTaskStore tasks_{database_};
  boost::asio::io_context context_{1};
};

/// Random calls, right and wrong ones, by agents, drivers and users that remember a little.
class Walk {
 public:
  explicit Walk(std::uint64_t seed) : rng_(Rng(seed).split("walk")), results_(rng_) {
    for (int i = 0; i < 2; ++i) add_campaign(i);
    for (int i = 0; i < 5; ++i) {
      AgentDescription agent;
      agent.agent_id = "agent-" + std::to_string(i);
      agent.name = "name-" + std::to_string(i / 2);
      agent.kind = i < 3 ? AgentKind::worker : AgentKind::codegen;
      agent.slots = 4;
      agent.runtimes = {"cpp"};
      agent.sandbox_level = i == 0 ? 1 : 2;
      agent.models =
          i == 4 ? std::vector<std::string>{"small"} : std::vector<std::string>{"small", "large"};
      agents_.push_back(agent);
    }
  }

  void step() {
    switch (rng_.below(16)) {
      case 0:
      case 1:
      case 2: return claim();
      case 3:
      case 4:
      case 5:
      case 6: return finish();
      case 7:
      case 8:
      case 9: return drive();
      case 10: return sync();
      case 11: return both_.pass(milliseconds(rng_.between(1, 3'000)));
      case 12: return both_.sweep(both_.memory.now + milliseconds(rng_.chance(0.1) ? 0 : 1'000));
      case 13: return both_.count_ready();
      case 14: return rng_.chance(0.3) ? act() : renew();
      default: return give_back();
    }
  }

 private:
  void add_campaign(int place) {
    CampaignDefinition definition;
    definition.name = "campaign-" + std::to_string(place);
    definition.priority = 50 + static_cast<int>(rng_.below(2));
    definition.settings = search::random_settings(rng_);
    auto& operators = definition.settings.operators;
    std::erase_if(operators,
                  [](const auto& share) { return share.kind == search::Operator::tune; });
    definition.settings.budget = {.evaluations = 40};
    definition.settings.noise_repeats = 0;
    if (!search::validate(definition.settings).empty()) definition.settings.races = false;
    definition.started = {"seed", 20};
    definition.seed_files = {{.path = "answer.cpp", .sha256 = sha256_hex("seed")}};
    definition.output_tokens = 50;
    definition.runtime = "cpp";
    definition.sandbox_level = 1 + place;
    definition.language = "cpp";
    campaigns_.push_back(both_.create(definition));
  }

  void claim() {
    const auto& agent = rng_.pick(agents_);
    sync_as(agent, {});
    Claim claim{.agent = agent, .count = static_cast<int>(rng_.between(1, 3)), .served = {}};
    if (rng_.chance(0.5)) claim.served.push_back(rng_.pick(campaigns_));
    for (const auto& one : both_.claim(claim)) held_.push_back({agent, one});
  }

  void sync_as(const AgentDescription& agent, std::vector<Release> released) {
    AgentReport report;
    report.agent = agent;
    for (const auto& [holder, assignment] : held_) {
      const bool is_own = holder.agent_id == agent.agent_id || rng_.chance(0.05);
      const bool is_released = std::ranges::any_of(
          released, [&](const Release& one) { return one.lease == assignment.lease; });
      if (!is_own || is_released || rng_.chance(0.2)) continue;
      Progress progress;
      progress.lease = assignment.lease;
      report.running.push_back(progress);
    }
    report.released = std::move(released);
    both_.sync(report);
  }

  void sync() {
    const auto& agent = rng_.pick(agents_);
    std::vector<Release> released;
    for (const auto& [holder, assignment] : held_) {
      if (!rng_.chance(0.2)) continue;
      released.push_back(
          {.lease = assignment.lease,
           .reason = rng_.chance(0.5) ? ReleaseReason::unable : ReleaseReason::shutdown});
    }
    sync_as(agent, std::move(released));
  }

  void finish() {
    if (held_.empty()) return;
    const auto place = rng_.below(held_.size());
    const auto [holder, assignment] = held_[place];
    auto report = make_report(holder, assignment);
    if (rng_.chance(0.05)) ++report.lease.epoch;
    if (rng_.chance(0.05)) report.agent_id = rng_.pick(agents_).agent_id;
    if (rng_.chance(0.02)) report.lease.item.value += 1;
    if (rng_.chance(0.02)) report.result = EvaluationResult();
    (void)both_.finish(report);
    if (rng_.chance(0.7)) held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(place));
  }

  WorkReport make_report(const AgentDescription& agent, const Assignment& assignment) {
    const auto& campaign = both_.memory.campaigns().at(assignment.campaign);
    const auto number = both_.memory.items().at(assignment.lease.item).number;
    WorkReport report{.agent_id = agent.agent_id, .lease = assignment.lease, .result = {}};
    if (std::holds_alternative<EvaluationWork>(assignment.work)) {
      const auto event = results_.result_of(campaign.evaluations.at(number), rng_);
      EvaluationResult result;
      result.outcome = event.outcome;
      for (const auto& [name, value] : event.metrics) {
        if (std::isfinite(value)) result.metrics[name] = value;  // The wire takes no others.
      }
      result.gpu_time_ms = event.gpu_time_ms;
      report.result = std::move(result);
      return report;
    }
    const auto event = results_.answer_to(campaign.proposals.at(number), rng_);
    ProposalResult result;
    result.outcome = event.variants.empty() ? ProposalOutcome::rejected : ProposalOutcome::success;
    if (event.variants.empty() && rng_.chance(0.5)) {
      result.outcome = ProposalOutcome::infrastructure;
    }
    for (const auto& variant : event.variants) {
      result.variants.push_back(
          {.files = {{.path = "answer.cpp", .sha256 = sha256_hex(variant.token_digest)}},
           .token_digest = variant.token_digest,
           .source_tokens = variant.source_tokens,
           .rationale = "why not"});
    }
    ModelCall call;
    call.prompt_tokens = event.tokens;
    call.cost_micro_usd = event.cost_micro_usd;
    result.calls.push_back(call);
    report.result = std::move(result);
    return report;
  }

  void drive() {
    for (const auto& lease : both_.acquire()) {
      driven_.erase(lease.campaign);
      driven_.emplace(lease.campaign, Driven{.lease = lease, .search = {}, .applied = 0});
    }
    const auto found = driven_.find(rng_.pick(campaigns_));
    if (found == driven_.end()) return;
    auto& [campaign, driven] = *found;
    if (!driven.search) rebuild(driven);
    auto lease = driven.lease;
    if (rng_.chance(0.03)) --lease.epoch;
    const auto applied = driven.applied + (rng_.chance(0.03) ? 1 : 0);
    const auto inputs = both_.next_inputs(lease, applied);
    if (!inputs || inputs->empty()) return;
    DriverStep step{.lease = lease,
                    .applied_before = applied,
                    .applied_after = inputs->back().sequence,
                    .commands = {}};
    for (const auto& input : *inputs) {
      auto commands = driven.search->handle(input.event);
      std::move(commands.begin(), commands.end(), std::back_inserter(step.commands));
    }
    if (rng_.chance(0.03)) step.applied_before += 1;
    if (both_.commit(step)) {
      driven.applied = step.applied_after;
    } else {
      driven.search.reset();
    }
  }

  struct Driven {
    DriverLease lease;
    std::optional<search::Search> search;
    std::int64_t applied = 0;
  };

  void rebuild(Driven& driven) {
    const auto& campaign = both_.memory.campaigns().at(driven.lease.campaign);
    driven.search.emplace(campaign.definition.settings);
    driven.applied = campaign.applied_sequence;
    for (const auto& input :
         both_.memory.read_inputs(campaign.id, 0, campaign.applied_sequence, 100'000)) {
      driven.search->handle(input.event);
    }
  }

  void renew() {
    std::vector<DriverLease> leases;
    for (const auto& [campaign, driven] : driven_) leases.push_back(driven.lease);
    if (leases.empty()) return;
    if (rng_.chance(0.2)) return both_.give_up(leases);
    if (rng_.chance(0.2)) return both_.append_time(leases.front(), rng_.between(0, 1'000));
    both_.renew(leases);
  }

  void act() {
    both_.request(rng_.pick(campaigns_),
                  rng_.pick(std::vector{UserAction::pause, UserAction::resume, UserAction::resume,
                                        UserAction::resume, UserAction::stop}));
  }

  void give_back() {
    std::vector<Lease> leases;
    for (const auto& [holder, assignment] : held_) {
      if (rng_.chance(0.1)) leases.push_back(assignment.lease);
    }
    if (!leases.empty()) both_.give_back(leases);
  }

  Rng rng_;
  search::Agents results_;
  Both both_;
  std::vector<CampaignId> campaigns_;
  std::vector<AgentDescription> agents_;
  std::vector<std::pair<AgentDescription, Assignment>> held_;
  std::map<CampaignId, Driven> driven_;
};

}  // namespace

TEST_CASE("conformance: the database in memory does what the SQL does",
          "[integration][coordinator]") {
  const char* given = std::getenv("CAMBRIAN_TEST_SEED");
  const std::uint64_t first = given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
  for (std::uint64_t seed = first; seed < first + (given == nullptr ? kHistories : 1); ++seed) {
    INFO("CAMBRIAN_TEST_SEED=" << seed << " repeats it");
    Walk walk(seed);
    for (int i = 0; i < kCallsOfHistory; ++i) walk.step();
  }
}

}  // namespace cambrian::coordinator::simulation
