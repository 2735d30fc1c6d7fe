#include "coordinator/config.hpp"

#include <CLI/CLI.hpp>
#include <iostream>

#include "common/config/reader.hpp"
#include "common/rpc/channel.hpp"

namespace cambrian::coordinator {
namespace {

constexpr milliseconds kControlIntervalMax{30LL * 24 * 3'600'000};
constexpr milliseconds kGraceMax{12'000};  // Whoever started us kills at 15 s.
constexpr int kConnectionsMin = 6;         // One for each lane.
constexpr int kConnectionsMax = 200;
constexpr int kTokenDaysMax = 3'650;
constexpr int kCallsPerSecondMax = 1'000'000;
constexpr int kCampaignsPerUserMax = 1'000'000;

milliseconds time_or(const google::protobuf::Duration& time, milliseconds fallback) {
  const milliseconds value(time.seconds() * 1000 + time.nanos() / 1'000'000);
  return value.count() == 0 ? fallback : value;
}

Config with_defaults(const config::v1::CoordinatorConfig& file) {
  const auto text_or = [](const std::string& text, const char* fallback) {
    return text.empty() ? std::string(fallback) : text;
  };
  Config config;
  config.listen = text_or(file.listen(), "127.0.0.1:7070");
  config.metrics_listen = text_or(file.metrics_listen(), "127.0.0.1:7071");
  config.database = file.database();
  if (file.database_connections() != 0) config.database_connections = file.database_connections();
  config.times = {
      .lease = time_or(file.lease_duration(), config.times.lease),
      .evaluation_attempt =
          time_or(file.evaluation_attempt_budget(), config.times.evaluation_attempt),
      .proposal_attempt = time_or(file.proposal_attempt_budget(), config.times.proposal_attempt),
      .control_interval = time_or(file.control_interval(), config.times.control_interval),
      .has_controls = !file.without_controls()};
  config.sync_interval = time_or(file.sync_interval(), config.sync_interval);
  config.shutdown_grace = time_or(file.shutdown_grace(), config.shutdown_grace);
  config.has_reflection = file.reflection();
  if (file.has_tls()) config.tls = file.tls();
  config.requires_tokens = file.require_tokens();
  if (file.calls_per_second() != 0) config.calls_per_second = file.calls_per_second();
  if (file.campaigns_per_user() != 0) config.campaigns_per_user = file.campaigns_per_user();
  const auto keep_details = time_or(file.keep_details(), milliseconds(0));
  if (keep_details.count() != 0) config.keep_details = keep_details;
  config.is_open_to_anyone = file.i_know_that_anyone_who_reaches_this_port_can_run_code();
  return config;
}

/// All problems, one a line.
std::string check(const Config& config) {
  std::string problems;
  const auto require = [&](bool is_good, const std::string& problem) {
    if (!is_good) problems += (problems.empty() ? "" : "\n") + problem;
  };
  require(!config.database.empty(),
          "database is not set: --database 'host=/run/postgresql dbname=cambrian'");
  if (config.token_command) return problems;
  const bool is_guarded = config.tls && config.requires_tokens;
  require(rpc::is_local_address(config.listen) || is_guarded || config.is_open_to_anyone,
          "listen is not a loopback address, and " +
              std::string(config.tls               ? "require_tokens is not set"
                          : config.requires_tokens ? "there is no tls"
                                                   : "there are neither tls nor require_tokens") +
              ": listen=" + config.listen +
              "; whoever reaches the port could run code on the workers; set both "
              "(docs/security.md), use 127.0.0.1 behind a tunnel, or set "
              "i_know_that_anyone_who_reaches_this_port_can_run_code");
  require(!config.has_reflection || !config.requires_tokens,
          "reflection and require_tokens exclude each other: reflection asks for no token");
  require(
      !config.tls || !(config.tls->certificate_file().empty() || config.tls->key_file().empty()),
      "tls needs certificate_file and key_file");
  require(config.database_connections >= kConnectionsMin &&
              config.database_connections <= kConnectionsMax,
          "database_connections must be 6 to 200");
  require(config.calls_per_second >= 1 && config.calls_per_second <= kCallsPerSecondMax,
          "calls_per_second must be 1 to 1000000");
  require(config.campaigns_per_user >= 1 && config.campaigns_per_user <= kCampaignsPerUserMax,
          "campaigns_per_user must be 1 to 1000000");
  require(config.times.lease >= milliseconds(1'000), "lease_duration must be at least 1 s");
  require(config.sync_interval * 2 <= config.times.lease,
          "sync_interval must be at most half of lease_duration");
  require(config.times.evaluation_attempt > milliseconds(0) &&
              config.times.proposal_attempt > milliseconds(0),
          "attempt budgets must be positive");
  require(config.times.control_interval >= milliseconds(1'000) &&
              config.times.control_interval <= kControlIntervalMax,
          "control_interval must be 1 s to 30 days");
  require(!config.keep_details || *config.keep_details >= milliseconds(1'000),
          "keep_details must be at least 1 s");
  require(config.shutdown_grace > milliseconds(0) && config.shutdown_grace <= kGraceMax,
          "shutdown_grace must be at most 12 s");
  return problems;
}

CLI::App* add_token_command(CLI::App& app, TokenCommand& token) {
  app.fallthrough();
  CLI::App* parent = app.add_subcommand("token", "tokens, on the database itself");
  parent->require_subcommand(1);
  CLI::App* create = parent->add_subcommand("create", "make a token, print it, and end");
  create->add_option("--name", token.name, "whose it is")->required();
  create->add_option("--role", token.role, "admin, user, worker, codegen or viewer; default admin")
      ->check(CLI::IsMember({"admin", "user", "worker", "codegen", "viewer"}));
  create->add_option("--days", token.days, "days until it expires, 0: never; default 365")
      ->check(CLI::Range(0, kTokenDaysMax));
  return create;
}

}  // namespace

Result<std::optional<Config>> read_config(int argc, char** argv) {
  CLI::App app("Campaigns, population, search and leases, over PostgreSQL");
  std::string file_name;
  config::v1::CoordinatorConfig flags;
  std::string address_file;
  bool is_open = false;
  bool has_reflection = false;
  app.set_version_flag("--version", std::string(CAMBRIAN_VERSION));
  app.add_option("--config", file_name, "Configuration file (YAML)");
  app.add_option("--listen", *flags.mutable_listen(), "Where to serve gRPC: host:port, unix:/path");
  app.add_option("--metrics-listen", *flags.mutable_metrics_listen(), "Where to serve /metrics");
  app.add_option("--database", *flags.mutable_database(), "Connection string of PostgreSQL");
  app.add_option("--address-file", address_file,
                 "Write the addresses as JSON into this file when ready");
  app.add_flag("--reflection", has_reflection, "Serve gRPC reflection");
  app.add_flag("--i-know-that-anyone-who-reaches-this-port-can-run-code", is_open,
               "Allow --listen on an address that is not loopback");
  TokenCommand token;
  const auto* create_token = add_token_command(app, token);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return fail(Errc::invalid_argument, error.what());
    app.exit(error);
    return std::optional<Config>();
  }
  CAMBRIAN_TRY(auto merged, config::read_config_file<config::v1::CoordinatorConfig>(file_name));
  merged.MergeFrom(flags);  // Only what a flag set is not empty.
  if (has_reflection) merged.set_reflection(true);
  if (is_open) merged.set_i_know_that_anyone_who_reaches_this_port_can_run_code(true);
  auto config = with_defaults(merged);
  config.address_file = address_file;
  if (*create_token) config.token_command = token;
  if (auto problems = check(config); !problems.empty()) {
    return fail(Errc::invalid_argument, std::move(problems));
  }
  return std::optional(std::move(config));
}

}  // namespace cambrian::coordinator
