#include <CLI/CLI.hpp>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/cli.hpp"
#include "cli/commands/event_stream.hpp"
#include "coordinator/journal/replay.hpp"

namespace cambrian::cli {
namespace {

using coordinator::journal::Replay;
using Json = nlohmann::ordered_json;

struct ReplayOptions {
  std::string name;
  std::string file;
};

/// The events.jsonl of an export: one event of the public API on each line.
Status replay_file(const std::string& path, Replay& replay) {
  std::ifstream input(path);
  if (!input) return fail(Errc::not_found, "cannot read " + path);
  std::int64_t number = 0;
  for (std::string line; std::getline(input, line);) {
    ++number;
    try {
      const auto event = nlohmann::json::parse(line);
      CAMBRIAN_TRY_STATUS(replay.take(std::stoll(event.at("sequence").get<std::string>()),
                                      event.at("type").get<std::string>(),
                                      event.at("json").get<std::string>()));
    } catch (const std::exception& error) {
      return fail(Errc::invalid_argument,
                  "not an event: " + path + ":" + std::to_string(number) + ": " + error.what());
    }
  }
  return {};
}

Status replay_history(Session& session, const std::string& name, Replay& replay) {
  Status taken;
  CAMBRIAN_TRY_STATUS(read_history(session, name, [&](const user::v1::Event& event) {
    if (taken) taken = replay.take(event.sequence(), event.type(), event.json());
  }));
  return taken;
}

Json json_of(const std::string& name, const Replay& replay) {
  Json json{{"campaign", name},
            {"inputs", replay.inputs()},
            {"derived_events", replay.derived()},
            {"has_ended", replay.has_ended()},
            {"is_identical", !replay.difference()}};
  if (const auto& difference = replay.difference()) {
    json["difference"] = {{"sequence", difference->sequence},
                          {"recorded", difference->recorded},
                          {"derived", difference->derived}};
  }
  return json;
}

std::string text_of(const std::string& name, const Replay& replay) {
  const std::string counts = name + ": " + std::to_string(replay.inputs()) + " inputs, " +
                             std::to_string(replay.derived()) + " derived events: ";
  if (!replay.difference()) {
    return counts + "identical" + (replay.has_ended() ? "" : " so far") + "\n";
  }
  const auto or_nothing = [](const std::string& text) { return text.empty() ? "nothing" : text; };
  return counts + "different\n  event     " + std::to_string(replay.difference()->sequence) +
         "\n  recorded  " + or_nothing(replay.difference()->recorded) + "\n  derived   " +
         or_nothing(replay.difference()->derived) + "\n";
}

int run_replay(Session& session, const ReplayOptions& options) {
  if (options.name.empty() == options.file.empty()) {
    return session.fail(ExitCode::usage, "name a campaign, or a file with --file, not both",
                        "cambrian campaign replay NAME");
  }
  Replay replay;
  const Status status = options.file.empty() ? replay_history(session, options.name, replay)
                                             : replay_file(options.file, replay);
  if (!status) return session.fail(status.error());
  replay.finish();
  const std::string& name = options.file.empty() ? options.name : options.file;
  switch (session.format()) {
    case Format::json:
    case Format::yaml: session.print_object(json_of(name, replay)); break;
    case Format::name: break;
    case Format::table:
    case Format::wide: session.print(text_of(name, replay)); break;
  }
  return to_int(replay.difference() ? ExitCode::failure : ExitCode::ok);
}

}  // namespace

void add_campaign_replay_command(Cli& cli, CLI::App* campaign) {
  auto options = std::make_shared<ReplayOptions>();
  CLI::App* replay = cli.add(campaign, "replay", "repeat the search from its log and compare",
                             "cambrian campaign replay NAME");
  replay->add_option("CAMPAIGN", options->name, "name of the campaign");
  replay->add_option("--file", options->file, "events.jsonl of an export, without a server");
  cli.on(replay, [options](Session& session) { return run_replay(session, *options); });
}

}  // namespace cambrian::cli
