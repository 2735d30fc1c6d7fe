#pragma once

#include <csignal>

#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "cli/dev/layout.hpp"

namespace cambrian::cli::dev {

/// What `dev up` was asked for.
struct EnvironmentOptions {
  std::filesystem::path directory;
  std::filesystem::path programs;  ///< Folder of the programs.
  int workers = 1;
  int slots = 0;               ///< Evaluations at once of each worker; 0: the cores, shared.
  std::string listen;          ///< Of the coordinator; empty: 127.0.0.1:7070, or a free port.
  std::string base_url;        ///< Of another model endpoint; empty: the embedded code model.
  std::string model;           ///< Model at that endpoint.
  std::string key_file;        ///< File with the key of that endpoint; empty: none.
  std::string codegen_config;  ///< Configuration file of the codegen client instead of both.
  std::string worker_config;   ///< Configuration file of the workers.
};

/// Addresses that stay the same while services come and go.
struct Addresses {
  std::string coordinator;
  std::string metrics;
  std::string code_model;
};

/// How the supervisor finds out that a service can be used.
enum class Readiness {
  postgres,      ///< Its pid file says so.
  address_file,  ///< It wrote the file.
  alive,         ///< It lives for a moment.
};

/// One program and how to treat it.
struct Service {
  std::string name;
  std::vector<std::string> arguments;
  Readiness readiness = Readiness::alive;
  int stop_signal = SIGTERM;
  std::chrono::seconds stop_timeout{10};
  std::vector<std::string> needs;  ///< Services that must be ready before.
  /// Exit code 0 says that it was told to end: drained, or idle for as long as its configuration
  /// allows. It stays down then.
  bool is_agent = false;
};

/// The coordinator, the code model, the codegen client and the workers, in the order of their
/// start. PostgreSQL is not among them.
std::vector<Service> make_services(const EnvironmentOptions& options, const Layout& layout,
                                   const Addresses& addresses, const std::string& database);

/// Changes when a program or an option changes: then the environment must be started anew.
std::string fingerprint(const EnvironmentOptions& options);

/// Programs that are missing in the folder; empty: all there.
std::vector<std::string> missing_programs(const EnvironmentOptions& options);

}  // namespace cambrian::cli::dev
