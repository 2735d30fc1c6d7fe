#include "cli/commands/dev_report.hpp"

#include <chrono>
#include <nlohmann/json.hpp>
#include <set>

#include "cambrian/user/v1/operation_service.grpc.pb.h"
#include "cli/output/document.hpp"
#include "cli/output/table.hpp"
#include "cli/output/text.hpp"
#include "cli/paths.hpp"
#include "common/rpc/backoff.hpp"

namespace cambrian::cli {

dev::EnvironmentOptions complete(dev::EnvironmentOptions options) {
  options.directory =
      dev::make_layout(options.directory.empty() ? dev_directory() : options.directory).directory;
  options.programs = program_folder();
  const auto absolute = [](std::string& path) {
    if (!path.empty()) path = std::filesystem::absolute(path).string();
  };
  absolute(options.codegen_config);
  absolute(options.worker_config);
  absolute(options.key_file);
  return options;
}

dev::Report reporter(const Session& session) {
  return [&session](const std::string& line) { session.note(line); };
}

Status wait_for_agents(const Session& caller, const dev::State& state,
                       const dev::EnvironmentOptions& options) {
  constexpr std::chrono::seconds kTimeout{30};
  constexpr std::chrono::milliseconds kInterval{50};
  GlobalOptions global = caller.options();
  global.endpoint = state.endpoint;
  Session session(global, caller.terminal());
  const auto deadline = std::chrono::steady_clock::now() + kTimeout;
  std::set<std::string> told;
  int draining = 0;
  while (std::chrono::steady_clock::now() < deadline) {
    for (const std::string& name : dev::restart_drained(options.directory)) {
      if (told.insert(name).second) caller.note(name + " was drained: starting it again");
    }
    const auto agents =
        session.call(&user::v1::WorkerService::Stub::ListWorkers, user::v1::ListWorkersRequest());
    int workers = 0;
    int codegens = 0;
    draining = 0;
    const auto known = agents ? *agents : user::v1::ListWorkersResponse();
    for (const auto& one : known.workers()) {
      draining += one.state() == user::v1::WORKER_STATE_DRAINING ? 1 : 0;
      if (one.state() != user::v1::WORKER_STATE_ALIVE) continue;
      const bool is_worker = one.description().kind() == agent::v1::AGENT_KIND_WORKER;
      (is_worker ? workers : codegens) += 1;
    }
    if (workers >= options.workers && codegens > 0) return {};
    rpc::wait_unless_stopped({}, kInterval);
  }
  if (draining > 0) {
    return fail(
        Errc::deadline_exceeded,
        "an agent was drained and still finishes what it does; try again when it is gone: " +
            program_call() + " worker list");
  }
  return fail(Errc::deadline_exceeded,
              "worker or codegen client does not reach the coordinator; see the logs in " +
                  dev::make_layout(options.directory).logs().string());
}

std::string describe(const dev::UpResult& result, const dev::EnvironmentOptions& options) {
  const dev::State& state = result.state;
  const dev::Layout layout = dev::make_layout(options.directory);
  std::string text = result.was_running ? "already running\n"
                                        : "running after " + format_duration(result.took) + "\n";
  text += "  coordinator  " + state.endpoint + "\n";
  text += "  metrics      http://" + state.metrics + "/metrics\n";
  text += "  code model   " + (state.model_url.empty() ? options.codegen_config : state.model_url) +
          "\n";
  text += "  database     " + state.database + "\n";
  text += "  logs         " + layout.logs().string() + "\n";
  std::string folder;
  if (options.directory != dev_directory()) {
    text += "use it with: export CAMBRIAN_ENDPOINT=" + state.endpoint + "\n";
    folder = " --directory " + options.directory.string();
  }
  const std::string program = program_call();
  return text + "next: " + program + " campaign submit FILE; stop with: " + program + " dev down" +
         folder + "\n";
}

std::string state_document(const dev::State& state, bool is_running, Format format) {
  if (format == Format::name) return state.endpoint.empty() ? "" : state.endpoint + "\n";
  nlohmann::ordered_json services = nlohmann::ordered_json::array();
  for (const dev::ServiceState& one : state.services) {
    services.push_back({{"name", one.name},
                        {"phase", one.phase},
                        {"pid", one.process.pid},
                        {"restarts", one.restarts},
                        {"last_exit", one.last_exit}});
  }
  const nlohmann::ordered_json json{{"is_running", is_running},   {"endpoint", state.endpoint},
                                    {"metrics", state.metrics},   {"model_url", state.model_url},
                                    {"database", state.database}, {"services", services}};
  return format == Format::yaml ? json_to_yaml(json) : json.dump(2) + "\n";
}

std::string service_table(const dev::State& state, const Session& session) {
  Table table({{.title = "SERVICE"},
               {.title = "STATE"},
               {.title = "PID", .is_right = true},
               {.title = "RESTARTS", .is_right = true},
               {.title = "LAST EXIT"}});
  for (const dev::ServiceState& one : state.services) {
    table.add({one.name, one.phase, one.process.pid == 0 ? "-" : std::to_string(one.process.pid),
               std::to_string(one.restarts), one.last_exit.empty() ? "-" : one.last_exit});
  }
  return "coordinator " + state.endpoint + ", metrics http://" + state.metrics + "/metrics\n" +
         table.render(session.table_style());
}

}  // namespace cambrian::cli
