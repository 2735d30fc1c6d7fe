#include "coordinator/journal/replay.hpp"

#include <catch2/catch_test_macros.hpp>
#include <functional>

#include "tests/unit/coordinator/search_driver.hpp"

namespace cambrian::coordinator::journal {
namespace {

using search::PolicyKind;

struct Logged {
  std::string type;
  Json payload;
};

/// A log as the driver writes it: some inputs, then all that the search made of them.
class Log {
 public:
  explicit Log(search::Settings settings) : settings_(settings), search_(std::move(settings)) {}

  void send(const search::Event& event) {
    Json payload = to_json(event);
    if (events_.empty()) payload["settings"] = to_json(settings_);
    events_.push_back({type_of(event), std::move(payload)});
    for (const auto& command : search_.handle(event)) {
      if (auto derived = derived_of(command)) waiting_.push_back(std::move(*derived));
    }
    if (++sent_ % 3 == 0 || search_.phase() == search::Phase::ended) flush();
  }

  /// A whole campaign of random answers, a pause and a few failures among them.
  static std::vector<Logged> make(PolicyKind policy) {
    auto settings = search::settings_of(policy);
    settings.operators = {{search::Operator::diff, 0.6}, {search::Operator::crossover, 0.4}};
    settings.children = 4;
    settings.evaluations_parallel = 4;
    settings.proposals_parallel = 2;
    settings.budget.evaluations = 60;
    settings.confirm_sigma = 1;
    Log log(settings);
    Rng rng(11);
    log.send(search::Started{"seed", 10});
    while (log.search_.phase() != search::Phase::ended) log.step(rng);
    return log.events_;
  }

 private:
  void step(Rng& rng) {
    if (rng.chance(0.05)) {
      send(search::PauseRequested{});
      return send(search::ResumeRequested{});
    }
    const auto proposals = search_.open_proposals();
    if (!proposals.empty() && rng.chance(0.6)) {
      return send(search::ProposalFinished{
          rng.pick(proposals), {{"d" + std::to_string(rng.below(80)), rng.between(1, 80)}}, 7});
    }
    const auto evaluations = search_.open_evaluations();
    if (evaluations.empty()) return;
    search::EvaluationFinished result;
    result.evaluation = rng.pick(evaluations);
    result.metrics = {{"accuracy", rng.uniform()}, {"third", 1.0 / 3}};
    if (rng.chance(0.2)) result.outcome = search::Outcome::crash;
    if (result.evaluation.value == 1) result.outcome = search::Outcome::success;
    send(result);
  }

  void flush() {
    for (auto& derived : waiting_) events_.push_back({derived.type, derived.payload});
    waiting_.clear();
  }

  search::Settings settings_;
  search::Search search_;
  std::vector<Logged> events_;
  std::vector<Derived> waiting_;
  int sent_ = 0;
};

Replay replayed(const std::vector<Logged>& events, std::size_t count) {
  Replay replay;
  for (std::size_t i = 0; i < count; ++i) {
    const Status status =
        replay.take(static_cast<std::int64_t>(i) + 1, events[i].type, events[i].payload.dump());
    INFO((status ? "" : status.error().message));
    REQUIRE(status);
  }
  replay.finish();
  return replay;
}

Replay replayed(const std::vector<Logged>& events) { return replayed(events, events.size()); }

std::size_t find_type(const std::vector<Logged>& events, const std::string& type,
                      const std::function<bool(const Json&)>& fits) {
  for (std::size_t i = events.size(); i-- > 0;) {
    if (events[i].type == type && fits(events[i].payload)) return i;
  }
  FAIL("no such event: " << type);
  return 0;
}

bool always(const Json& /*payload*/) { return true; }

TEST_CASE("Replay: the log of a campaign repeats itself", "[unit][coordinator]") {
  for (const auto policy : {PolicyKind::random, PolicyKind::hill_climb, PolicyKind::islands,
                            PolicyKind::sequential, PolicyKind::pareto, PolicyKind::clade}) {
    const auto events = Log::make(policy);
    const Replay replay = replayed(events);
    INFO((replay.difference() ? replay.difference()->recorded : ""));
    CHECK_FALSE(replay.difference());
    CHECK(replay.has_ended());
    CHECK(replay.inputs() + replay.derived() == static_cast<std::int64_t>(events.size()));
    CHECK(replay.derived() > 120);
  }
}

TEST_CASE("Replay: a running campaign agrees so far, wherever its log ends",
          "[unit][coordinator]") {
  const auto events = Log::make(PolicyKind::islands);
  for (std::size_t count = 1; count < events.size(); count += 7) {
    const Replay replay = replayed(events, count);
    CHECK_FALSE(replay.difference());
    CHECK_FALSE(replay.has_ended());
  }
}

TEST_CASE("Replay: finds a single changed field", "[unit][coordinator]") {
  const auto events = Log::make(PolicyKind::islands);
  const auto check = [&](const std::string& type, const char* field, const Json& value,
                         const std::function<bool(const Json&)>& fits = always) {
    auto changed = events;
    const std::size_t place = find_type(events, type, fits);
    changed[place].payload[field] = value;
    const Replay replay = replayed(changed);
    INFO(type << "." << field);
    REQUIRE(replay.difference());
    CHECK(replay.difference()->sequence == static_cast<std::int64_t>(place) + 1);
    CHECK(replay.difference()->recorded != replay.difference()->derived);
  };
  const auto is_child = [](const Json& payload) { return payload.contains("proposal"); };
  check("variant_added", "parents", {99}, is_child);
  check("variant_added", "island", 7, is_child);
  check("variant_added", "generation", 99);
  check("variant_added", "operator", "rewrite", is_child);
  check("variant_added", "duplicate_of", 3,
        [](const Json& payload) { return !payload.contains("duplicate_of"); });
  check("variant_settled", "score", 0.123);
  check("variant_settled", "state", "pending");
  check("best_changed", "variant", 99);
  check("phase_changed", "reason", "user");
}

TEST_CASE("Replay: finds events that are missing or too many", "[unit][coordinator]") {
  const auto events = Log::make(PolicyKind::hill_climb);
  auto missing = events;
  missing.erase(missing.begin() +
                static_cast<std::ptrdiff_t>(find_type(events, "best_changed", always)));
  CHECK(replayed(missing).difference());

  auto surplus = events;
  surplus.push_back({"best_changed", {{"variant", 1}, {"score", 1}}});
  REQUIRE(replayed(surplus).difference());
  CHECK(replayed(surplus).difference()->derived.empty());

  // An input that was changed leads elsewhere.
  auto other = events;
  const std::size_t place = find_type(events, "evaluation_finished", [](const Json& payload) {
    return payload["outcome"] == "success" && payload["evaluation"] < 20;
  });
  other[place].payload["outcome"] = "crash";
  CHECK(replayed(other).difference());
}

TEST_CASE("Replay: content and fields of newer versions are no difference", "[unit][coordinator]") {
  auto events = Log::make(PolicyKind::random);
  for (auto& event : events) event.payload["unheard_of"] = 1;
  CHECK_FALSE(replayed(events).difference());
}

TEST_CASE("Replay: refuses what is no log", "[unit][coordinator]") {
  const auto events = Log::make(PolicyKind::random);
  const auto created = events[0].payload;
  const auto code_of = [](const Status& status) {
    return status ? std::nullopt : std::optional(status.error().code);
  };
  CHECK(code_of(Replay().take(1, "pause_requested", "{}")) == Errc::invalid_argument);
  CHECK(code_of(Replay().take(2, "campaign_created", created.dump())) == Errc::invalid_argument);
  CHECK(code_of(Replay().take(1, "campaign_created", "{")) == Errc::invalid_argument);
  Json without = created;
  without.erase("settings");
  const Status old = Replay().take(1, "campaign_created", without.dump());
  REQUIRE_FALSE(old);
  CHECK(old.error().message.find("did not record settings") != std::string::npos);
  Json bad = created;
  bad["settings"]["repeats"] = 0;
  CHECK(code_of(Replay().take(1, "campaign_created", bad.dump())) == Errc::invalid_argument);

  Replay replay;
  REQUIRE(replay.take(1, "campaign_created", created.dump()));
  CHECK(code_of(replay.take(3, "pause_requested", "{}")) == Errc::invalid_argument);
  Replay other;
  REQUIRE(other.take(1, "campaign_created", created.dump()));
  CHECK(code_of(other.take(2, "unheard_of", "{}")) == Errc::invalid_argument);
}

}  // namespace
}  // namespace cambrian::coordinator::journal
