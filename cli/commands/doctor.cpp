#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "cambrian/user/v1/operation_service.grpc.pb.h"
#include "cli/cli.hpp"
#include "cli/commands/local_evaluation.hpp"
#include "cli/dev/environment.hpp"
#include "cli/dev/postgres.hpp"
#include "cli/output/document.hpp"
#include "cli/output/table.hpp"
#include "cli/paths.hpp"
#include "common/task/task_folder.hpp"

namespace cambrian::cli {
namespace {

namespace fs = std::filesystem;

/// `unused` is something that is not there and need not be.
enum class Verdict { ok, unused, warning, failure };

struct Finding {
  std::string check;
  Verdict verdict = Verdict::ok;
  std::string detail;
  std::string fix;
};

struct DoctorOptions {
  std::vector<std::string> tasks;
  std::string codegen_config;
};

std::string verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok: return "ok";
    case Verdict::unused: return "unused";
    case Verdict::warning: return "warning";
    case Verdict::failure: return "failure";
  }
  return "failure";
}

/// Looks at one thing after the other; nothing that it finds stops it.
class Doctor {
 public:
  Doctor(Session& session, const DoctorOptions& options) : session_(session), options_(options) {}

  std::vector<Finding> run() {
    check_programs();
    check_sandbox();
    check_data();
    check_postgres();
    check_disk();
    check_environment();
    if (!options_.codegen_config.empty()) {
      check_model_endpoints({"--config", options_.codegen_config});
    }
    check_server();
    return std::move(findings_);
  }

 private:
  void add(std::string check, Verdict verdict, std::string detail, std::string fix = "") {
    findings_.push_back({std::move(check), verdict, std::move(detail), std::move(fix)});
  }

  void check_programs() {
    dev::EnvironmentOptions environment;
    environment.programs = program_folder();
    const auto missing = dev::missing_programs(environment);
    std::string names;
    for (const std::string& name : missing) names += (names.empty() ? "" : " ") + name;
    if (missing.empty()) {
      add("programs", Verdict::ok, "version " CAMBRIAN_VERSION " in " + program_folder().string());
    } else {
      add("programs", Verdict::warning, "not in " + program_folder().string() + ": " + names,
          "build them with: scripts/dev ninja -C build/release " + names);
    }
  }

  /// The worker says itself what it can enforce here.
  void check_sandbox() {
    const auto worker = (program_folder() / "cambrian-worker").string();
    const auto output = run_program({worker, "probe", "--json"});
    const auto probe = output ? nlohmann::json::parse(output->text, nullptr, false)
                              : nlohmann::json(nlohmann::json::value_t::discarded);
    if (!probe.is_object()) {
      return add("sandbox", Verdict::warning, "cambrian-worker cannot tell what it can enforce",
                 "try it by hand: " + worker + " probe");
    }
    const std::string level = text_of(probe, "/sandbox/level");
    const bool is_good = level == "standard" || level == "strict";
    add("sandbox", is_good ? Verdict::ok : Verdict::failure,
        is_good ? level + ": " + list_of(probe, "/sandbox/walls")
                : level + " " + text_of(probe, "/sandbox/problem"),
        is_good ? ""
                : "allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1; in a "
                  "container: --security-opt seccomp=unconfined");
    if (const std::string missing = list_of(probe, "/sandbox/missing"); !missing.empty()) {
      add("sandbox walls", Verdict::unused, "this machine has none of: " + missing);
    }
    const std::string versions = text_of(probe, "/toolchain/versions");
    const std::string problem = text_of(probe, "/toolchain/problem");
    add("toolchain", problem.empty() ? Verdict::ok : Verdict::failure,
        problem.empty() ? versions : problem,
        problem.empty() ? "" : "install the packages of the set runtime in deploy/packages.txt");
    const std::string evaluators = list_of(probe, "/toolchain/evaluators");
    if (evaluators.empty()) return;
    const bool has_warm = evaluators.find("warm") != std::string::npos;
    add("evaluators", has_warm ? Verdict::ok : Verdict::unused,
        has_warm ? evaluators
                 : evaluators + "; warm needs Clang, and is built where libclang 19 is found");
  }

  static std::string text_of(const nlohmann::json& json, const char* path) {
    const nlohmann::json::json_pointer pointer(path);
    return json.contains(pointer) && json[pointer].is_string() ? json[pointer].get<std::string>()
                                                               : std::string();
  }

  static std::string list_of(const nlohmann::json& json, const char* path) {
    const nlohmann::json::json_pointer pointer(path);
    std::string list;
    if (!json.contains(pointer) || !json[pointer].is_array()) return list;
    for (const auto& entry : json[pointer]) {
      if (!entry.is_string()) continue;
      list += (list.empty() ? "" : ", ") + entry.get<std::string>();
    }
    return list;
  }

  /// The data of the tasks that were named, or of those in ./tasks.
  void check_data() {
    std::vector<fs::path> folders(options_.tasks.begin(), options_.tasks.end());
    std::error_code error;
    if (folders.empty()) {
      for (const auto& entry : fs::directory_iterator("tasks", error)) {
        if (fs::exists(entry.path() / "task.yaml", error)) folders.push_back(entry.path());
      }
    }
    std::set<std::string> seen;
    for (const fs::path& folder : folders) {
      const auto loaded = task::load_task_folder(folder);
      if (!loaded) {
        add("task", Verdict::failure, folder.string() + " has problems",
            "see: " + program_call() + " task validate " + folder.string());
        continue;
      }
      for (const auto& data : loaded->bundle.manifest().data()) {
        if (!data.path().starts_with('/') || !seen.insert(data.path()).second) continue;
        const bool is_there = access(data.path().c_str(), R_OK) == 0;
        add("data " + data.name(), is_there ? Verdict::ok : Verdict::failure,
            data.path() + (is_there ? "" : " is missing") + " (task " +
                loaded->bundle.manifest().name() + ")",
            is_there ? "" : data.hint());
      }
    }
  }

  void check_postgres() {
    const auto layout = dev::make_layout(dev_directory());
    const auto postgres = dev::Postgres::find(layout);
    add("postgresql", postgres ? Verdict::ok : Verdict::warning,
        postgres ? postgres->programs().string() : postgres.error().message,
        postgres ? "" : "apt-get install postgresql-17; only cambrian dev up needs it here");
  }

  void check_disk() {
    constexpr std::uintmax_t kFewBytes = 2'000'000'000;
    fs::path folder = dev_directory();
    std::error_code error;
    while (!fs::exists(folder, error) && folder.has_relative_path()) folder = folder.parent_path();
    const auto space = fs::space(folder, error);
    if (error) return;
    const bool is_low = space.available < kFewBytes;
    add("disk", is_low ? Verdict::warning : Verdict::ok,
        std::to_string(space.available / 1'000'000) + " MB free under " + folder.string(),
        is_low ? "make room: results are stored there" : "");
  }

  void check_environment() {
    const auto status = dev::status(dev_directory());
    if (!status || !*status || !(*status)->is_running) {
      add("local environment", Verdict::unused, "not running",
          "start it with: " + program_call() + " dev up");
      return;
    }
    for (const auto& one : (*status)->state.services) {
      if (one.phase == "ready") continue;
      add("local environment", Verdict::failure,
          one.name + " is " + one.phase + " (" + one.last_exit + ")",
          "see " + dev::make_layout(dev_directory()).log_of(one.name).string());
      return;
    }
    add("local environment", Verdict::ok, "everything runs");
    for (const auto& one : (*status)->state.services) {
      if (one.name == "codegen") check_model_endpoints(arguments_of(one.process.pid));
    }
  }

  /// With what a program was started, without its own name.
  static std::vector<std::string> arguments_of(pid_t pid) {
    std::ifstream input("/proc/" + std::to_string(pid) + "/cmdline", std::ios::binary);
    std::vector<std::string> arguments;
    for (std::string argument; std::getline(input, argument, '\0');) arguments.push_back(argument);
    if (!arguments.empty()) arguments.erase(arguments.begin());
    return arguments;
  }

  /// The codegen client asks itself: it alone may read the keys.
  void check_model_endpoints(std::vector<std::string> arguments) {
    const std::string program = (program_folder() / "cambrian-codegen").string();
    std::vector<std::string> command{program};
    command.insert(command.end(), arguments.begin(), arguments.end());
    command.insert(command.end(), {"probe", "--json"});
    const auto output = run_program(command);
    const auto probe = output ? nlohmann::json::parse(output->text, nullptr, false)
                              : nlohmann::json(nlohmann::json::value_t::discarded);
    if (!probe.is_object() || !probe.contains("endpoints")) {
      return add("model endpoint", Verdict::warning, "cambrian-codegen cannot ask it",
                 "try it by hand: " + program + " probe --config FILE");
    }
    for (const auto& one : probe["endpoints"]) {
      const std::string verdict = text_of(one, "/verdict");
      const std::string url = text_of(one, "/url");
      add("model endpoint " + text_of(one, "/name"),
          verdict == "ok"        ? Verdict::ok
          : verdict == "warning" ? Verdict::warning
                                 : Verdict::failure,
          url + (url.empty() ? "" : " ") + text_of(one, "/detail"), text_of(one, "/fix"));
    }
  }

  void check_server() {
    const auto endpoint = session_.endpoint();
    if (!endpoint) return add("server", Verdict::failure, endpoint.error().message);
    const auto workers =
        session_.call(&user::v1::WorkerService::Stub::ListWorkers, user::v1::ListWorkersRequest());
    const std::string where = endpoint->address + " (" + endpoint->origin + ")";
    if (!workers) {
      // The call reads the database: its message tells which of the two is away.
      return add(
          "server", Verdict::failure, where + ": " + plain_reason(workers.error().message),
          "start one with: " + program_call() + " dev up; or name another one with --endpoint");
    }
    add("server", Verdict::ok, where + " answers, its database too");
    check_agents(*workers);
    check_model_calls();
  }

  void check_agents(const user::v1::ListWorkersResponse& response) {
    int workers = 0;
    int codegens = 0;
    std::set<std::string> others;
    for (const auto& one : response.workers()) {
      if (one.state() != user::v1::WORKER_STATE_ALIVE) continue;
      const bool is_worker = one.description().kind() == agent::v1::AGENT_KIND_WORKER;
      workers += is_worker ? 1 : 0;
      codegens += is_worker ? 0 : 1;
      if (one.description().version() != CAMBRIAN_VERSION) {
        others.insert(one.description().name() + " " + one.description().version());
      }
    }
    add("workers", workers > 0 ? Verdict::ok : Verdict::failure, std::to_string(workers) + " alive",
        workers > 0 ? "" : "start one with: cambrian-worker --coordinator HOST:PORT");
    add("codegen clients", codegens > 0 ? Verdict::ok : Verdict::failure,
        std::to_string(codegens) + " alive",
        codegens > 0 ? "" : "start one with: cambrian-codegen --config FILE");
    for (const auto& one : response.workers()) {
      const std::string& name = one.description().name();
      if (const auto& trouble = one.description().trouble(); !trouble.empty()) {
        add("worker " + name, Verdict::warning, "takes no work: " + trouble,
            "make room there: its log names the folder");
      }
      if (one.quarantine_evidence().empty()) continue;
      add("worker " + name, Verdict::warning, "gets no work: " + one.quarantine_evidence(),
          "once it is mended: " + program_call() + " worker release " + name);
    }
    for (const std::string& other : others) {
      add("version", Verdict::warning, "another version: " + other, "use one version everywhere");
    }
  }

  void check_model_calls() {
    const auto usage =
        session_.call(&user::v1::CodegenService::Stub::GetUsage, user::v1::GetUsageRequest());
    if (!usage) return;
    for (const auto& one : usage->models()) {
      const bool is_dead = one.calls() > 0 && one.calls_failed() == one.calls();
      add("model " + one.model(), is_dead ? Verdict::failure : Verdict::ok,
          std::to_string(one.calls()) + " calls, " + std::to_string(one.calls_failed()) +
              " failed, at " + one.endpoint(),
          is_dead ? "check base_url and key of the codegen client; its log says more" : "");
    }
  }

  Session& session_;
  const DoctorOptions& options_;
  std::vector<Finding> findings_;
};

int run_doctor(Session& session, const DoctorOptions& options) {
  const auto findings = Doctor(session, options).run();
  bool is_healthy = true;
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    is_healthy = is_healthy && finding.verdict != Verdict::failure;
    json.push_back({{"check", finding.check},
                    {"verdict", verdict_name(finding.verdict)},
                    {"detail", finding.detail},
                    {"fix", finding.fix}});
  }
  const nlohmann::ordered_json document{{"is_healthy", is_healthy}, {"findings", json}};
  if (session.format() == Format::json) {
    session.print(document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
                  "\n");
  } else if (session.format() == Format::yaml) {
    session.print(json_to_yaml(document));
  } else {
    for (const Finding& finding : findings) {
      const char* style = finding.verdict == Verdict::failure   ? "1;31"
                          : finding.verdict == Verdict::warning ? "33"
                                                                : "32";
      const std::string name = verdict_name(finding.verdict);
      session.print(styled(name, style, session.terminal().out.has_color) +
                    std::string(9 - name.size(), ' ') + finding.check + ": " +
                    printable(finding.detail) + "\n");
      if (!finding.fix.empty()) session.print("         fix: " + finding.fix + "\n");
    }
  }
  return to_int(is_healthy ? ExitCode::ok : ExitCode::failure);
}

}  // namespace

void add_doctor_command(Cli& cli) {
  auto options = std::make_shared<DoctorOptions>();
  CLI::App* command = cli.add(&cli.app, "doctor", "find out what does not work, and how to mend it",
                              "cambrian doctor --task tasks/fashion-mnist");
  command->add_option("--task", options->tasks, "task folder whose data are looked for");
  command->add_option("--codegen-config", options->codegen_config,
                      "configuration of a codegen client whose endpoints are asked");
  cli.on(command, [options](Session& session) { return run_doctor(session, *options); });
}

}  // namespace cambrian::cli
