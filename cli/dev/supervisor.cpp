#include "cli/dev/supervisor.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <optional>

#include "cli/dev/network.hpp"
#include "cli/dev/postgres.hpp"
#include "cli/dev/process.hpp"
#include "cli/dev/state.hpp"
#include "cli/paths.hpp"
#include "common/log/log.hpp"

namespace cambrian::cli::dev {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kBusyInterval{50};
constexpr milliseconds kIdleInterval{1000};
constexpr milliseconds kRestartDelayMin{200};
constexpr milliseconds kRestartDelayMax{5000};
/// After this time a service counts as healthy: its next failure is the first one again.
constexpr std::chrono::seconds kHealthyAfter{30};
/// A service without a sign of its own is ready when it lived that long.
constexpr milliseconds kAliveFor{300};
/// So many failures in a row before it was ever ready: `dev up` gives up.
constexpr int kFailuresMax = 4;
constexpr std::size_t kProgramErrorBytesMax = 2000;
constexpr std::uintmax_t kLogBytesMax = 32U << 20;

/// A service with what became of it.
struct Supervised {
  Service service;
  ProcessId process{};
  std::string phase = "waiting";
  bool was_ready = false;
  int restarts = 0;
  int failures = 0;
  std::string last_exit{};
  Clock::time_point next_start{};
  Clock::time_point started{};

  bool is_running() const { return process.pid != 0; }
};

std::string exit_text(int status) {
  return WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                             : "exit code " + std::to_string(WEXITSTATUS(status));
}

sigset_t supervisor_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

/// Waits for a signal; number 0 when none came in time.
siginfo_t wait_for_signal(milliseconds timeout) {
  const sigset_t signals = supervisor_signals();
  const timespec time{timeout.count() / 1000, timeout.count() % 1000 * 1'000'000};
  siginfo_t received{};
  if (sigtimedwait(&signals, &received, &time) < 0) received.si_signo = 0;
  return received;
}

/// Keeps a log below its limit. The writers append, so cutting it is safe; the old part is kept
/// once.
void limit_log(const fs::path& log) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(log, error);
  if (error || size <= kLogBytesMax) return;
  fs::copy_file(log, log.string() + ".1", fs::copy_options::overwrite_existing, error);
  fs::resize_file(log, 0, error);
}

class Supervisor {
 public:
  Supervisor(const EnvironmentOptions& options, Layout layout, Postgres postgres)
      : options_(options), layout_(std::move(layout)), postgres_(std::move(postgres)) {}

  Status run() {
    choose_addresses();
    publish();
    CAMBRIAN_TRY_STATUS(postgres_.create_if_missing());
    CAMBRIAN_TRY_STATUS(postgres_.clean_up());
    add({.name = "postgres",
         .arguments = postgres_.server_command(),
         .readiness = Readiness::postgres,
         .stop_signal = SIGINT,
         .stop_timeout = std::chrono::seconds(30),
         .needs = {}});
    for (Service& service : current_services()) add(std::move(service));
    while (!is_stopping_) {
      reap();
      start_what_is_due();
      notice_readiness();
      if (has_changed_) publish();
      const siginfo_t signal = wait_for_signal(is_settled() ? kIdleInterval : kBusyInterval);
      if (signal.si_signo == SIGHUP) restart_drained();
      is_stopping_ = must_stop(signal);
    }
    return {};
  }

  /// Ends what runs: first those who work, then whom they talk to, then the database.
  void stop_all() {
    is_stopping_ = true;
    for (int stage = 0; stage <= 2; ++stage) {
      for (const Supervised& one : services_) {
        if (one.is_running() && stage_of(one) == stage) {
          kill(one.process.pid, one.service.stop_signal);
        }
      }
      wait_for_stage(stage);
    }
    publish();
  }

  /// Tells `dev up` why there is nothing to wait for.
  void give_up(const Error& error) {
    error_ = error.message;
    publish();
  }

 private:
  void add(Service service) { services_.push_back({.service = std::move(service)}); }

  /// The ports of the last time where they are still free, so that open shells stay right. The
  /// usual ones belong to the usual folder: environments in other folders may start at the same
  /// moment.
  void choose_addresses() {
    const auto before = read_state(layout_);
    const bool has_before = before && before->has_value();
    const bool is_usual = options_.directory == dev_directory();
    const auto pick = [&](const std::string& last, const char* usual) {
      return free_address(!last.empty() ? last : is_usual ? usual : "127.0.0.1:0");
    };
    addresses_.coordinator = !options_.listen.empty()
                                 ? options_.listen
                                 : pick(has_before ? (*before)->endpoint : "", "127.0.0.1:7070");
    addresses_.metrics = pick(has_before ? (*before)->metrics : "", "127.0.0.1:7071");
    addresses_.code_model = pick("", "127.0.0.1:7072");
  }

  /// A port that was free a moment ago may be taken by now. Nobody knows the address of a service
  /// that was never ready, so it may have another one.
  void renew_addresses(const std::string& name) {
    if (name == "coordinator") {
      if (options_.listen.empty()) addresses_.coordinator = free_address(addresses_.coordinator);
      addresses_.metrics = free_address(addresses_.metrics);
    }
    if (name == "codemodel") addresses_.code_model = free_address(addresses_.code_model);
    for (const Service& renewed : current_services()) {
      for (Supervised& one : services_) {
        if (one.service.name == renewed.name) one.service.arguments = renewed.arguments;
      }
    }
  }

  std::vector<Service> current_services() const {
    return make_services(options_, layout_, addresses_, postgres_.connection_string());
  }

  void reap() {
    int status = 0;
    for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
      for (Supervised& one : services_) {
        if (one.process.pid == pid) note_end(one, status);
      }
    }
  }

  void note_end(Supervised& one, int status) {
    const auto now = Clock::now();
    one.failures = now - one.started > kHealthyAfter ? 1 : one.failures + 1;
    const milliseconds delay =
        std::min(kRestartDelayMin * (1 << std::min(one.failures - 1, 10)), kRestartDelayMax);
    const bool is_drained = one.service.is_agent && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    one.process = {};
    one.phase = is_stopping_ ? "stopped" : is_drained ? "drained" : "waiting";
    one.last_exit = exit_text(status);
    one.next_start = now + delay;
    has_changed_ = true;
    if (is_stopping_) return;
    if (is_drained) return log::info("service_drained", {{"service", one.service.name}});
    if (!one.was_ready) renew_addresses(one.service.name);
    ++one.restarts;
    log::warn(
        "service_ended",
        {{"service", one.service.name}, {"how", one.last_exit}, {"restart_in_ms", delay.count()}});
    if (!is_ready_ && one.failures >= kFailuresMax) {
      const fs::path log = layout_.log_of(one.service.name);
      error_ = one.service.name + " does not start (" + one.last_exit + "); the end of " +
               log.string() + ":\n" + tail_of(log, kProgramErrorBytesMax);
    }
  }

  bool must_stop(const siginfo_t& signal) const {
    if (signal.si_signo == SIGTERM || signal.si_signo == SIGINT) {
      log::info("shutdown_begun", {{"signal", signal.si_signo}, {"sender_pid", signal.si_pid}});
      return true;
    }
    if (!until_ || is_alive(*until_)) return false;
    log::info("shutdown_begun", {{"ended_pid", until_->pid}});
    return true;
  }

  void restart_drained() {
    for (Supervised& one : services_) {
      if (one.phase != "drained") continue;
      one.phase = "waiting";
      one.failures = 0;
      has_changed_ = true;
    }
  }

  bool is_service_ready(const std::string& name) const {
    return std::ranges::any_of(services_, [&](const Supervised& one) {
      return one.service.name == name && one.phase == "ready";
    });
  }

  void start_what_is_due() {
    for (Supervised& one : services_) {
      if (one.is_running() || one.phase == "drained" || Clock::now() < one.next_start) continue;
      const bool can_start = std::ranges::all_of(
          one.service.needs, [&](const std::string& need) { return is_service_ready(need); });
      if (can_start) start(one);
    }
  }

  void start(Supervised& one) {
    std::error_code ignored;
    if (one.service.readiness == Readiness::address_file) {
      fs::remove(layout_.address_file(one.service.name), ignored);
    }
    if (one.service.readiness == Readiness::postgres) {
      if (const Status cleaned = postgres_.clean_up(); !cleaned) error_ = cleaned.error().message;
    }
    limit_log(layout_.log_of(one.service.name));
    const auto process = spawn({.arguments = one.service.arguments,
                                .environment = {},
                                .log = layout_.log_of(one.service.name),
                                .folder = layout_.directory});
    one.started = Clock::now();
    has_changed_ = true;
    if (!process) {
      one.last_exit = process.error().message;
      one.next_start = one.started + kRestartDelayMax;
      error_ = one.service.name + ": " + process.error().message;
      return;
    }
    one.process = *process;
    one.phase = "starting";
    log::info("service_started", {{"service", one.service.name}, {"pid", one.process.pid}});
  }

  void notice_readiness() {
    for (Supervised& one : services_) {
      if (one.phase != "starting" || !has_shown_readiness(one)) continue;
      one.phase = "ready";
      one.was_ready = true;
      has_changed_ = true;
    }
    if (!is_ready_ && is_settled() && !services_.empty()) {
      is_ready_ = true;
      error_.clear();
      has_changed_ = true;
    }
  }

  bool has_shown_readiness(const Supervised& one) const {
    switch (one.service.readiness) {
      case Readiness::postgres: return postgres_.is_ready();
      case Readiness::address_file: {
        std::error_code ignored;
        return fs::exists(layout_.address_file(one.service.name), ignored);
      }
      case Readiness::alive: return Clock::now() - one.started > kAliveFor;
    }
    return false;
  }

  bool is_settled() const {
    return std::ranges::all_of(services_, [](const Supervised& one) {
      return one.phase == "ready" || one.phase == "drained";
    });
  }

  static int stage_of(const Supervised& one) {
    if (one.service.name == "postgres") return 2;
    return one.service.name == "coordinator" || one.service.name == "codemodel" ? 1 : 0;
  }

  void wait_for_stage(int stage) {
    const auto begin = Clock::now();
    while (true) {
      reap();
      bool is_waiting = false;
      for (const Supervised& one : services_) {
        if (!one.is_running() || stage_of(one) != stage) continue;
        is_waiting = true;
        if (Clock::now() - begin > one.service.stop_timeout) kill(one.process.pid, SIGKILL);
      }
      if (!is_waiting) return;
      wait_for_signal(kBusyInterval);
    }
  }

  /// A full disk must not end the supervisor: it is tried again with the next change.
  void publish() {
    has_changed_ = false;
    State state{.supervisor = find_process(getpid()).value_or(ProcessId{}),
                .fingerprint = fingerprint(options_),
                .endpoint = addresses_.coordinator,
                .metrics = addresses_.metrics,
                .model_url = options_.base_url.empty() && options_.codegen_config.empty()
                                 ? "http://" + addresses_.code_model + "/v1"
                                 : options_.base_url,
                .database = postgres_.connection_string(),
                .is_ready = is_ready_,
                .error = error_,
                .services = {}};
    for (const Supervised& one : services_) {
      state.services.push_back(
          {one.service.name, one.phase, one.process, one.restarts, one.last_exit});
    }
    if (const Status written = write_state(layout_, state); !written) {
      log::warn("state_not_written", {{"reason", written.error().message}});
      has_changed_ = true;
    }
  }

  EnvironmentOptions options_;
  Layout layout_;
  Postgres postgres_;
  Addresses addresses_;
  std::optional<ProcessId> until_ = find_process(
      static_cast<pid_t>(std::strtol(environment("CAMBRIAN_DEV_UNTIL").c_str(), nullptr, 10)));
  std::vector<Supervised> services_;
  std::string error_;
  bool is_ready_ = false;
  bool is_stopping_ = false;
  bool has_changed_ = false;
};

}  // namespace

Status supervise(const EnvironmentOptions& options) {
  const sigset_t signals = supervisor_signals();
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  const Layout layout = make_layout(options.directory);
  CAMBRIAN_TRY_STATUS(create_folders(layout));
  CAMBRIAN_TRY_STATUS(take_lock(layout));
  CAMBRIAN_TRY(Postgres postgres, Postgres::find(layout));
  Supervisor supervisor(options, layout, std::move(postgres));
  const Status status = supervisor.run();
  if (!status) supervisor.give_up(status.error());
  supervisor.stop_all();
  return status;
}

}  // namespace cambrian::cli::dev
