#include <CLI/CLI.hpp>
#include <format>
#include <memory>

#include "cambrian/user/v1/operation_service.grpc.pb.h"
#include "cli/cli.hpp"
#include "cli/dev/state.hpp"
#include "cli/output/table.hpp"
#include "cli/output/text.hpp"
#include "cli/paths.hpp"

namespace cambrian::cli {
namespace {

using user::v1::CodegenService;
using user::v1::WorkerService;

std::string running_text(const user::v1::Worker& worker) {
  std::string text;
  for (const auto& progress : worker.running()) {
    text += (text.empty() ? "" : ", ") + progress.phase();
    if (progress.has_fraction()) {
      text += ":" + std::to_string(static_cast<int>(progress.fraction() * 100)) + "%";
    }
    if (progress.has_step()) text += " step " + std::to_string(progress.step());
    if (progress.has_loss()) text += std::format(" loss {:.4g}", progress.loss());
  }
  return text;
}

std::string runtimes_text(const agent::v1::AgentDescription& agent) {
  std::string text;
  for (const int runtime : agent.runtimes()) {
    text += (text.empty() ? "" : ",") +
            short_enum(spec::v1::Runtime_Name(static_cast<spec::v1::Runtime>(runtime)), "RUNTIME_");
  }
  return text.empty() ? "-" : text;
}

// How many of how many are usable, and what is wrong with the others.
std::string gpus_text(const agent::v1::AgentDescription& who) {
  int usable = 0;
  std::string troubles;
  for (const auto& gpu : who.gpus()) {
    if (gpu.trouble().empty()) {
      ++usable;
      continue;
    }
    troubles += (troubles.empty() ? " (" : "; ") + gpu.id() + ": " + gpu.trouble();
  }
  if (troubles.empty()) return std::to_string(usable);
  return std::to_string(usable) + "/" + std::to_string(who.gpus_size()) + troubles + ")";
}

std::string worker_table(const user::v1::ListWorkersResponse& response, const Session& session) {
  Table table({{.title = "NAME"},
               {.title = "KIND"},
               {.title = "STATE"},
               {.title = "BUSY", .is_right = true},
               {.title = "DONE", .is_right = true},
               {.title = "DISPUTED", .is_right = true},
               {.title = "SEEN", .is_right = true},
               {.title = "GPUS", .is_right = true, .is_wide = true},
               {.title = "RUNTIMES", .is_wide = true},
               {.title = "SANDBOX", .is_wide = true},
               {.title = "VERSION", .is_wide = true},
               {.title = "ID", .is_wide = true},
               {.title = "DOING"}});
  const auto now = std::chrono::system_clock::now();
  for (const auto& one : response.workers()) {
    const auto& who = one.description();
    table.add({who.name(), short_enum(agent::v1::AgentKind_Name(who.kind()), "AGENT_KIND_"),
               short_enum(user::v1::WorkerState_Name(one.state()), "WORKER_STATE_"),
               std::to_string(one.leases()) + "/" + std::to_string(who.slots()),
               std::to_string(one.attempts_finished()), std::to_string(one.jumps_disputed()),
               format_age(one.last_sync_time(), now), gpus_text(who), runtimes_text(who),
               short_enum(spec::v1::SandboxLevel_Name(who.sandbox_level()), "SANDBOX_LEVEL_"),
               who.version(), who.agent_id(), running_text(one)});
  }
  return table.render(session.table_style());
}

int run_list(Session& session, bool with_lost) {
  user::v1::ListWorkersRequest request;
  request.set_with_lost(with_lost);
  const auto response = session.call(&WorkerService::Stub::ListWorkers, request);
  if (!response) return session.fail(response.error());
  if (session.format() == Format::name) {
    for (const auto& one : response->workers()) session.print(one.description().name() + "\n");
  } else if (!session.is_for_people()) {
    session.print_document(*response);
  } else if (response->workers().empty()) {
    session.note("no workers; start one with: cambrian-worker --coordinator " +
                 session.endpoint()->address);
  } else {
    session.print(worker_table(*response, session));
    for (const auto& one : response->workers()) {
      const auto& name = one.description().name();
      if (const auto& trouble = one.description().trouble(); !trouble.empty()) {
        session.note(name + " takes no work: " + trouble);
      }
      if (one.quarantine_evidence().empty()) continue;
      session.note(name + " gets no work: " + one.quarantine_evidence() +
                   "; once it is mended: " + program_call() + " worker release " + name);
    }
  }
  return to_int(ExitCode::ok);
}

/// The server is that of the local environment, which starts its workers itself.
bool is_local(Session& session) {
  const auto endpoint = session.endpoint();
  return endpoint && endpoint->address == dev::running_endpoint(dev_directory());
}

int run_drain(Session& session, const std::string& name) {
  user::v1::DrainWorkerRequest request;
  request.set_worker(name);
  request.set_request_id(make_request_id());
  const auto response = session.call(&WorkerService::Stub::DrainWorker, request);
  if (!response)
    return session.fail(response.error(), "list them with: " + program_call() + " worker list");
  if (session.format() == Format::name) {
    session.print(response->worker().description().name() + "\n");
  } else if (!session.is_for_people()) {
    session.print_document(response->worker());
  } else {
    session.print("worker " + name + " finishes what it does and exits\n");
    if (is_local(session)) {
      session.note("it stays down until: " + program_call() + " dev up");
    }
  }
  return to_int(ExitCode::ok);
}

int run_release(Session& session, const std::string& name) {
  user::v1::ReleaseWorkerRequest request;
  request.set_worker(name);
  request.set_request_id(make_request_id());
  const auto response = session.call(&WorkerService::Stub::ReleaseWorker, request);
  if (!response)
    return session.fail(response.error(), "list them with: " + program_call() + " worker list");
  if (session.format() == Format::name) {
    session.print(name + "\n");
  } else if (!session.is_for_people()) {
    session.print_document(*response);
  } else {
    session.print("worker " + name + " gets work again; it was in quarantine because " +
                  response->quarantine_evidence() + "\n");
  }
  return to_int(ExitCode::ok);
}

int run_usage(Session& session, const std::string& campaign) {
  user::v1::GetUsageRequest request;
  request.set_campaign(campaign);
  const auto response = session.call(&CodegenService::Stub::GetUsage, request);
  if (!response) return session.fail(response.error());
  if (session.format() == Format::name) {
    for (const auto& one : response->models()) session.print(one.model() + "\n");
    return to_int(ExitCode::ok);
  }
  if (!session.is_for_people()) {
    session.print_document(*response);
    return to_int(ExitCode::ok);
  }
  Table table({{.title = "MODEL"},
               {.title = "ENDPOINT"},
               {.title = "CALLS", .is_right = true},
               {.title = "FAILED", .is_right = true},
               {.title = "VARIANTS", .is_right = true},
               {.title = "UNKNOWN", .is_right = true, .is_wide = true},
               {.title = "PROMPT", .is_right = true},
               {.title = "CACHED", .is_right = true, .is_wide = true},
               {.title = "ANSWER", .is_right = true},
               {.title = "THOUGHTS", .is_right = true, .is_wide = true},
               {.title = "COST", .is_right = true},
               {.title = "LATENCY", .is_right = true}});
  for (const auto& one : response->models()) {
    table.add({one.model(), one.endpoint(), std::to_string(one.calls()),
               std::to_string(one.calls_failed()), std::to_string(one.variants()),
               std::to_string(one.calls_unknown()), format_count(one.prompt_tokens()),
               format_count(one.cached_prompt_tokens()), format_count(one.completion_tokens()),
               format_count(one.reasoning_tokens()), format_cost(one.cost_micro_usd()),
               format_duration(to_milliseconds(one.latency_mean()))});
  }
  session.print(table.render(session.table_style()));
  return to_int(ExitCode::ok);
}

}  // namespace

void add_worker_commands(Cli& cli) {
  CLI::App* parent = cli.add(&cli.app, "worker", "workers and codegen clients");
  parent->require_subcommand(1);
  auto with_lost = std::make_shared<bool>(false);
  CLI::App* list = cli.add(parent, "list", "agents and what they do", "cambrian worker list");
  list->add_flag("--all", *with_lost, "lost agents too");
  cli.on(list, [with_lost](Session& session) { return run_list(session, *with_lost); });
  auto name = std::make_shared<std::string>();
  CLI::App* drain =
      cli.add(parent, "drain", "let an agent finish and exit", "cambrian worker drain worker-1");
  drain->add_option("WORKER", *name, "name or id")->required();
  cli.on(drain, [name](Session& session) { return run_drain(session, *name); });
  CLI::App* release = cli.add(parent, "release", "let a worker in quarantine work again",
                              "cambrian worker release worker-1");
  release->add_option("WORKER", *name, "name")->required();
  cli.on(release, [name](Session& session) { return run_release(session, *name); });
  auto campaign = std::make_shared<std::string>();
  CLI::App* usage = cli.add(&cli.app, "usage", "what the models cost", "cambrian usage");
  usage->add_option("--campaign", *campaign, "only this campaign");
  cli.on(usage, [campaign](Session& session) { return run_usage(session, *campaign); });
}

}  // namespace cambrian::cli
