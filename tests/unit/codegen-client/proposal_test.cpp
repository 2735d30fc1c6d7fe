#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <condition_variable>
#include <mutex>
#include <string>

#include "codegen-client/app/proposal_handler.hpp"
#include "common/source/token_digest.hpp"
#include "tests/unit/codegen-client/fakes.hpp"

using namespace cambrian::codegen;

namespace {

const std::string kParent =
    "// EVOLVE-BLOCK-START\nint rate = 1;\nint width = 8;\n// EVOLVE-BLOCK-END\n";

std::string edit(const std::string& search, const std::string& replace) {
  return "Try it.\n<<<<<<< SEARCH\n" + search + "\n=======\n" + replace + "\n>>>>>>> REPLACE\n";
}

struct Bench {
  explicit Bench(std::deque<Sending> script,
                 EndpointSettings settings = {.name = "e", .models = {"m"}})
      : model(std::move(script)),
        endpoint(std::move(settings), model, clock, observer, 1),
        handler({&endpoint}, store, clock, observer) {
    store.task = {.name = "t",
                  .description = "d",
                  .objectives = {{.metric = "score"}},
                  .evolve = {"a.cpp"},
                  .source_bytes_max = 4096};
    proposal.task_digest = "task";
    proposal.seed = 7;
    proposal.output_tokens = 500;
    proposal.parents.push_back({.files = {{"a.cpp", store.add(kParent)}}, .program = {}});
  }

  cambrian::Result<ProposalReport> run() {
    return handler.handle(proposal, ledger, [](const char*) {}, stop.get_token());
  }
  ProposalReport report() {
    auto result = run();
    REQUIRE(result);
    return *result;
  }

  ManualClock clock;
  RecordingObserver observer;
  ScriptedModel model;
  Endpoint endpoint;
  MemoryStore store;
  MemoryLedger ledger;
  ProposalHandler handler;
  Proposal proposal;
  std::stop_source stop;
};

}  // namespace

TEST_CASE("proposal: an edit becomes a variant, and everything is to be stored",
          "[unit][proposal]") {
  const std::string answer = edit("int rate = 1;", "int rate = 2;");
  Bench bench({reply_of(answer)});
  const auto report = bench.report();
  CHECK(report.outcome == ProposalOutcome::success);
  REQUIRE(report.variants.size() == 1);
  const NewVariant& variant = report.variants[0];
  REQUIRE(report.contents.size() == 2);
  CHECK(report.contents[0] == answer);
  const std::string& source = report.contents[1];
  CHECK(variant.files.at("a.cpp") == cambrian::sha256_hex(source));
  CHECK(source.find("int rate = 2;") != std::string::npos);
  const auto tokens =
      cambrian::source::token_digest({{"a.cpp", source}}, cambrian::source::Language::cpp);
  CHECK(variant.token_digest == tokens.digest);
  CHECK(variant.source_tokens == tokens.count);
  CHECK(variant.rationale == "Try it.");
  REQUIRE(report.calls.size() == 1);
  CHECK(report.calls[0].answer_digest == cambrian::sha256_hex(answer));
  CHECK(report.rejections.empty());
}

TEST_CASE("proposal: several variants are several requests that differ in their seed",
          "[unit][proposal]") {
  Bench bench({reply_of(edit("int rate = 1;", "int rate = 2;")),
               reply_of(edit("int rate = 1;", "int rate = 3;")),
               reply_of(edit("int rate = 1;", "int rate = 2; // the same"))});
  bench.proposal.variants = 3;
  const auto report = bench.report();
  CHECK(report.variants.size() == 2);
  CHECK(report.calls.size() == 3);
  REQUIRE(report.rejections.size() == 1);
  CHECK(report.rejections[0].find("same program") != std::string::npos);
  // Each answer was judged once.
  CHECK(bench.observer.rejections.size() == 3);
  CHECK(std::count(bench.observer.rejections.begin(), bench.observer.rejections.end(),
                   RejectionKind::duplicate) == 1);
  REQUIRE(bench.model.requests.size() == 3);
  std::vector<std::int64_t> seeds;
  for (const auto& request : bench.model.requests) {
    seeds.push_back(request.seed);
    CHECK(request.seed >= 0);
    CHECK(request.messages[1].content.ends_with(
        "## Variation seed: " + std::to_string(request.seed) + "\n"));
  }
  std::sort(seeds.begin(), seeds.end());
  CHECK(std::unique(seeds.begin(), seeds.end()) == seeds.end());
  // The same proposal asks with the same seeds again.
  Bench again({reply_of(edit("int rate = 1;", "int rate = 2;"))});
  again.proposal.variants = 3;
  again.report();
  std::vector<std::int64_t> seeds_again;
  for (const auto& request : again.model.requests) seeds_again.push_back(request.seed);
  std::sort(seeds_again.begin(), seeds_again.end());
  CHECK(seeds_again == seeds);
}

TEST_CASE("proposal: a rejection goes back to the model once", "[unit][proposal]") {
  Bench bench({reply_of(edit("int speed = 1;", "int speed = 2;")),
               reply_of(edit("int rate = 1;", "int rate = 2;"))});
  const auto report = bench.report();
  CHECK(report.outcome == ProposalOutcome::success);
  CHECK(report.calls.size() == 2);
  CHECK(report.rejections.size() == 1);
  REQUIRE(bench.model.requests.size() == 2);
  const auto& messages = bench.model.requests[1].messages;
  REQUIRE(messages.size() == 4);
  CHECK(messages[2].role == Role::assistant);
  CHECK(messages[3].content.find(report.rejections[0]) != std::string::npos);
}

TEST_CASE("proposal: follow-ups end", "[unit][proposal]") {
  Bench bench({reply_of("I have no idea.")});
  bench.proposal.variants = 8;
  const auto report = bench.report();
  CHECK(report.outcome == ProposalOutcome::rejected);
  CHECK(report.calls.size() == 8 + ProposalHandler::kFollowUpsMax);
  CHECK(report.rejections.size() <= kRejectionsMax);
}

TEST_CASE("proposal: a truncated answer is never applied", "[unit][proposal]") {
  Bench bench({reply_of(edit("int rate = 1;", "int rate = 2;"), FinishReason::length)});
  const auto report = bench.report();
  CHECK(report.outcome == ProposalOutcome::truncated);
  CHECK(report.variants.empty());
  CHECK(report.calls.size() == 1);
}

TEST_CASE("proposal: a refusal of the model has its own outcome", "[unit][proposal]") {
  Sending refusal = reply_of("");
  std::get<ChatReply>(refusal.outcome).refusal = "I cannot help with that.";
  CHECK(Bench({refusal}).report().outcome == ProposalOutcome::refused);
  CHECK(Bench({reply_of("x", FinishReason::content_filter)}).report().outcome ==
        ProposalOutcome::refused);
}

TEST_CASE("proposal: an empty account, a dead endpoint", "[unit][proposal]") {
  CHECK(Bench({failure_of(FailureKind::no_quota)}).report().outcome == ProposalOutcome::no_quota);
  const auto dead = Bench({failure_of(FailureKind::connect)}).report();
  CHECK(dead.outcome == ProposalOutcome::infrastructure);
  REQUIRE(dead.calls.size() == 1);
  CHECK(dead.calls[0].finish_reason == "error");
  CHECK(dead.calls[0].retries == 2);
}

TEST_CASE("proposal: one variant is enough for success", "[unit][proposal]") {
  Bench bench({reply_of("no"), failure_of(FailureKind::refused_request),
               reply_of(edit("int rate = 1;", "int rate = 2;"))});
  bench.proposal.variants = 3;
  CHECK(bench.report().outcome == ProposalOutcome::success);
}

TEST_CASE("proposal: the reserve bounds prompt and calls", "[unit][proposal]") {
  Bench bench({reply_of(edit("int rate = 1;", "int rate = 2;"))});
  bench.proposal.variants = 10;
  bench.proposal.tokens_reserved = 2500;
  const auto report = bench.report();
  CHECK(bench.model.requests.size() >= 1);
  CHECK(bench.model.requests.size() <= 3);
  bench.proposal.tokens_reserved = 600;
  const auto too_little = bench.report();
  CHECK(too_little.outcome == ProposalOutcome::rejected);
  CHECK(too_little.calls.empty());
  CHECK(too_little.rejections.size() == 1);
}

TEST_CASE("proposal: money bounds the calls", "[unit][proposal]") {
  Bench bench({reply_of(edit("int rate = 1;", "int rate = 2;"))},
              {.name = "e", .models = {"m"}, .prices = {.completion_usd_per_million = 10}});
  bench.proposal.variants = 10;
  bench.proposal.cost_reserved_micro_usd = 12'000;  // Two answers of 500 tokens, and a rest.
  bench.report();
  CHECK(bench.model.requests.size() == 2);
  bench.proposal.cost_reserved_micro_usd = 1;
  CHECK(bench.report().outcome == ProposalOutcome::rejected);
}

TEST_CASE("proposal: what is sent again stays within the reserve", "[unit][proposal]") {
  const std::string answer = edit("int rate = 1;", "int rate = 2;");
  const auto sent = [&](std::int64_t tokens, std::int64_t cost) {
    Bench bench({failure_of(FailureKind::cut), failure_of(FailureKind::cut), reply_of(answer)},
                {.name = "e", .models = {"m"}, .prices = {.completion_usd_per_million = 10}});
    bench.proposal.tokens_reserved = tokens;
    bench.proposal.cost_reserved_micro_usd = cost;
    const auto report = bench.report();
    std::int64_t spent = 0;
    for (const CallRecord& call : report.calls) {
      spent += call.usage.prompt_tokens + call.usage.completion_tokens;
    }
    const bool is_within = tokens == 0 || spent <= tokens;
    CHECK(is_within);
    if (report.outcome == ProposalOutcome::infrastructure) {
      CHECK(report.rejections.at(0).find("not sent again: the reserve") != std::string::npos);
    }
    return bench.model.requests.size();
  };
  CHECK(sent(0, 0) == 3);
  // Room for one prompt of some 500 tokens with an answer of 500, which may all have been charged.
  CHECK(sent(1600, 0) == 1);
  CHECK(sent(0, 6'000) == 1);
  CHECK(sent(0, 11'000) == 2);
}

TEST_CASE("proposal: one call that hangs does not take the others along", "[unit][proposal]") {
  /// The first request waits until the others are answered and the time is over.
  struct Hanging : ChatModel {
    explicit Hanging(std::string text) : answer(std::move(text)) {}
    Sending send(const ChatRequest&, std::stop_token stop) override {
      std::unique_lock lock(mutex);
      const int own = ++count;
      if (own > 1) {
        ++answered;
        changed.notify_all();
        return reply_of(answer + std::string(static_cast<std::size_t>(own), ' '));
      }
      changed.wait(lock, [this] { return answered == 3; });
      is_time_over = true;
      changed.notify_all();
      changed.wait(lock, stop, [] { return false; });
      return failure_of(FailureKind::cancelled);
    }
    std::string answer;
    std::mutex mutex;
    std::condition_variable_any changed;
    int count = 0;
    int answered = 0;
    bool is_time_over = false;
  };
  /// Time passes when the model says so.
  struct HeldClock : ManualClock {
    explicit HeldClock(Hanging& hanging) : model(hanging) {}
    bool wait(std::chrono::nanoseconds duration, std::stop_token stop) override {
      waited = duration;
      std::unique_lock lock(model.mutex);
      return model.changed.wait(lock, stop, [this] { return model.is_time_over; });
    }
    Hanging& model;
    std::chrono::nanoseconds waited{};
  };
  Bench bench({reply_of("x")});
  Hanging model(edit("int rate = 1;", "int rate = 2;"));
  HeldClock clock(model);
  Endpoint endpoint({.name = "e", .models = {"m"}}, model, bench.clock, bench.observer, 1);
  ProposalHandler handler({&endpoint}, bench.store, clock, bench.observer);
  bench.proposal.variants = 4;
  bench.proposal.time_max = std::chrono::seconds(900);
  const auto run = [&] {
    return handler.handle(bench.proposal, bench.ledger, [](const char*) {}, {});
  };
  const auto report = run();
  REQUIRE(report);
  CHECK(clock.waited == std::chrono::seconds(900) - ProposalHandler::kReportTime);
  CHECK(report->outcome == ProposalOutcome::success);
  CHECK(report->calls.size() == 4);
  CHECK(report->rejections.back().find("the time for the calls was over") != std::string::npos);
  // With no answer at all it is our failure, not a lease that is given back.
  bench.proposal.variants = 1;
  model.count = 0;
  const auto none = run();
  REQUIRE(none);
  CHECK(none->outcome == ProposalOutcome::infrastructure);
  REQUIRE(none->calls.size() == 1);
  CHECK(none->calls[0].is_outcome_unknown);
}

TEST_CASE("proposal: what is missing ends it as our failure", "[unit][proposal]") {
  Bench bench({reply_of("x")});
  bench.proposal.task_digest = "other";
  CHECK(bench.report().outcome == ProposalOutcome::infrastructure);
  Bench unknown_model({reply_of("x")});
  unknown_model.proposal.model = "another";
  const auto report = unknown_model.report();
  CHECK(report.outcome == ProposalOutcome::infrastructure);
  CHECK(report.rejections.at(0).find("model=another") != std::string::npos);
}

TEST_CASE("proposal: another endpoint with the model takes over from a dead one",
          "[unit][proposal]") {
  Bench bench({failure_of(FailureKind::connect)});
  ScriptedModel spare_model({reply_of(edit("int rate = 1;", "int rate = 2;"))});
  Endpoint spare({.name = "spare", .models = {"m"}}, spare_model, bench.clock, bench.observer, 1);
  ProposalHandler handler({&bench.endpoint, &spare}, bench.store, bench.clock, bench.observer);
  const auto run = [&] {
    return handler.handle(bench.proposal, bench.ledger, [](const char*) {}, {});
  };
  CHECK(run()->outcome == ProposalOutcome::infrastructure);  // Three failures of five.
  CHECK(run()->outcome == ProposalOutcome::infrastructure);
  while (bench.endpoint.is_available()) REQUIRE(run());
  const auto report = run();
  REQUIRE(report);
  CHECK(report->outcome == ProposalOutcome::success);
  CHECK(report->calls.at(0).endpoint == "spare");
}

TEST_CASE("proposal: a stop before any answer gives the lease back", "[unit][proposal]") {
  Bench bench({reply_of("x")});
  bench.stop.request_stop();
  const auto report = bench.run();
  REQUIRE_FALSE(report);
  CHECK(report.error().code == cambrian::Errc::cancelled);
}
