#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "codegen-client/adapters/grpc/convert.hpp"
#include "codegen-client/adapters/grpc/grpc_call_ledger.hpp"
#include "codegen-client/adapters/grpc/grpc_content_store.hpp"
#include "codegen-client/adapters/metrics/metrics_observer.hpp"
#include "codegen-client/adapters/openai/openai_model.hpp"
#include "codegen-client/adapters/openai/probed_model.hpp"
#include "codegen-client/app/endpoint.hpp"
#include "codegen-client/app/proposal_handler.hpp"
#include "codegen-client/probe_command.hpp"
#include "codegen-client/settings.hpp"
#include "codegen-client/system_clock.hpp"
#include "common/agent/agent.hpp"
#include "common/blob/blob_client.hpp"
#include "common/config/reader.hpp"
#include "common/log/log.hpp"
#include "common/metrics/metrics.hpp"
#include "common/rpc/security.hpp"

namespace cambrian::codegen {
namespace {

constexpr int kSlotsDefault = 4;
constexpr int kSlotsMax = 64;
constexpr int kExitUsage = 2;
constexpr const char* kCoordinatorDefault = "127.0.0.1:7070";

struct Flags {
  std::string config_file{};
  std::string coordinator{};
  std::string name{};
  int slots = 0;
  std::string metrics_listen{};
  std::string base_url{};
  std::vector<std::string> models{};
  std::string key_file{};
  bool stream = false;
  bool should_probe = false;  ///< Ask the endpoints about themselves, say what is wrong, and end.
  bool is_json = false;
};

void add_flags(CLI::App& app, Flags& flags) {
  app.add_option("--config", flags.config_file, "configuration file (YAML)");
  app.add_option("--coordinator", flags.coordinator,
                 std::string("address of the coordinator; default ") + kCoordinatorDefault);
  app.add_option("--name", flags.name, "name for people; default: host name and process id");
  app.add_option("--slots", flags.slots, "proposals at once; default 4")
      ->check(CLI::Range(1, kSlotsMax));
  app.add_option("--metrics-listen", flags.metrics_listen, "serve /metrics here: host:port");
  app.add_option("--base-url", flags.base_url,
                 "one endpoint without a file: its base URL, for example http://127.0.0.1:8000/v1");
  app.add_option("--model", flags.models, "model of that endpoint; may be given several times")
      ->allow_extra_args(false);
  app.add_option("--key-file", flags.key_file, "file with the key of that endpoint");
  app.add_flag("--stream", flags.stream, "ask that endpoint for streamed answers");
  app.set_version_flag("--version", CAMBRIAN_VERSION);
  CLI::App* probe =
      app.add_subcommand("probe", "ask each endpoint for its models, say what is wrong, and end");
  probe->add_flag("--json", flags.is_json, "print one JSON object");
  probe->fallthrough();
  probe->callback([&flags] { flags.should_probe = true; });
}

Result<config::v1::CodegenConfig> make_config(const Flags& flags) {
  CAMBRIAN_TRY(auto config, config::read_config_file<config::v1::CodegenConfig>(flags.config_file));
  if (!flags.coordinator.empty()) config.set_coordinator(flags.coordinator);
  if (config.coordinator().empty()) config.set_coordinator(kCoordinatorDefault);
  if (!flags.name.empty()) config.set_name(flags.name);
  if (!flags.metrics_listen.empty()) config.set_metrics_listen(flags.metrics_listen);
  if (flags.slots > 0) config.set_slots(flags.slots);
  if (config.slots() == 0) config.set_slots(kSlotsDefault);
  if (config.slots() < 1 || config.slots() > kSlotsMax) {
    return fail(Errc::invalid_argument, "slots must be 1 to " + std::to_string(kSlotsMax));
  }
  if (!flags.base_url.empty()) {
    config.clear_endpoints();  // A flag wins.
    auto& endpoint = *config.add_endpoints();
    endpoint.set_name("default");
    endpoint.set_base_url(flags.base_url);
    endpoint.set_key_file(flags.key_file);
    endpoint.set_stream(flags.stream);
    for (const std::string& model : flags.models) endpoint.add_models(model);
  } else if (!flags.models.empty() || !flags.key_file.empty()) {
    return fail(Errc::invalid_argument, "--model and --key-file belong to --base-url");
  }
  return config;
}

std::string default_name() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) return "codegen";
  return std::string(host.data()) + "-" + std::to_string(::getpid());
}

/// An endpoint and the protocol below it.
struct ReadyEndpoint {
  std::unique_ptr<openai::ProbedModel> model;
  std::unique_ptr<Endpoint> endpoint;
};

std::vector<ReadyEndpoint> make_endpoints(std::vector<EndpointParts> parts, Clock& clock,
                                          Observer& observer) {
  std::random_device entropy;  // Jitter must differ between processes.
  std::vector<ReadyEndpoint> endpoints;
  for (EndpointParts& part : parts) {
    if (!part.key.is_empty() && part.model.base_url.starts_with("http://")) {
      log::warn("key_without_tls", {{"endpoint", part.settings.name},
                                    {"next", "use https unless the network is your own"}});
    }
    auto model = std::make_unique<openai::ProbedModel>(
        std::make_unique<openai::OpenAiModel>(std::move(part.model), std::move(part.key)),
        part.settings.name, part.settings.models);
    model->probe({});  // A dead endpoint may come up later.
    auto endpoint =
        std::make_unique<Endpoint>(std::move(part.settings), *model, clock, observer, entropy());
    endpoints.push_back({.model = std::move(model), .endpoint = std::move(endpoint)});
  }
  return endpoints;
}

agent::v1::AgentDescription describe(const config::v1::CodegenConfig& config,
                                     const std::vector<ReadyEndpoint>& endpoints) {
  agent::v1::AgentDescription description;
  description.set_name(config.name().empty() ? default_name() : config.name());
  description.set_kind(agent::v1::AGENT_KIND_CODEGEN);
  description.set_version(CAMBRIAN_VERSION);
  description.set_slots(config.slots());
  std::set<std::string> offered;
  for (const ReadyEndpoint& ready : endpoints) {
    for (const std::string& model : ready.endpoint->settings().models) {
      if (offered.insert(model).second) description.add_models(model);
    }
  }
  return description;
}

void log_report(const agent::v1::Lease& lease, const ProposalReport& report) {
  TokenUsage usage;
  std::int64_t cost = 0;
  for (const CallRecord& call : report.calls) {
    usage.prompt_tokens += call.usage.prompt_tokens;
    usage.completion_tokens += call.usage.completion_tokens;
    cost += call.cost_micro_usd;
  }
  log::info("proposal_finished", {{"item", lease.item_id()},
                                  {"outcome", to_string(report.outcome)},
                                  {"variants", report.variants.size()},
                                  {"calls", report.calls.size()},
                                  {"prompt_tokens", usage.prompt_tokens},
                                  {"completion_tokens", usage.completion_tokens},
                                  {"cost_micro_usd", cost}});
}

agent::AttemptOutcome run_attempt(ProposalHandler& handler, GrpcContentStore& store,
                                  agent::v1::AgentService::Stub& stub, agent::Attempt& attempt) {
  const auto& lease = attempt.assignment().lease();
  if (!attempt.assignment().has_proposal()) return agent::v1::RELEASE_REASON_UNABLE;
  auto proposal = from_proto(attempt.assignment().proposal());
  if (!proposal) {
    log::error("proposal_refused",
               {{"item", lease.item_id()}, {"cause", proposal.error().message}});
    return agent::v1::RELEASE_REASON_UNABLE;
  }
  if (attempt.assignment().has_attempt_budget()) {
    proposal->time_max = to_milliseconds(attempt.assignment().attempt_budget());
  }
  GrpcCallLedger ledger(stub, attempt.agent_id(), lease);
  auto report = handler.handle(
      *proposal, ledger, [&attempt](const char* phase) { attempt.set_progress(phase); },
      attempt.stop_token());
  if (!report) {
    ledger.tell_ends();
    log::info("proposal_stopped", {{"item", lease.item_id()}, {"cause", report.error().message}});
    return agent::v1::RELEASE_REASON_SHUTDOWN;
  }
  log_report(lease, *report);
  attempt.set_progress("store");
  return store.hand_in(std::move(*report), attempt.contents_bytes_max());
}

int probe_endpoints(const Flags& flags) {
  const auto config = make_config(flags);
  if (!config) return report_bad_configuration(config.error().message, flags.is_json);
  auto parts = read_endpoints(*config);
  if (!parts) return report_bad_configuration(parts.error().message, flags.is_json);
  return run_probe(std::move(*parts), flags.is_json);
}

Result<int> run(const Flags& flags) {
  CAMBRIAN_TRY(const auto config, make_config(flags));
  CAMBRIAN_TRY(auto parts, read_endpoints(config));
  metrics::Registry registry;
  registry.gauge("cambrian_codegen_build_info", "1", {{"version", CAMBRIAN_VERSION}}).set(1);
  std::map<std::string, std::vector<std::string>> models;
  for (const EndpointParts& part : parts) models[part.settings.name] = part.settings.models;
  MetricsObserver observer(registry, models);
  if (!config.metrics_listen().empty()) {
    CAMBRIAN_TRY(const int port, registry.serve(config.metrics_listen()));
    log::info("metrics_served", {{"port", port}});
  }
  SystemClock clock;
  const auto endpoints = make_endpoints(std::move(parts), clock, observer);
  std::vector<Endpoint*> pointers;
  for (const ReadyEndpoint& ready : endpoints) pointers.push_back(ready.endpoint.get());

  CAMBRIAN_TRY(const auto channel,
               rpc::make_channel(config.coordinator(), rpc::security_of(config)));
  BlobClient blobs(channel, nullptr);
  GrpcContentStore store(blobs);
  ProposalHandler handler(std::move(pointers), store, clock, observer);
  agent::AgentOptions options;
  options.description = describe(config, endpoints);
  const auto stub = agent::v1::AgentService::NewStub(channel);
  agent::Agent loop(channel, std::move(options), [&](agent::Attempt& attempt) {
    return run_attempt(handler, store, *stub, attempt);
  });
  return loop.run();
}

}  // namespace
}  // namespace cambrian::codegen

int main(int argument_count, char** arguments) {
  using namespace cambrian;
  const rlimit no_core{.rlim_cur = 0, .rlim_max = 0};
  ::setrlimit(RLIMIT_CORE, &no_core);  // A core file would hold the keys.
  // Other processes of the same user read neither the memory with the keys nor the environment.
  ::prctl(PR_SET_DUMPABLE, 0);
  CLI::App app("Leases proposals from the coordinator and lets a code model answer them");
  codegen::Flags flags;
  codegen::add_flags(app, flags);
  try {
    app.parse(argument_count, arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : codegen::kExitUsage;
  }
  if (flags.should_probe) return codegen::probe_endpoints(flags);
  const auto code = codegen::run(flags);
  if (code) return *code;
  std::fprintf(stderr, "cambrian-codegen: %s\n", code.error().message.c_str());
  return 1;
}
