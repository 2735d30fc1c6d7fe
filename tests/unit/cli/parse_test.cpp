#include <catch2/catch_test_macros.hpp>

#include <CLI/CLI.hpp>
#include <fstream>
#include <set>

#include "cli/cli.hpp"

namespace cambrian::cli {
namespace {

/// Parses a line. The exit code, or nothing where a command was chosen.
struct Parsed {
  std::optional<int> code;
  bool has_action = false;
  GlobalOptions options;
};

Parsed parse_line(const std::vector<std::string>& words) {
  Cli cli;
  build(cli);
  Parsed parsed;
  parsed.code = parse(cli, words);
  parsed.has_action = static_cast<bool>(cli.action);
  parsed.options = cli.options;
  return parsed;
}

TEST_CASE("parse: chooses a command wherever the flags stand", "[unit][cli]") {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"-o", "json", "campaign", "get", "a"},
        {"campaign", "-o", "json", "get", "a"},
        {"campaign", "get", "a", "-o", "json"},
        {"campaign", "get", "a", "--json", "--output=json"}}) {
    const Parsed parsed = parse_line(words);
    CHECK_FALSE(parsed.code);
    CHECK(parsed.has_action);
    CHECK(parsed.options.output == "json");
  }
}

TEST_CASE("parse: a campaign may be named like a command", "[unit][cli]") {
  CHECK_FALSE(parse_line({"campaign", "get", "list"}).code);
  CHECK_FALSE(parse_line({"variant", "diff", "worker", "1", "2"}).code);
}

TEST_CASE("parse: every mistake is exit code 2, never CLI11's own", "[unit][cli]") {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"campain"},
                                                {"campaign"},
                                                {"campaign", "lst"},
                                                {"campaign", "get"},
                                                {"campaign", "get", "a", "b"},
                                                {"campaign", "list", "--endpont", "x"},
                                                {"campaign", "list", "-o", "xml"},
                                                {"campaign", "list", "--limit", "many"},
                                                {"campaign", "list", "--limit"},
                                                {"--timeout", "-5", "campaign", "list"},
                                                {"dev", "up", "--workers", "0"}}) {
    const Parsed parsed = parse_line(words);
    INFO(words.back());
    CHECK(parsed.code == 2);
    CHECK_FALSE(parsed.has_action);
  }
}

TEST_CASE("parse: help and version succeed", "[unit][cli]") {
  CHECK(parse_line({"--help"}).code == 0);
  CHECK(parse_line({"campaign", "submit", "--help"}).code == 0);
  CHECK(parse_line({"--version"}).code == 0);
  CHECK(parse_line({}).code == 0);
}

TEST_CASE("build: every visible command has a description and can be reached", "[unit][cli]") {
  Cli cli;
  build(cli);
  std::set<std::string> nouns;
  for (CLI::App* noun : cli.app.get_subcommands([](CLI::App*) { return true; })) {
    nouns.insert(noun->get_name());
    CHECK_FALSE(noun->get_description().empty());
    for (CLI::App* verb : noun->get_subcommands([](CLI::App*) { return true; })) {
      CHECK_FALSE(verb->get_description().empty());
      const std::string help = verb->help();
      CHECK((verb->get_group().empty() || noun->get_name() == "completion" ||
             help.find("Example:") != std::string::npos));
    }
  }
  for (const char* noun : {"dev", "task", "campaign", "variant", "worker", "usage", "doctor",
                           "config", "admin", "help", "version", "completion", "demo"}) {
    CHECK(nouns.contains(noun));
  }
}

TEST_CASE("exit_code_for: every kind of error has its code", "[unit][cli]") {
  CHECK(exit_code_for(Errc::not_found) == ExitCode::not_found);
  CHECK(exit_code_for(Errc::unavailable) == ExitCode::unreachable);
  CHECK(exit_code_for(Errc::deadline_exceeded) == ExitCode::unreachable);
  CHECK(exit_code_for(Errc::invalid_argument) == ExitCode::invalid_spec);
  CHECK(exit_code_for(Errc::cancelled) == ExitCode::interrupted);
  CHECK(exit_code_for(Errc::conflict) == ExitCode::failure);
}

TEST_CASE("resolve_endpoint: the nearest source wins", "[unit][cli]") {
  const std::string folder = "/tmp/cambrian-endpoint-" + std::to_string(getpid());
  std::filesystem::create_directories(folder);
  const std::string file = folder + "/config.yaml";
  setenv("CAMBRIAN_CONFIG", file.c_str(), 1);
  setenv("CAMBRIAN_DEV_DIRECTORY", folder.c_str(), 1);
  unsetenv("CAMBRIAN_ENDPOINT");
  unsetenv("CAMBRIAN_CONTEXT");
  GlobalOptions options;
  CHECK(resolve_endpoint(options)->address == "127.0.0.1:7070");
  std::ofstream(file) << "current_context: lab\ncontexts:\n  lab: {endpoint: lab:1}\n"
                         "  home: {endpoint: home:2}\n";
  CHECK(resolve_endpoint(options)->address == "lab:1");
  setenv("CAMBRIAN_CONTEXT", "home", 1);
  CHECK(resolve_endpoint(options)->address == "home:2");
  setenv("CAMBRIAN_ENDPOINT", "env:3", 1);
  CHECK(resolve_endpoint(options)->address == "env:3");
  options.context = "lab";
  CHECK(resolve_endpoint(options)->address == "lab:1");
  options.context = "labb";
  CHECK(resolve_endpoint(options).error().message ==
        "unknown context \"labb\" (--context), did you mean \"lab\"?");
  options.endpoint = "flag:4";
  CHECK(resolve_endpoint(options)->address == "flag:4");
  unsetenv("CAMBRIAN_ENDPOINT");
  unsetenv("CAMBRIAN_CONTEXT");
  options = {};
  std::ofstream(file) << "current_contxt: lab\n";
  CHECK(resolve_endpoint(options).error().code == Errc::invalid_argument);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace cambrian::cli
