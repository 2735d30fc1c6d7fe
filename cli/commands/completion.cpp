#include <CLI/CLI.hpp>
#include <memory>
#include <set>

#include "cambrian/user/v1/campaign_service.grpc.pb.h"
#include "cli/cli.hpp"

namespace cambrian::cli {
namespace {

/// Both shells ask the program itself, as it is called on the line (it need not be in PATH), so
/// that they never know less than it does.
constexpr const char* kBash = R"(# bash completion for cambrian: source <(cambrian completion bash)
_cambrian() {
  local IFS=$'\n'
  COMPREPLY=($("${1/#\~/$HOME}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  if [ ${#COMPREPLY[@]} -eq 0 ]; then COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")); fi
}
complete -F _cambrian cambrian
)";

constexpr const char* kZsh = R"(#compdef cambrian
# zsh completion for cambrian: source <(cambrian completion zsh)
_cambrian() {
  local -a candidates
  candidates=("${(@f)$(${~words[1]} __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [ -n "${candidates[1]}" ]; then compadd -a candidates; else _files; fi
}
compdef _cambrian cambrian
)";

constexpr double kServerSeconds = 0.2;

bool has_values(CLI::App* app, const std::string& word) {
  for (; app != nullptr; app = app->get_parent()) {
    if (const CLI::Option* option = app->get_option_no_throw(word)) {
      return option->get_items_expected_max() > 0;
    }
  }
  return false;
}

/// Where a half-written line stands.
struct Position {
  CLI::App* app;
  int arguments = 0;  ///< Positional ones before the word.
  std::string word;   ///< What is written of it.
};

Position find_position(CLI::App* app, const std::vector<std::string>& words) {
  Position position{app, 0, words.empty() ? "" : words.back()};
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i].starts_with('-')) {
      if (has_values(position.app, words[i]) && i + 2 < words.size()) ++i;
    } else if (CLI::App* next = find_command(position.app, words[i])) {
      position.app = next;
    } else {
      ++position.arguments;
    }
  }
  return position;
}

std::vector<std::string> campaign_names(const GlobalOptions& options) {
  GlobalOptions quick = options;
  quick.timeout_seconds = kServerSeconds;
  Session session(quick, {});
  const auto response = session.call(&user::v1::CampaignService::Stub::ListCampaigns,
                                     user::v1::ListCampaignsRequest());
  std::vector<std::string> names;
  // No server, no names: a completion must not complain.
  if (!response) return names;
  for (const auto& one : response->campaigns()) names.push_back(one.name());
  return names;
}

int run_complete(Session& session, CLI::App* root, const std::vector<std::string>& words) {
  const Position position = find_position(root, words);
  std::set<std::string> candidates;
  if (position.word.starts_with('-')) {
    for (CLI::App* app = position.app; app != nullptr; app = app->get_parent()) {
      for (const CLI::Option* option : app->get_options()) {
        for (const std::string& name : option->get_lnames()) candidates.insert("--" + name);
      }
    }
  } else {
    for (const CLI::App* command : position.app->get_subcommands([](CLI::App*) { return true; })) {
      if (!command->get_group().empty()) candidates.insert(command->get_name());
    }
    const bool wants_campaign = position.arguments == 0 && candidates.empty() &&
                                position.app->get_option_no_throw("CAMPAIGN") != nullptr;
    if (wants_campaign) {
      for (const std::string& name : campaign_names(session.options())) candidates.insert(name);
    }
  }
  for (const std::string& candidate : candidates) {
    if (candidate.starts_with(position.word)) session.print(candidate + "\n");
  }
  return to_int(ExitCode::ok);
}

}  // namespace

void add_completion_commands(Cli& cli) {
  CLI::App* parent = cli.add(&cli.app, "completion", "completion for a shell",
                             "source <(cambrian completion bash)");
  parent->require_subcommand(1);
  cli.on(cli.add(parent, "bash", "script for bash"), [](Session& session) {
    session.print(kBash);
    return to_int(ExitCode::ok);
  });
  cli.on(cli.add(parent, "zsh", "script for zsh"), [](Session& session) {
    session.print(kZsh);
    return to_int(ExitCode::ok);
  });
  auto words = std::make_shared<std::vector<std::string>>();
  CLI::App* complete = cli.add(&cli.app, "__complete", "candidates for a half-written line");
  complete->group("");
  complete->add_option("WORDS", *words, "the line without the program");
  cli.on(complete, [words, root = &cli.app](Session& session) {
    return run_complete(session, root, *words);
  });
}

}  // namespace cambrian::cli
