#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "common/certificates/certificates.hpp"
#include "common/log/log.hpp"
#include "common/metrics/metrics.hpp"
#include "common/rpc/security.hpp"
#include "coordinator/adapters/grpc/server.hpp"
#include "coordinator/adapters/metrics/observer.hpp"
#include "coordinator/adapters/postgres/access_store.hpp"
#include "coordinator/adapters/postgres/call_store.hpp"
#include "coordinator/adapters/postgres/campaign_store.hpp"
#include "coordinator/adapters/postgres/cleanup_store.hpp"
#include "coordinator/adapters/postgres/content_store.hpp"
#include "coordinator/adapters/postgres/control_store.hpp"
#include "coordinator/adapters/postgres/driver_store.hpp"
#include "coordinator/adapters/postgres/import_store.hpp"
#include "coordinator/adapters/postgres/migrate.hpp"
#include "coordinator/adapters/postgres/neighbours.hpp"
#include "coordinator/adapters/postgres/shortage_store.hpp"
#include "coordinator/adapters/postgres/work_store.hpp"
#include "coordinator/app/access_desk.hpp"
#include "coordinator/app/agent_desk.hpp"
#include "coordinator/app/campaign_desk.hpp"
#include "coordinator/app/control_watch.hpp"
#include "coordinator/app/driver.hpp"
#include "coordinator/app/housekeeping.hpp"
#include "coordinator/app/news_desk.hpp"
#include "coordinator/app/shortage_watch.hpp"
#include "coordinator/config.hpp"
#include "coordinator/token_command.hpp"

namespace cambrian::coordinator {
namespace {

namespace asio = boost::asio;

/// Whoever started us kills at 15 s, and the grace is 12 s at most: behind it, waits for a database
/// that hangs are ended, and then the process, whatever is left.
constexpr milliseconds kLastMoment{2'500};
constexpr milliseconds kEndLookInterval{20};

/// Tells this process from others that use the same database.
std::string make_instance_name() {
  std::random_device device;
  char text[64];
  std::snprintf(text, sizeof text, "%d-%08x%08x", static_cast<int>(::getpid()), device(), device());
  return text;
}

/// How often it is looked whether the files of TLS are good. gRPC says nothing of bad ones: new
/// connections fail, and those that are there go on.
constexpr milliseconds kCertificateInterval{60'000};

/// Complete or not there at all: whoever waits for the file may read it at once.
Status write_address_file(const std::string& path, const nlohmann::json& addresses) {
  if (path.empty()) return {};
  const auto partial = path + ".partial";
  {
    std::ofstream file(partial, std::ios::trunc);
    file << addresses.dump() << "\n";
    if (!file.flush()) return fail(Errc::unavailable, "cannot write the address file: " + partial);
  }
  std::error_code error;
  std::filesystem::rename(partial, path, error);
  if (error) return fail(Errc::unavailable, "cannot write the address file: " + path);
  return {};
}

/// The whole program: everything is made here and lives until the end.
class Program {
 public:
  explicit Program(Config config)
      : config_(std::move(config)),
        database_({.connection = config_.database, .connections = config_.database_connections},
                  registry_),
        work_(database_, noted_agents_),
        campaigns_(database_),
        imports_(database_),
        variants_(database_),
        drivers_store_(database_),
        blobs_(database_),
        tasks_(database_),
        agents_(database_, noted_agents_),
        calls_(database_),
        shortage_store_(database_),
        control_store_(database_),
        cleanup_(database_),
        tokens_(database_),
        audit_(database_),
        observer_(registry_, CAMBRIAN_VERSION),
        access_desk_(tokens_, hub_, config_.requires_tokens),
        shortages_(shortage_store_, hub_, config_.times.lease),
        controls_(control_store_, work_, hub_, config_.times.control_interval),
        agent_desk_(work_, hub_, observer_, config_.times, config_.sync_interval),
        campaign_desk_(campaigns_, hub_, shortages_, config_.campaigns_per_user),
        drivers_(drivers_store_, hub_, observer_, name_),
        housekeeping_({work_, campaigns_, agents_, cleanup_}, hub_, observer_, config_.times,
                      config_.keep_details, [this](bool is_up) { on_health(is_up); }),
        neighbours_(database_, config_.database, name_,
                    [this](News news) {
                      asio::post(context_, [this, news = std::move(news)] { hub_.hear(news); });
                    }),
        news_desk_(neighbours_, hub_) {}

  Status run() {
    CAMBRIAN_TRY(auto credentials,
                 rpc::make_server_credentials(config_.tls ? &*config_.tls : nullptr));
    CAMBRIAN_TRY_STATUS(
        postgres::migrate(config_.database, postgres::embedded_migrations(), kDatabasePatience));
    CAMBRIAN_TRY(const int metrics_port, registry_.serve(config_.metrics_listen));
    CAMBRIAN_TRY(server_,
                 wire::Server::start({.listen = config_.listen,
                                      .credentials = std::move(credentials),
                                      .has_reflection = config_.has_reflection,
                                      .lease = config_.times.lease,
                                      .calls_per_second = config_.calls_per_second},
                                     {agent_desk_,
                                      {campaign_desk_, campaigns_, tasks_, blobs_, imports_},
                                      variants_,
                                      agents_,
                                      calls_,
                                      {tokens_, audit_, access_desk_, cleanup_}},
                                     context_.get_executor(), registry_));
    const auto metrics_address =
        config_.metrics_listen.substr(0, config_.metrics_listen.rfind(':') + 1) +
        std::to_string(metrics_port);
    asio::signal_set signals(context_, SIGTERM, SIGINT);
    signals.async_wait([this](const boost::system::error_code& error, int) {
      if (!error) begin_shutdown();
    });
    for (auto&& loop : {&Program::run_acquisition, &Program::run_renewal, &Program::run_poll,
                        &Program::run_sweep, &Program::run_overview, &Program::run_shortages,
                        &Program::run_cleanup, &Program::run_access, &Program::run_certificates,
                        &Program::run_tell, &Program::run_look, &Program::run_controls}) {
      spawn((this->*loop)());
    }
    CAMBRIAN_TRY_STATUS(write_address_file(
        config_.address_file, {{"grpc", server_->address()}, {"metrics", metrics_address}}));
    log::info("coordinator_started", {{"version", CAMBRIAN_VERSION},
                                      {"grpc", server_->address()},
                                      {"metrics", metrics_address},
                                      {"database_connections", config_.database_connections},
                                      {"lease_ms", config_.times.lease},
                                      {"sync_interval_ms", config_.sync_interval},
                                      {"evaluation_attempt_ms", config_.times.evaluation_attempt},
                                      {"proposal_attempt_ms", config_.times.proposal_attempt},
                                      {"controls", config_.times.has_controls},
                                      {"control_interval_ms", config_.times.control_interval},
                                      {"shutdown_grace_ms", config_.shutdown_grace},
                                      {"tls", config_.tls.has_value()},
                                      {"tokens", config_.requires_tokens},
                                      {"reflection", config_.has_reflection}});
    context_.run();
    if (closer_.joinable()) closer_.join();
    log::info("coordinator_stopped");
    return {};
  }

 private:
  awaitable<void> run_acquisition() { return drivers_.run_acquisition(); }
  awaitable<void> run_renewal() { return drivers_.run_renewal(); }
  awaitable<void> run_poll() { return housekeeping_.run_poll(); }
  awaitable<void> run_sweep() { return housekeeping_.run_sweep(); }
  awaitable<void> run_overview() { return housekeeping_.run_overview(); }
  awaitable<void> run_shortages() { return shortages_.run(); }
  awaitable<void> run_controls() { return controls_.run(); }
  awaitable<void> run_cleanup() { return housekeeping_.run_cleanup(); }
  awaitable<void> run_access() { return access_desk_.run_refresh(); }
  awaitable<void> run_tell() { return news_desk_.run_tell(); }
  awaitable<void> run_look() { return news_desk_.run_look(); }

  awaitable<void> run_certificates() {
    if (!config_.tls) co_return;
    auto gauge =
        registry_.gauge("cambrian_coordinator_certificate_expiry_timestamp_seconds",
                        "When the server's certificate expires, Unix time; 0: it is not usable");
    while (!hub_.is_closed()) {
      const auto end =
          certificates::check_key_pair(config_.tls->certificate_file(), config_.tls->key_file());
      gauge.set(end ? static_cast<double>(std::chrono::system_clock::to_time_t(*end)) : 0);
      if (!end) {
        log::error("tls_files_unusable",
                   {{"reason", end.error().message}, {"next", "new connections fail until then"}});
      }
      co_await hub_.pause(kCertificateInterval);
    }
  }

  void spawn(awaitable<void> loop) {
    ++loops_;
    asio::co_spawn(context_, std::move(loop), [this](const std::exception_ptr& failure) {
      if (failure) std::rethrow_exception(failure);  // A bug: end, and be started again.
      --loops_;
    });
  }

  void on_health(bool is_up) {
    if (server_ && !hub_.is_closed()) server_->set_serving(is_up);
  }

  /// Refuses new calls, wakes every long call, lets open ones end, gives the campaigns back.
  void begin_shutdown() {
    neighbours_.stop();
    if (hub_.is_closed()) return;
    log::info("shutdown_begun");
    server_->set_serving(false);
    hub_.close();
    closer_ = std::thread([this] {
      server_->shut_down(config_.shutdown_grace);
      asio::post(context_, [this] { is_server_down_ = true; });
    });
    end_deadline_ = std::chrono::steady_clock::now() + config_.shutdown_grace;
    stop_when_done();
  }

  /// Looks until every coroutine has ended: they use what goes with this object.
  void stop_when_done() {
    if (is_server_down_ && loops_ == 0 && drivers_.driving() == 0) return context_.stop();
    const auto now = std::chrono::steady_clock::now();
    if (now >= end_deadline_) database_.interrupt();
    if (now >= end_deadline_ + kLastMoment) {
      log::error(
          "shutdown_incomplete",
          {{"loops", loops_}, {"campaigns", drivers_.driving()}, {"calls", !is_server_down_}});
      std::_Exit(1);  // Nothing may be torn down under those who still use it.
    }
    end_timer_.expires_after(kEndLookInterval);
    end_timer_.async_wait([this](const boost::system::error_code&) { stop_when_done(); });
  }

  Config config_;
  const std::string name_ = make_instance_name();
  metrics::Registry registry_;
  asio::io_context context_{1};
  postgres::Database database_;
  postgres::NotedAgents noted_agents_;
  postgres::PostgresWorkStore work_;
  postgres::PostgresCampaignStore campaigns_;
  postgres::PostgresImportStore imports_;
  postgres::PostgresVariantStore variants_;
  postgres::PostgresDriverStore drivers_store_;
  postgres::PostgresBlobStore blobs_;
  postgres::PostgresTaskStore tasks_;
  postgres::PostgresAgentStore agents_;
  postgres::PostgresCallStore calls_;
  postgres::PostgresShortageStore shortage_store_;
  postgres::PostgresControlStore control_store_;
  postgres::PostgresCleanupStore cleanup_;
  postgres::PostgresTokenStore tokens_;
  postgres::PostgresAuditStore audit_;
  MetricsObserver observer_;
  Hub hub_;
  AccessDesk access_desk_;
  ShortageWatch shortages_;
  ControlWatch controls_;
  AgentDesk agent_desk_;
  CampaignDesk campaign_desk_;
  Drivers drivers_;
  Housekeeping housekeeping_;
  postgres::PostgresNeighbours neighbours_;  // Its thread posts to the context, for the hub.
  NewsDesk news_desk_;
  std::unique_ptr<wire::Server> server_;
  std::thread closer_;
  asio::steady_timer end_timer_{context_};
  std::chrono::steady_clock::time_point end_deadline_;
  int loops_ = 0;
  bool is_server_down_ = false;
};

}  // namespace
}  // namespace cambrian::coordinator

int main(int argc, char** argv) {
  auto config = cambrian::coordinator::read_config(argc, argv);
  if (!config) {
    std::fprintf(stderr, "cambrian-coordinator: %s\n", config.error().message.c_str());
    return 2;
  }
  if (!*config) return 0;
  if ((*config)->token_command) {
    const auto created = cambrian::coordinator::create_token(**config);
    if (!created) {
      std::fprintf(stderr, "cambrian-coordinator: %s\n", created.error().message.c_str());
    }
    return created ? 0 : 1;
  }
  cambrian::coordinator::Program program(std::move(**config));
  const auto status = program.run();
  if (!status) {
    std::fprintf(stderr, "cambrian-coordinator: %s\n", status.error().message.c_str());
    return 1;
  }
  return 0;
}
