#include "tests/simulation/world.hpp"

#include <algorithm>
#include <utility>

namespace cambrian::coordinator::simulation {
namespace {

using search::expect;
using std::chrono::minutes;
using std::chrono::seconds;

/// Behind it a campaign that goes on does not end.
constexpr milliseconds kHealedMax = minutes(20);
constexpr milliseconds kLateTime = seconds(7);

/// Small settings of any kind that the database here can serve: no operator `tune`.
search::Settings make_settings(Rng& rng) {
  auto settings = search::random_settings(rng);
  std::erase_if(settings.operators,
                [](const auto& share) { return share.kind == search::Operator::tune; });
  settings.budget.evaluations = rng.between(2, 9);
  settings.repeats = std::min(settings.repeats, 2);
  settings.noise_repeats = 0;
  settings.final_repeats = std::min(settings.final_repeats, 1);
  if (!search::validate(settings).empty()) settings.races = false;
  return settings;
}

}  // namespace

World::World(std::uint64_t seed) : rng_(Rng(seed).split("world")), results_(rng_) {
  lost_ = rng_.chance(0.5) ? rng_.uniform() * 0.2 : 0;
  twice_ = rng_.chance(0.3) ? rng_.uniform() * 0.2 : 0;
  lies_ = rng_.chance(0.3) ? 0.1 : 0;
  if (rng_.chance(0.4)) {
    faults_ = {.refused = rng_.uniform() * 0.1,
               .answer_lost = rng_.uniform() * 0.1,
               .late = rng_.uniform() * 0.02};
  }
}

// ---- The run ----

void World::create_campaigns() {
  const auto count = rng_.chance(0.2) ? 2 : 1;
  for (int i = 0; i < count; ++i) {
    CampaignDefinition definition;
    definition.name = "campaign-" + std::to_string(i);
    definition.priority = static_cast<int>(rng_.between(49, 51));
    definition.settings = make_settings(rng_);
    definition.started = {"seed", 20};
    definition.output_tokens = 50;
    definition.runtime = "cpp";
    definition.sandbox_level = 2;
    database_.create(definition);
  }
}

void World::run() {
  create_campaigns();
  start_coordinator(0);
  if (rng_.chance(0.5)) start_coordinator(1);  // Another one comes when the trouble is over.
  for (std::int64_t i = rng_.between(1, 3); i > 0; --i) {
    add_agent(AgentKind::worker, "worker-" + std::to_string(i));
  }
  add_agent(AgentKind::codegen, "codegen-1");
  if (rng_.chance(0.3)) add_agent(AgentKind::codegen, "codegen-2");
  plan_trouble();
  const milliseconds trouble(rng_.between(1'000, 25'000));
  run_until([this] { return have_ended(); }, trouble);
  heal();
  run_until([this] { return have_ended(); }, kHealedMax);
  expect(have_ended(), "the campaigns end");
  run_until([] { return false; }, kLateTime);  // What is late comes now.
  rules_.check_end(acknowledged_);
  for (const auto& [id, item] : database_.items()) {
    for (const auto& [epoch, attempt] : item.attempts) ++counts_["attempt_" + attempt.outcome];
  }
  for (const auto& [id, campaign] : database_.campaigns()) {
    counts_["driver_changed"] += campaign.driver_epoch - 1;
  }
}

void World::step() {
  expect(timeline_.step(), "something happens all the time");
  for (const auto& coordinator : coordinators_) {
    if (coordinator) coordinator->poll();
  }
}

void World::run_until(const std::function<bool()>& is_over, milliseconds most) {
  const auto end = timeline_.now() + most;
  while (!is_over() && timeline_.now() < end) step();
}

bool World::have_ended() const {
  return std::ranges::all_of(database_.campaigns(),
                             [](const auto& one) { return has_ended(one.second.state); });
}

void World::heal() {
  is_quiet_ = true;
  faults_ = {};
  lost_ = twice_ = lies_ = 0;
  is_cut_ = {};
  for (int i = 0; i < kCoordinators; ++i) {
    if (!coordinators_[static_cast<std::size_t>(i)]) start_coordinator(i);
  }
  for (const auto& agent : std::vector(agents_)) {
    agent->is_frozen = false;
    for (const auto& what : std::exchange(agent->inbox, {})) what();
  }
  for (const auto& [id, campaign] : database_.campaigns()) {
    if (!has_ended(campaign.state)) (void)database_.request(id, UserAction::resume);
  }
}

// ---- What goes wrong ----

void World::plan_trouble() {
  const auto times = rng_.between(0, 8);
  for (std::int64_t i = 0; i < times; ++i) {
    timeline_.after(milliseconds(rng_.between(0, 20'000)), [this] {
      if (!is_quiet_) make_trouble();
    });
  }
}

void World::make_trouble() {
  const auto place = static_cast<int>(rng_.below(kCoordinators));
  switch (rng_.below(8)) {
    case 0:
    case 1: return kill_coordinator(place);
    case 2: return cut_network(place);
    case 3: return lose_database();
    case 4: return disturb_user();
    default: return disturb_agent();
  }
}

void World::start_coordinator(int place) {
  auto& coordinator = coordinators_[static_cast<std::size_t>(place)];
  coordinator = std::make_unique<CoordinatorProcess>(
      database_, timeline_, faults_,
      rng_.split("store").split(static_cast<std::uint64_t>(++coordinators_made_)),
      [this] { rules_.check(); });
}

void World::kill_coordinator(int place) {
  // Not from within its own handlers: those run when everything that happens now is over.
  coordinators_[static_cast<std::size_t>(place)].reset();
  ++counts_["coordinator_killed"];
  timeline_.after(milliseconds(rng_.between(0, 6'000)), [this, place] {
    if (!coordinators_[static_cast<std::size_t>(place)]) start_coordinator(place);
  });
}

void World::cut_network(int place) {
  is_cut_[static_cast<std::size_t>(place)] = true;
  ++counts_["network_cut"];
  timeline_.after(milliseconds(rng_.between(100, 9'000)),
                  [this, place] { is_cut_[static_cast<std::size_t>(place)] = false; });
}

void World::lose_database() {
  faults_.is_away = true;
  ++counts_["database_away"];
  timeline_.after(milliseconds(rng_.between(100, 9'000)), [this] { faults_.is_away = false; });
}

void World::disturb_user() {
  const auto campaigns = std::ssize(database_.campaigns());
  const CampaignId campaign{rng_.between(1, campaigns)};
  const auto action = rng_.pick(
      std::vector{UserAction::pause, UserAction::pause, UserAction::resume, UserAction::stop});
  (void)database_.request(campaign, action);
  rules_.check();
  ++counts_["user_acted"];
}

void World::disturb_agent() {
  const auto agent = rng_.pick(agents_);
  switch (rng_.below(3)) {
    case 0: ++counts_["agent_killed"]; return replace(agent);
    case 1:
      agent->is_frozen = true;
      ++counts_["agent_frozen"];
      return timeline_.after(milliseconds(rng_.between(500, 14'000)), [agent] {
        agent->is_frozen = false;
        for (const auto& what : std::exchange(agent->inbox, {})) what();
      });
    default:
      // It ends in order: hands everything back, and says so once.
      ++counts_["agent_stopped"];
      for (const auto& [lease, attempt] : agent->attempts) {
        agent->released.push_back(
            {.lease = lease,
             .reason = rng_.chance(0.5) ? ReleaseReason::unable : ReleaseReason::shutdown});
      }
      agent->attempts.clear();
      agent->slots = 0;
      agent->is_calling = false;
      sync(agent);
      return replace(agent);
  }
}

// ---- The network ----

milliseconds World::latency() {
  if (!is_quiet_ && rng_.chance(0.02)) return milliseconds(rng_.between(500, 6'000));
  return milliseconds(rng_.between(0, 5));
}

template <class T>
void World::call(int coordinator, milliseconds patience,
                 std::function<awaitable<Result<T>>(AgentDesk&, std::function<bool()>)> ask,
                 Then<T> then) {
  const auto is_over = std::make_shared<bool>(false);
  const auto end = [is_over, then](std::optional<Result<T>> answer) {
    if (!std::exchange(*is_over, true)) then(std::move(answer));
  };
  timeline_.after(patience, [end] { end(std::nullopt); });
  const int copies = rng_.chance(twice_) ? 2 : 1;
  const auto place = static_cast<std::size_t>(coordinator);
  for (int copy = 0; copy < copies; ++copy) {
    if (rng_.chance(lost_)) continue;
    timeline_.after(latency(), [=, this] {
      if (is_cut_[place]) return;
      auto& target = coordinators_[place];
      if (!target) return end(Result<T>(fail(Errc::unavailable, "refused")));
      // A copy is not known to its caller: nobody hears of what it is given.
      const auto is_gone = [is_over, copy] { return copy == 0 && *is_over; };
      target->template serve<T>(ask(target->desk(), is_gone), [=, this](Result<T> answer) {
        if (copy > 0 || rng_.chance(lost_) || is_cut_[place]) return;
        timeline_.after(latency(), [end, answer = std::move(answer)] { end(answer); });
      });
    });
  }
}

// ---- Agents ----

void World::add_agent(AgentKind kind, std::string name) {
  const auto agent = std::make_shared<Agent>();
  agent->id = "agent-" + std::to_string(++agents_made_);
  agent->name = std::move(name);
  agent->kind = kind;
  agent->slots = static_cast<int>(rng_.between(1, 3));
  agent->coordinator = static_cast<int>(rng_.below(kCoordinators));
  agents_.push_back(agent);
  sync_later(agent, milliseconds(rng_.between(0, 300)));
}

/// It is gone; another process of its name comes.
void World::replace(const AgentPtr& agent) {
  agent->is_dead = true;
  std::erase(agents_, agent);
  add_agent(agent->kind, agent->name);
}

void World::tell(const AgentPtr& agent, std::function<void()> what) {
  if (agent->is_dead) return;
  if (!agent->is_frozen) return what();
  agent->inbox.push_back([this, agent, what = std::move(what)] { tell(agent, what); });
}

void World::sync_later(const AgentPtr& agent, milliseconds time) {
  timeline_.after(time, [this, agent] { tell(agent, [this, agent] { sync(agent); }); });
}

AgentReport World::report_of(const Agent& agent) const {
  AgentReport report;
  report.agent.agent_id = agent.id;
  report.agent.name = agent.name;
  report.agent.kind = agent.kind;
  report.agent.slots = agent.slots;
  report.agent.runtimes = {"cpp"};
  report.agent.sandbox_level = 2;
  report.agent.models = {"small", "large"};
  for (const auto& [lease, attempt] : agent.attempts) {
    Progress progress;
    progress.lease = lease;
    report.running.push_back(progress);
  }
  report.released = agent.released;
  report.wanted = std::max(0, agent.slots - static_cast<int>(agent.attempts.size()));
  report.wait_max = report.wanted > 0 ? seconds(1) : seconds(0);
  report.is_draining = agent.slots == 0;
  return report;
}

void World::sync(const AgentPtr& agent) {
  if (agent->is_calling) return;
  agent->is_calling = true;
  const auto report = report_of(*agent);
  call<SyncAnswer>(
      agent->coordinator, seconds(4),
      [report](AgentDesk& desk, std::function<bool()> is_gone) {
        return desk.sync(report, std::move(is_gone));
      },
      [this, agent, released = report.released.size()](std::optional<Result<SyncAnswer>> answer) {
        tell(agent, [=, this] { take(agent, released, answer); });
      });
}

void World::take(const AgentPtr& agent, std::size_t released,
                 std::optional<Result<SyncAnswer>> answer) {
  agent->is_calling = false;
  if (!answer || !*answer) {
    agent->coordinator = (agent->coordinator + 1) % kCoordinators;
    return sync_later(agent, milliseconds(rng_.between(100, 900)));
  }
  const auto& said = **answer;
  agent->released.erase(agent->released.begin(),
                        agent->released.begin() + static_cast<std::ptrdiff_t>(released));
  for (const auto& lease : said.cancelled) counts_["cancelled"] += agent->attempts.erase(lease);
  for (const auto& assignment : said.assignments) {
    agent->attempts[assignment.lease] = {.assignment = assignment, .report = {}, .stamp = 0};
    work(agent, assignment.lease);
  }
  const bool is_busy = std::ssize(agent->attempts) >= agent->slots;
  sync_later(agent, is_busy ? kSyncInterval : milliseconds(said.assignments.empty() ? 200 : 1));
}

void World::work(const AgentPtr& agent, const Lease& lease) {
  // Some take longer than an attempt may.
  const auto time = rng_.chance(0.005) ? rng_.between(18'000, 25'000)
                                       : rng_.between(1, rng_.chance(0.1) ? 6'000 : 400);
  timeline_.after(milliseconds(time), [=, this] {
    tell(agent, [=, this] {
      const auto attempt = agent->attempts.find(lease);
      if (attempt == agent->attempts.end()) return;
      attempt->second.report = make_report(*agent, attempt->second);
      if (rng_.chance(lies_)) lie(agent, *attempt->second.report);
      send_report(agent, lease);
    });
  });
}

WorkReport World::make_report(const Agent& agent, Attempt& attempt) {
  const auto& lease = attempt.assignment.lease;
  const auto& campaign = database_.campaigns().at(attempt.assignment.campaign);
  const auto number = database_.items().at(lease.item).number;
  WorkReport report{.agent_id = agent.id, .lease = lease, .result = {}};
  if (std::holds_alternative<EvaluationWork>(attempt.assignment.work)) {
    const auto event = results_.result_of(campaign.evaluations.at(number), rng_);
    EvaluationResult result;
    result.outcome = event.outcome;
    result.metrics = event.metrics;
    result.metrics["stamp"] = attempt.stamp = ++stamps_;
    result.gpu_time_ms = event.gpu_time_ms;
    report.result = std::move(result);
    return report;
  }
  const auto event = results_.answer_to(campaign.proposals.at(number), rng_);
  ProposalResult result;
  result.outcome = event.variants.empty() ? ProposalOutcome::rejected : ProposalOutcome::success;
  if (event.is_quota_exhausted) result.outcome = ProposalOutcome::no_quota;
  if (event.variants.empty() && rng_.chance(0.3)) result.outcome = ProposalOutcome::infrastructure;
  for (const auto& variant : event.variants) {
    result.variants.push_back({.files = {},
                               .token_digest = variant.token_digest,
                               .source_tokens = variant.source_tokens,
                               .rationale = {}});
  }
  ModelCall call;
  call.prompt_tokens = event.tokens;
  call.cost_micro_usd = event.cost_micro_usd;
  result.calls.push_back(call);
  report.result = std::move(result);
  return report;
}

void World::send_report(const AgentPtr& agent, const Lease& lease) {
  const auto attempt = agent->attempts.find(lease);
  if (attempt == agent->attempts.end()) return;
  call<FinishState>(
      agent->coordinator, seconds(3),
      [report = *attempt->second.report](AgentDesk& desk, const std::function<bool()>&) {
        return desk.finish(report);
      },
      [=, this](std::optional<Result<FinishState>> answer) {
        tell(agent, [=, this] { take_verdict(agent, lease, answer); });
      });
}

void World::take_verdict(const AgentPtr& agent, const Lease& lease,
                         std::optional<Result<FinishState>> answer) {
  const auto attempt = agent->attempts.find(lease);
  if (attempt == agent->attempts.end()) return;
  if (!answer || !*answer) {
    expect(!answer || answer->error().code != Errc::invalid_argument, "an honest report is taken");
    agent->coordinator = (agent->coordinator + 1) % kCoordinators;
    return timeline_.after(milliseconds(rng_.between(50, 1'500)),
                           [=, this] { tell(agent, [=, this] { send_report(agent, lease); }); });
  }
  const auto verdict = (*answer)->verdict;
  const auto report = *attempt->second.report;
  const auto& stored = database_.items().at(lease.item).attempts.at(lease.epoch);
  // A failure of the agent is taken too, and does not count.
  if ((verdict == Verdict::accepted || verdict == Verdict::repeated) && stored.is_counted) {
    acknowledged_.push_back({.lease = lease, .stamp = attempt->second.stamp});
    if (rng_.chance(lies_)) repeat_differently(agent, report);
  }
  ++counts_["verdict_" + std::to_string(static_cast<int>(verdict))];
  agent->attempts.erase(attempt);
  sync_later(agent, milliseconds(1));
}

/// A report for something that is not its own, or of the wrong kind.
void World::lie(const AgentPtr& agent, const WorkReport& report) {
  auto lie = report;
  const auto kind = rng_.below(5);
  // What it names otherwise might be given to it before it is told.
  if (kind != 1) lie.agent_id = "somebody";
  switch (kind) {
    case 0: ++lie.lease.epoch; break;
    case 1: --lie.lease.epoch; break;
    case 2: lie.lease.item.value += rng_.between(1, 3); break;
    case 3: break;
    default:
      if (std::holds_alternative<EvaluationResult>(lie.result)) {
        lie.result = ProposalResult();
      } else {
        lie.result = EvaluationResult();
      }
  }
  if (kind == 1) {
    const auto& attempts = database_.items().at(lie.lease.item).attempts;
    const auto before = attempts.find(lie.lease.epoch);
    // Late, and true.
    if (before != attempts.end() && before->second.agent_id == lie.agent_id) return;
  }
  call<FinishState>(
      agent->coordinator, seconds(3),
      [lie](AgentDesk& desk, const std::function<bool()>&) { return desk.finish(lie); },
      [this](std::optional<Result<FinishState>> answer) {
        if (!answer || !*answer) return;
        const auto verdict = (*answer)->verdict;
        expect(verdict == Verdict::stale || verdict == Verdict::unknown, "a lie is refused");
        ++counts_["lie_refused"];
      });
}

/// Another result for what was reported before: the first one stays.
void World::repeat_differently(const AgentPtr& agent, const WorkReport& report) {
  auto other = report;
  if (auto* evaluation = std::get_if<EvaluationResult>(&other.result)) {
    evaluation->metrics["stamp"] = ++stamps_;
  } else {
    std::get<ProposalResult>(other.result).variants.clear();
  }
  call<FinishState>(
      agent->coordinator, seconds(3),
      [other](AgentDesk& desk, const std::function<bool()>&) { return desk.finish(other); },
      [this](std::optional<Result<FinishState>> answer) {
        if (!answer || !*answer) return;
        expect((*answer)->verdict == Verdict::repeated, "a result is stored once");
        ++counts_["repeated_differently"];
      });
}

}  // namespace cambrian::coordinator::simulation
