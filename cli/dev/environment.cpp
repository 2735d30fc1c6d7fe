#include "cli/dev/environment.hpp"

#include <csignal>

#include <algorithm>
#include <set>

#include "cli/dev/network.hpp"
#include "cli/dev/postgres.hpp"
#include "cli/dev/process.hpp"
#include "common/rpc/backoff.hpp"

namespace cambrian::cli::dev {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::chrono::seconds kUpTimeout{120};
/// The sum of all stop timeouts, and a little more.
constexpr std::chrono::seconds kDownTimeout{75};
constexpr std::chrono::seconds kOrphanTimeout{10};
/// A supervisor that has the lock looks for PostgreSQL before it writes its first state.
constexpr std::chrono::seconds kLockToStateTimeout{10};
constexpr milliseconds kPollInterval{50};
constexpr std::size_t kErrorBytesMax = 2000;

std::vector<std::string> supervisor_command(const EnvironmentOptions& options) {
  std::vector<std::string> command{(options.programs / "cambrian").string(),
                                   "dev",
                                   "supervise",
                                   "--directory",
                                   options.directory.string(),
                                   "--workers",
                                   std::to_string(options.workers)};
  const auto add = [&](const char* flag, const std::string& value) {
    if (!value.empty()) command.insert(command.end(), {flag, value});
  };
  add("--slots", options.slots > 0 ? std::to_string(options.slots) : "");
  add("--listen", options.listen);
  add("--base-url", options.base_url);
  add("--model", options.model);
  add("--key-file", options.key_file);
  add("--codegen-config", options.codegen_config);
  add("--worker-config", options.worker_config);
  return command;
}

/// Ends the children of a supervisor that was killed. PostgreSQL last: the others use it. False
/// when there were none.
bool end_orphans(const Layout& layout, const Report& report) {
  const auto state = read_state(layout);
  // Whose supervisor lives is no orphan: another `dev up` may have started it this moment.
  if (!state || !*state || is_alive((*state)->supervisor)) return false;
  bool was_running = false;
  auto services = (*state)->services;
  std::ranges::stable_partition(services, [](const auto& one) { return one.name != "postgres"; });
  for (const ServiceState& one : services) {
    if (!is_alive(one.process)) continue;
    was_running = true;
    report("ending " + one.name + ", which has lost its supervisor");
    send_signal(one.process, one.name == "postgres" ? SIGINT : SIGTERM);
    if (!wait_for_end(one.process, kOrphanTimeout)) {
      send_signal(one.process, one.name == "postgres" ? SIGQUIT : SIGKILL);
      wait_for_end(one.process, kOrphanTimeout);
    }
  }
  return was_running;
}

/// Sockets and address files, and the folder when it held nothing else. The folder may have been
/// named by mistake: whatever else is there is not ours.
void remove_run_files(const Layout& layout) {
  std::error_code ignored;
  std::vector<std::filesystem::path> ours;
  for (const auto& entry : std::filesystem::directory_iterator(layout.run, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".address") || name.starts_with(".s.PGSQL.")) ours.push_back(entry.path());
  }
  for (const auto& path : ours) std::filesystem::remove(path, ignored);
  std::filesystem::remove(layout.run, ignored);
}

Status check_prerequisites(const EnvironmentOptions& options, const Layout& layout) {
  const auto missing = missing_programs(options);
  if (!missing.empty()) {
    return fail(Errc::not_found, missing.front() + " is not in " + options.programs.string() +
                                     "; build it with: scripts/dev ninja -C build/release " +
                                     missing.front());
  }
  CAMBRIAN_TRY_STATUS(create_folders(layout));
  CAMBRIAN_TRY_STATUS(Postgres::find(layout));
  if (!options.listen.empty() && !is_free(options.listen)) {
    return fail(Errc::conflict, "the address is taken by another program: " + options.listen +
                                    "; choose another one with --listen, or leave it out");
  }
  return {};
}

/// Tells each service once when it is ready.
class Progress {
 public:
  explicit Progress(const Report& report) : report_(report) {}
  void show(const State& state) {
    for (const ServiceState& one : state.services) {
      if (one.phase == "ready" && told_.insert(one.name).second) report_(one.name + " is ready");
    }
  }

 private:
  const Report& report_;
  std::set<std::string> told_;
};

Result<State> wait_until_ready(const Layout& layout, const ProcessId& supervisor,
                               const Report& report) {
  Progress progress(report);
  const auto deadline = Clock::now() + kUpTimeout;
  while (Clock::now() < deadline) {
    const bool was_alive = is_alive(supervisor);
    auto state = read_state(layout);
    const bool is_ours = state && *state && (*state)->supervisor == supervisor;
    if (is_ours) {
      progress.show(**state);
      if ((*state)->is_ready) return std::move(**state);
      if (!(*state)->error.empty()) return fail(Errc::unavailable, (*state)->error);
    }
    if (!was_alive) {
      return fail(Errc::unavailable, "the supervisor ended; the end of " +
                                         layout.log_of("supervisor").string() + ":\n" +
                                         tail_of(layout.log_of("supervisor"), kErrorBytesMax));
    }
    rpc::wait_unless_stopped({}, kPollInterval);
  }
  return fail(Errc::deadline_exceeded,
              "not ready after two minutes; the logs are in " + layout.logs().string());
}

/// The state that a supervisor has written; nothing when it ends before, or writes none.
std::optional<State> state_of(const Layout& layout, const ProcessId& supervisor) {
  const auto deadline = Clock::now() + kLockToStateTimeout;
  while (is_alive(supervisor) && Clock::now() < deadline) {
    auto state = read_state(layout);
    if (state && *state && (*state)->supervisor == supervisor) return std::move(*state);
    rpc::wait_unless_stopped({}, kPollInterval);
  }
  return std::nullopt;
}

/// Uses the environment of a supervisor that runs already, or is just starting.
Result<UpResult> join(const Layout& layout, const ProcessId& supervisor, const Report& report) {
  auto now = state_of(layout, supervisor);
  if (now && now->is_ready) return UpResult{std::move(*now), true, {}};
  CAMBRIAN_TRY(State state, wait_until_ready(layout, supervisor, report));
  return UpResult{std::move(state), true, {}};
}

}  // namespace

Result<UpResult> up(const EnvironmentOptions& options, const Report& report) {
  const auto begin = Clock::now();
  const Layout layout = make_layout(options.directory);
  if (const auto holder = find_process(lock_holder(layout))) {
    const auto state = state_of(layout, *holder);
    const bool is_same = state && state->fingerprint == fingerprint(options);
    if (is_same) return join(layout, *holder, report);
    report("programs or options have changed: starting anew");
    CAMBRIAN_TRY_STATUS(down(options.directory, report));
  }
  CAMBRIAN_TRY_STATUS(check_prerequisites(options, layout));
  end_orphans(layout, report);
  CAMBRIAN_TRY(const ProcessId supervisor, spawn({.arguments = supervisor_command(options),
                                                  .environment = {},
                                                  .log = layout.log_of("supervisor"),
                                                  .folder = "/"}));
  Result<State> state = wait_until_ready(layout, supervisor, report);
  if (!state) {
    const auto holder = find_process(lock_holder(layout));
    // Another `dev up` was quicker.
    if (holder && *holder != supervisor) return join(layout, *holder, report);
    (void)down(options.directory, report);
    return fail(state.error());
  }
  const auto took = std::chrono::duration_cast<milliseconds>(Clock::now() - begin);
  return UpResult{std::move(*state), false, took};
}

Result<bool> down(const std::filesystem::path& directory, const Report& report) {
  const Layout layout = make_layout(directory);
  const pid_t holder = lock_holder(layout);
  const auto supervisor = find_process(holder);
  bool was_running = false;
  if (supervisor) {
    was_running = true;
    send_signal(*supervisor, SIGTERM);
    if (!wait_for_end(*supervisor, kDownTimeout)) {
      report("the supervisor does not end: killing it");
      send_signal(*supervisor, SIGKILL);
      wait_for_end(*supervisor, kOrphanTimeout);
    }
  }
  was_running = end_orphans(layout, report) || was_running;
  const auto state = read_state(layout);
  if (state && *state) {
    for (const ServiceState& one : (*state)->services) {
      if (is_alive(one.process)) {
        return fail(Errc::conflict,
                    one.name + " does not end: pid=" + std::to_string(one.process.pid));
      }
    }
    remove_run_files(layout);
  }
  return was_running;
}

std::vector<std::string> restart_drained(const std::filesystem::path& directory) {
  const Layout layout = make_layout(directory);
  std::vector<std::string> names;
  const auto state = read_state(layout);
  if (!state || !*state) return names;
  for (const ServiceState& one : (*state)->services) {
    if (one.phase == "drained") names.push_back(one.name);
  }
  if (!names.empty()) send_signal((*state)->supervisor, SIGHUP);
  return names;
}

Result<std::optional<StatusResult>> status(const std::filesystem::path& directory) {
  const Layout layout = make_layout(directory);
  CAMBRIAN_TRY(std::optional<State> state, read_state(layout));
  if (!state) return std::nullopt;
  return StatusResult{std::move(*state), lock_holder(layout) != 0};
}

}  // namespace cambrian::cli::dev
