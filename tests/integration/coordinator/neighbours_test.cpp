#include "coordinator/adapters/postgres/neighbours.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <catch2/catch_test_macros.hpp>
#include <mutex>

#include "tests/integration/coordinator/fixture.hpp"
#include "tests/support/postgres.hpp"

using namespace cambrian;
using namespace cambrian::coordinator;
using namespace cambrian::test;

namespace {

namespace asio = boost::asio;

/// One coordinator's ear and voice.
class Listener {
 public:
  Listener(const std::string& database, const std::string& name)
      : database_({.connection = database}, registry_),
        neighbours_(database_, database, name, [this](News news) {
          const std::lock_guard lock(mutex_);
          heard_.push_back(std::move(news));
        }) {}

  std::vector<News> heard() const {
    const std::lock_guard lock(mutex_);
    return heard_;
  }
  Result<bool> are_there() { return await(neighbours_.are_there()); }
  Status tell(News news) { return await(neighbours_.tell(std::move(news))); }

 private:
  template <class T>
  T await(awaitable<T> call) {
    asio::io_context context;
    auto future = asio::co_spawn(context, std::move(call), asio::use_future);
    context.run();
    return future.get();
  }

  metrics::Registry registry_;
  postgres::Database database_;
  mutable std::mutex mutex_;
  std::vector<News> heard_;
  postgres::PostgresNeighbours neighbours_;
};

}  // namespace

TEST_CASE("neighbours: each hears what others tell, and nothing of its own",
          "[integration][coordinator]") {
  const auto database = PrivatePostgres::shared().make_database();
  Listener first(database, "first");
  REQUIRE(eventually([&] { return first.are_there().has_value(); }));
  {
    Listener second(database, "second");
    REQUIRE(eventually([&] { return first.are_there().value_or(false); }));
    News news;
    news.ready = {{WorkKind::evaluation, 3}, {WorkKind::proposal, 1}};
    news.campaigns = {CampaignId{1}, CampaignId{42}};
    // A listener that is counted may be about to listen only.
    REQUIRE(eventually([&] {
      REQUIRE(first.tell(news).has_value());
      return !second.heard().empty();
    }));
    CHECK(second.heard().front() == news);
    REQUIRE(second.tell({.ready = {{WorkKind::proposal, 2}}, .campaigns = {}}).has_value());
    REQUIRE(eventually([&] { return !first.heard().empty(); }));
    REQUIRE(first.heard().size() == 1);
    CHECK(first.heard().front().ready.at(WorkKind::proposal) == 2);
    CHECK(first.heard().front().campaigns.empty());
  }
  CHECK(eventually([&] { return !first.are_there().value_or(true); }));
}

TEST_CASE("neighbours: a listener comes back when the database does",
          "[integration][coordinator]") {
  PrivatePostgres postgres;
  const auto database = postgres.make_database();
  Listener first(database, "first");
  Listener second(database, "second");
  REQUIRE(eventually([&] { return first.are_there().value_or(false); }));
  postgres.stop();
  postgres.start();
  REQUIRE(eventually([&] {
    const auto told = first.tell({.ready = {{WorkKind::evaluation, 1}}, .campaigns = {}});
    return told.has_value() && !second.heard().empty();
  }));
}
