#include "cli/commands/dev_report.hpp"

#include <nlohmann/json.hpp>

#include "cli/output/document.hpp"
#include "cli/output/table.hpp"
#include "cli/output/text.hpp"
#include "cli/paths.hpp"

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
  return options;
}

dev::Report reporter(const Session& session) {
  return [&session](const std::string& line) { session.note(line); };
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
  if (options.directory != dev_directory()) {
    text += "use it with: export CAMBRIAN_ENDPOINT=" + state.endpoint + "\n";
  }
  const std::string program = program_call();
  return text + "next: " + program + " campaign submit FILE; stop with: " + program + " dev down\n";
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
         table.render({.wide = session.format() == Format::wide,
                       .color = session.terminal().out.has_color,
                       .columns = session.terminal().columns});
}

}  // namespace cambrian::cli
