#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "codegen-client/model_server/chat/answer.hpp"
#include "codegen-client/model_server/http/server.hpp"
#include "common/log/log.hpp"

namespace {

using namespace cambrian;

struct ServeOptions {
  std::string listen = "127.0.0.1:8000";
  std::string address_file;
  bool has_faults = false;
};

struct ProposeOptions {
  std::string program;
  std::string language;
  std::vector<std::string> donors;
  std::string task = "diff";
  int count = 10;
  std::uint64_t seed = 1;
  std::string out;
};

/// Other programs wait for this file: it appears complete or not at all.
Status write_address_file(const std::string& path, const std::string& address) {
  const std::string temporary = path + ".tmp";
  {
    std::ofstream file(temporary, std::ios::trunc);
    file << "{\"http\":\"" << address << "\"}\n";
    if (!file.flush()) return fail(Errc::unavailable, "cannot write " + temporary);
  }
  std::error_code error;
  std::filesystem::rename(temporary, path, error);
  if (error) return fail(Errc::unavailable, "cannot write " + path + ": " + error.message());
  return {};
}

Status serve(const ServeOptions& options) {
  boost::asio::io_context context(1);
  codemodel::ChatService service({.has_faults = options.has_faults});
  codemodel::HttpServer server(context, service, {});
  CAMBRIAN_TRY(const std::string address, server.listen(options.listen));
  if (!options.address_file.empty()) {
    CAMBRIAN_TRY_STATUS(write_address_file(options.address_file, address));
  }
  boost::asio::signal_set signals(context, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code& error, int number) {
    if (error) return;
    log::info("shutdown_started", {{"signal", number}});
    server.stop();
  });
  log::info("server_started", {{"address", address}, {"faults", options.has_faults}});
  context.run();
  log::info("server_stopped");
  return {};
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return fail(Errc::not_found, "cannot read " + path);
  return text.str();
}

codemodel::Task task_of(const std::string& name) {
  if (name == "rewrite") return codemodel::Task::rewrite;
  if (name == "simplify") return codemodel::Task::simplify;
  return name == "crossover" ? codemodel::Task::crossover : codemodel::Task::diff;
}

/// Writes variants of one file and prints which operators made them: to see and to measure what
/// the model does, without a server.
Status propose(const ProposeOptions& options) {
  const std::string name = std::filesystem::path(options.program).filename();
  const auto language = source::language_from_name(!options.language.empty() ? options.language
                                                   : name.ends_with(".py")   ? "python"
                                                                             : "cpp");
  codemodel::MutationRequest request;
  request.task = task_of(options.task);
  CAMBRIAN_TRY(request.parent.files[name], read_file(options.program));
  request.parent.languages[name] = language;
  for (const std::string& path : options.donors) {
    codemodel::Program donor{.files = {}, .languages = {{name, language}}};
    CAMBRIAN_TRY(donor.files[name], read_file(path));
    request.donors.push_back(std::move(donor));
  }
  const std::filesystem::path out = options.out;
  std::error_code error;
  std::filesystem::create_directories(out, error);
  for (int i = 0; i < options.count; ++i) {
    request.seed = Rng(options.seed).split(static_cast<std::uint64_t>(i)).next();
    CAMBRIAN_TRY(const codemodel::Proposal proposal, codemodel::propose(request));
    const std::string file =
        out / (std::to_string(i) + std::filesystem::path(name).extension().string());
    std::ofstream(file) << proposal.files.at(name);
    std::cout << file;
    for (std::size_t k = 0; k < proposal.operators.size(); ++k) {
      std::cout << '\t' << proposal.operators[k] << ": " << proposal.notes[k];
    }
    std::cout << '\n';
    if (!std::cout) return fail(Errc::unavailable, "cannot write to stdout");
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"A local code model: an OpenAI-compatible server without network and key"};
  ServeOptions serving;
  app.add_option("--listen", serving.listen, "IP:PORT to serve; port 0 takes a free one")
      ->capture_default_str();
  app.add_option("--address-file", serving.address_file,
                 "file that gets {\"http\":\"IP:PORT\"} when the server is ready");
  app.add_flag("--faults", serving.has_faults, "offer the models fault-…, for tests of clients");
  ProposeOptions proposing;
  CLI::App* propose_command =
      app.add_subcommand("propose", "write variants of a program and exit, without a server");
  propose_command->add_option("--program", proposing.program, "file to change")->required();
  propose_command->add_option("--language", proposing.language, "cpp or python; default: by name");
  propose_command->add_option("--donor", proposing.donors, "other program to take parts from");
  propose_command->add_option("--operator", proposing.task, "diff, rewrite, crossover or simplify")
      ->check(CLI::IsMember({"diff", "rewrite", "crossover", "simplify"}))
      ->capture_default_str();
  propose_command->add_option("--count", proposing.count, "number of variants")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  propose_command->add_option("--seed", proposing.seed, "seed")->capture_default_str();
  propose_command->add_option("--out", proposing.out, "folder for the variants")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool is_help = error.get_exit_code() == 0;
    app.exit(error);
    return is_help ? 0 : 2;
  }
  try {
    const Status status = propose_command->parsed() ? propose(proposing) : serve(serving);
    if (status) return 0;
    std::cerr << "error: " << status.error().message << '\n';
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
  }
  return 1;
}
