#include "coordinator/adapters/postgres/gather.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "coordinator/adapters/postgres/claim_hints.hpp"

using namespace cambrian;
using namespace cambrian::coordinator;
using namespace cambrian::coordinator::postgres;
namespace asio = boost::asio;

namespace {

using Numbers = std::vector<int>;
using Doubler = Gather<int, int>;

constexpr int kPoison = 13;

/// Doubles numbers, one transaction after the other, each of which lasts until `turn` is called.
struct Bench {
  explicit Bench(Doubler::Limits limits)
      : gather(limits, [this](Numbers numbers) { return run(std::move(numbers)); }) {}

  asio::awaitable<Result<Numbers>> run(Numbers numbers) {
    batches.push_back(numbers);
    asio::steady_timer gate(context, asio::steady_timer::time_point::max());
    gates.push_back(&gate);
    co_await gate.async_wait(asio::as_tuple(asio::use_awaitable));
    if (failure) co_return fail(*failure, "planned");
    for (auto& number : numbers) {
      if (number == kPoison) co_return fail(Errc::invalid_argument, "poison");
      number *= 2;
    }
    co_return numbers;
  }

  void ask(int number) {
    asio::co_spawn(context, gather.ask(number),
                   [this, number](const std::exception_ptr& thrown, Result<int> answer) {
                     if (thrown) std::rethrow_exception(thrown);
                     answers.push_back(answer
                                           ? std::to_string(number) + ":" + std::to_string(*answer)
                                           : std::to_string(number) + ":failed");
                   });
    context.restart();
    context.poll();
  }

  /// Ends the transaction that runs longest.
  void turn() {
    REQUIRE(!gates.empty());
    gates.front()->cancel();
    gates.erase(gates.begin());
    context.restart();
    context.poll();
  }

  /// Lets time pass.
  void run_until(const std::function<bool()>& is_so) {
    context.restart();
    while (!is_so() && context.run_one() > 0) continue;
    REQUIRE(is_so());
  }

  asio::io_context context;
  std::vector<Numbers> batches;
  std::vector<std::string> answers;
  std::vector<asio::steady_timer*> gates;
  std::optional<Errc> failure;
  Doubler gather;
};

}  // namespace

TEST_CASE("gather: the first call goes alone, those that come meanwhile go together",
          "[unit][coordinator]") {
  Bench bench({.parallel = 1, .together = 3});
  for (int i = 1; i <= 6; ++i) bench.ask(i);
  CHECK(bench.batches == std::vector<Numbers>{{1}});
  bench.turn();
  CHECK(bench.batches.back() == Numbers{2, 3, 4});
  bench.turn();
  CHECK(bench.batches.back() == Numbers{5, 6});
  bench.turn();
  CHECK(bench.answers == std::vector<std::string>{"1:2", "2:4", "3:6", "4:8", "5:10", "6:12"});
  bench.ask(7);
  CHECK(bench.batches.back() == Numbers{7});
  bench.turn();
  CHECK(bench.answers.back() == "7:14");
}

TEST_CASE("gather: as many transactions run at once as may", "[unit][coordinator]") {
  Bench bench({.parallel = 2});
  for (int i = 1; i <= 5; ++i) bench.ask(i);
  CHECK(bench.batches == std::vector<Numbers>{{1}, {2}});
  bench.turn();
  CHECK(bench.batches.back() == Numbers{3, 4, 5});
  bench.ask(6);
  CHECK(bench.batches.size() == 3);
  bench.turn();
  CHECK(bench.batches.back() == Numbers{6});
  bench.turn();
  bench.turn();
  CHECK(bench.answers.size() == 6);
}

TEST_CASE("gather: a second transaction runs beside one that takes long, and only then",
          "[unit][coordinator]") {
  Bench patient({.parallel = 2, .patience = std::chrono::hours(1)});
  for (int i = 1; i <= 4; ++i) patient.ask(i);
  CHECK(patient.batches == std::vector<Numbers>{{1}});
  patient.turn();
  CHECK(patient.batches.back() == Numbers{2, 3, 4});

  Bench bench({.parallel = 2, .patience = std::chrono::milliseconds(20)});
  bench.ask(1);
  bench.ask(2);
  bench.ask(3);
  CHECK(bench.batches == std::vector<Numbers>{{1}});
  bench.run_until([&bench] { return bench.batches.size() == 2; });
  CHECK(bench.batches.back() == Numbers{2, 3});
  bench.ask(4);
  CHECK(bench.batches.size() == 2);
  // The one that hangs is no reason to wait for whoever comes behind the other.
  std::swap(bench.gates[0], bench.gates[1]);
  bench.turn();
  CHECK(bench.batches.back() == Numbers{4});
  bench.turn();
  bench.turn();
  CHECK(bench.answers.size() == 4);
}

TEST_CASE(
    "gather: behind a transaction others wait for company as long as it took, unless they are"
    " enough",
    "[unit][coordinator]") {
  Bench bench({.parallel = 1, .together = 3, .rest = 1});
  const auto took = std::chrono::milliseconds(15);
  bench.ask(1);
  std::this_thread::sleep_for(took);
  bench.turn();
  const auto end = std::chrono::steady_clock::now();
  bench.ask(2);
  bench.ask(3);
  CHECK(bench.batches == std::vector<Numbers>{{1}});
  bench.run_until([&bench] { return bench.batches.size() == 2; });
  CHECK(std::chrono::steady_clock::now() - end >= took - std::chrono::milliseconds(1));
  CHECK(bench.batches.back() == Numbers{2, 3});
  std::this_thread::sleep_for(took);
  bench.turn();
  for (int i = 4; i <= 6; ++i) bench.ask(i);
  CHECK(bench.batches.back() == Numbers{4, 5, 6});
  // However long it took: nobody waits for longer than that.
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  bench.turn();
  const auto late = std::chrono::steady_clock::now();
  bench.ask(7);
  bench.run_until([&bench] { return bench.batches.size() == 4; });
  CHECK(std::chrono::steady_clock::now() - late < std::chrono::milliseconds(250));
  bench.turn();
  CHECK(bench.answers.size() == 7);
}

TEST_CASE("gather: one bad request does not fail the others", "[unit][coordinator]") {
  Bench bench({.parallel = 1});
  bench.ask(1);
  for (const int number : {2, kPoison, 3}) bench.ask(number);
  bench.turn();
  bench.turn();  // The three together: refused.
  for (int i = 0; i < 3; ++i) bench.turn();
  CHECK(bench.answers == std::vector<std::string>{"1:2", "2:4", "13:failed", "3:6"});
}

TEST_CASE("gather: when the database is away nobody is tried again alone", "[unit][coordinator]") {
  for (const auto code : {Errc::unavailable, Errc::outcome_unknown, Errc::exhausted}) {
    Bench bench({.parallel = 1});
    bench.ask(1);
    bench.ask(2);
    bench.ask(3);
    bench.turn();
    bench.failure = code;
    bench.turn();
    CHECK(bench.answers == std::vector<std::string>{"1:2", "2:failed", "3:failed"});
    CHECK(bench.gates.empty());
  }
}

TEST_CASE("gather: too many that wait are refused", "[unit][coordinator]") {
  Bench bench({.parallel = 1, .together = 64, .waiting = 2});
  for (int i = 1; i <= 4; ++i) bench.ask(i);
  CHECK(bench.answers == std::vector<std::string>{"4:failed"});
  bench.turn();
  bench.turn();
  CHECK(bench.answers.size() == 4);
}

TEST_CASE("claim_hints: a claim begins where the last one found something, once in a while anew",
          "[unit][coordinator]") {
  ClaimHints hints;
  const std::vector<CampaignId> campaigns = {CampaignId{1}, CampaignId{2}};
  auto now = ClaimHints::Clock::time_point() + ClaimHints::kLookInterval * 10;
  CHECK(hints.starts("cpp", campaigns, now) == std::vector<std::int64_t>{0, 0});
  hints.note("cpp", CampaignId{2}, ItemId{40});
  hints.note("cpp", CampaignId{2}, ItemId{30});
  CHECK(hints.starts("cpp", campaigns, now) == std::vector<std::int64_t>{0, 40});
  CHECK(hints.starts("python", campaigns, now) == std::vector<std::int64_t>{0, 0});
  now += ClaimHints::kLookInterval;
  CHECK(hints.starts("cpp", campaigns, now) == std::vector<std::int64_t>{0, 0});
}
