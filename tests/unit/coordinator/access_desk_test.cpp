#include "coordinator/app/access_desk.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_test_macros.hpp>
#include <exception>
#include <utility>

#include "common/digest/token.hpp"

using namespace cambrian;
using namespace cambrian::coordinator;
namespace asio = boost::asio;

namespace {

class FakeTokenStore final : public TokenStore {
 public:
  std::vector<TokenRecord> records;
  bool is_away = false;
  int looks = 0;

  awaitable<Result<TokenRecord>> create(TokenDefinition) override { co_return TokenRecord(); }
  awaitable<Result<std::vector<TokenRecord>>> list() override {
    ++looks;
    if (is_away) co_return fail(Errc::unavailable, "the database is away");
    co_return records;
  }
  awaitable<Result<std::vector<TokenRecord>>> revoke(std::string) override { co_return records; }
  awaitable<Status> note_used(std::vector<std::string>) override { co_return Status(); }
};

struct Bench {
  asio::io_context context;
  FakeTokenStore store;
  Hub hub;
  AccessDesk desk{store, hub, true};

  /// Stores a token and returns its text.
  std::string add(Role role, std::optional<milliseconds> left = {}) {
    auto token = make_token();
    store.records.push_back({.id = token.id,
                             .name = "alice",
                             .role = role,
                             .sha256 = token.sha256,
                             .created_at = {},
                             .expires_at = {},
                             .last_used_at = {},
                             .revoked_at = {},
                             .time_left = left});
    return token.text.reveal();
  }

  void run(awaitable<void> call) {
    asio::co_spawn(context, std::move(call), [](const std::exception_ptr& failure) {
      if (failure) std::rethrow_exception(failure);
    });
    context.restart();
    context.run();
  }

  Result<Identity> identify(const std::string& text) {
    Result<Identity> result = fail(Errc::internal, "it did not end");
    asio::co_spawn(context, desk.identify(Secret(text)),
                   [&](const std::exception_ptr& failure, Result<Identity> identity) {
                     if (failure) std::rethrow_exception(failure);
                     result = std::move(identity);
                   });
    context.restart();
    context.run();
    return result;
  }

  TokenProblem problem_of(const std::string& text) { return identify(text)->problem; }
};

}  // namespace

TEST_CASE("access_desk: without tokens everybody is an administrator", "[unit][coordinator]") {
  Bench bench;
  AccessDesk open(bench.store, bench.hub, false);
  CHECK(open.problem_of(Caller()) == TokenProblem::none);
  CHECK(Caller().role == Role::admin);
  CHECK(bench.desk.problem_of(Caller()) == TokenProblem::unknown);
}

TEST_CASE("access_desk: tells good tokens from others", "[unit][coordinator]") {
  Bench bench;
  const auto good = bench.add(Role::worker);
  const auto over = bench.add(Role::user, milliseconds(-1));
  const auto revoked = bench.add(Role::user);
  bench.store.records.back().revoked_at = Instant();
  const auto identity = bench.identify(good);
  REQUIRE(identity.has_value());
  CHECK(identity->problem == TokenProblem::none);
  CHECK(identity->caller.name == "alice");
  CHECK(identity->caller.role == Role::worker);
  CHECK(bench.problem_of("") == TokenProblem::missing);
  CHECK(bench.problem_of("hello") == TokenProblem::malformed);
  CHECK(bench.problem_of(over) == TokenProblem::expired);
  CHECK(bench.problem_of(revoked) == TokenProblem::revoked);
  // The right id with another secret must not even say that the id exists.
  auto forged = good;
  forged.back() = forged.back() == '0' ? '1' : '0';
  CHECK(bench.problem_of(forged) == TokenProblem::unknown);
  auto forged_over = over;
  forged_over.back() = forged_over.back() == '0' ? '1' : '0';
  CHECK(bench.problem_of(forged_over) == TokenProblem::unknown);
  CHECK(bench.store.looks == 1);
}

TEST_CASE("access_desk: a token that was just made is found, a revoked one ends",
          "[unit][coordinator]") {
  Bench bench;
  const auto first = bench.add(Role::user);
  const auto caller = bench.identify(first)->caller;
  const auto second = bench.add(Role::user);
  CHECK(bench.problem_of(second) == TokenProblem::none);
  CHECK(bench.desk.problem_of(caller) == TokenProblem::none);
  bench.store.records.front().revoked_at = Instant();
  const auto topic = Topic::work(WorkKind::evaluation);
  const auto seen = bench.hub.version(topic);
  bench.run(bench.desk.refresh());
  CHECK(bench.desk.problem_of(caller) == TokenProblem::revoked);
  CHECK(bench.problem_of(first) == TokenProblem::revoked);
  CHECK(bench.hub.version(topic) != seen);  // Who waited with it is woken.
  bench.store.records.clear();
  bench.run(bench.desk.refresh());
  CHECK(bench.desk.problem_of(caller) == TokenProblem::unknown);
}

TEST_CASE("access_desk: known tokens stay good while the database is away", "[unit][coordinator]") {
  Bench bench;
  const auto known = bench.add(Role::worker);
  REQUIRE(bench.problem_of(known) == TokenProblem::none);
  bench.store.is_away = true;
  CHECK(bench.problem_of(known) == TokenProblem::none);
  const auto other = bench.identify(make_token().text.reveal());
  REQUIRE_FALSE(other.has_value());  // Not "unknown": an agent would end for good.
  CHECK(other.error().code == Errc::unavailable);
}
