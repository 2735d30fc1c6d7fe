#include "coordinator/adapters/postgres/neighbours.hpp"

#include <condition_variable>
#include <mutex>

#include "common/log/log.hpp"
#include "coordinator/adapters/postgres/codec.hpp"

namespace cambrian::coordinator::postgres {
namespace {

constexpr const char* kChannel = "cambrian_news";
constexpr const char* kListenerName = "cambrian-coordinator-listener";
constexpr const char* kTell = "SELECT pg_notify('cambrian_news', $1)";
constexpr const char* kCountListeners =
    "SELECT count(*) FROM pg_stat_get_activity(NULL) WHERE application_name = $1"
    " AND pid <> $2 AND datid = (SELECT oid FROM pg_database WHERE datname = current_database())";
/// How often the listener looks whether it shall end.
constexpr long kLookMicroseconds = 200'000;
constexpr std::chrono::seconds kReconnectPause{1};
/// For the server to say that it listens.
constexpr std::chrono::seconds kListenMax{5};

std::string payload_of(const News& news, const std::string& name) {
  Json ready = Json::object();
  for (const auto& [kind, count] : news.ready) ready[word(kind)] = count;
  Json campaigns = Json::array();
  for (const auto campaign : news.campaigns) campaigns.push_back(campaign.value);
  return Json{{"from", name}, {"ready", ready}, {"campaigns", campaigns}}.dump();
}

/// Throws on what no coordinator has told.
News news_of(const Json& payload) {
  News news;
  for (const auto& [kind, count] : payload.at("ready").items()) {
    if (const auto known = parse_word<WorkKind>(kind)) {
      news.ready[*known] = count.get<std::size_t>();
    }
  }
  for (const auto& campaign : payload.at("campaigns")) {
    news.campaigns.insert(CampaignId{campaign.get<std::int64_t>()});
  }
  return news;
}

}  // namespace

PostgresNeighbours::PostgresNeighbours(Database& database, std::string connection, std::string name,
                                       OnNews on_news)
    : database_(database),
      connection_(std::move(connection)),
      name_(std::move(name)),
      on_news_(std::move(on_news)),
      listener_([this](const std::stop_token& stop) { run(stop); }) {}

void PostgresNeighbours::listen(const std::stop_token& stop) {
  pqxx::connection connection(with_timeouts(connection_));
  const auto hear = [this](pqxx::notification notice) {
    try {
      const auto payload = Json::parse(std::string_view(notice.payload));
      if (payload.at("from").get_ref<const std::string&>() != name_) on_news_(news_of(payload));
    } catch (const Json::exception& error) {
      log::debug("news_unreadable", {{"what", error.what()}});
    }
  };
  {
    const SocketWatch::Scope scope(watch_, connection.sock(),
                                   SocketWatch::Clock::now() + kListenMax);
    pqxx::nontransaction(connection)
        .exec("SELECT set_config('application_name', $1, false)", pqxx::params{kListenerName});
    connection.listen(kChannel, hear);
  }
  backend_ = connection.backendpid();
  while (!stop.stop_requested()) connection.await_notification(0, kLookMicroseconds);
}

void PostgresNeighbours::run(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any paused;
  while (!stop.stop_requested()) {
    try {
      listen(stop);
    } catch (const std::exception& error) {
      // Until it is back, news comes by polls, once a second. Said once for each loss.
      const bool was_listening = backend_.exchange(kNoBackend) != kNoBackend;
      if (was_listening && !stop.stop_requested()) {
        log::warn("listener_lost", {{"what", first_line(error.what())}});
      }
      std::unique_lock lock(mutex);
      paused.wait_for(lock, stop, kReconnectPause, [] { return false; });
    }
  }
}

void PostgresNeighbours::stop() {
  listener_.request_stop();
  watch_.cut_all();
}

awaitable<Result<bool>> PostgresNeighbours::are_there() {
  auto body = [backend = backend_.load()](pqxx::work& transaction) -> Result<bool> {
    const auto row =
        execute(transaction, kCountListeners, pqxx::params{kListenerName, backend}).one_row();
    return row[0].as<int>() > 0;
  };
  co_return co_await database_.run(Lane::claim, "count_listeners", body);
}

awaitable<Status> PostgresNeighbours::tell(News news) {
  auto body = [payload = payload_of(news, name_)](pqxx::work& transaction) -> Status {
    execute(transaction, kTell, pqxx::params{payload});
    return {};
  };
  co_return co_await database_.run(Lane::agent, "tell_news", std::move(body));
}

}  // namespace cambrian::coordinator::postgres
