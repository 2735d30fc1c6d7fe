#pragma once

#include <string>

#include "cli/dev/environment.hpp"
#include "cli/session.hpp"

/// How the commands show the local environment.
namespace cambrian::cli {

/// Fills in folder and programs.
dev::EnvironmentOptions complete(dev::EnvironmentOptions options);

/// Steps go to stderr.
dev::Report reporter(const Session& session);

/// Waits until the coordinator knows the codegen client and all workers: a process that lives is
/// not yet one that works. Errors: deadline_exceeded after 30 s, with the folder of the logs.
Status wait_for_agents(const Session& caller, const dev::State& state,
                       const dev::EnvironmentOptions& options);

/// Addresses, and what to do next.
std::string describe(const dev::UpResult& result, const dev::EnvironmentOptions& options);

/// JSON, YAML, or the endpoint alone for -o name.
std::string state_document(const dev::State& state, bool is_running, Format format);

std::string service_table(const dev::State& state, const Session& session);

}  // namespace cambrian::cli
