#include "worker/adapters/toolchain/warm_templates.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "common/log/log.hpp"

namespace cambrian::worker {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Parsing LibTorch takes 15 s, on a busy machine many times as long.
constexpr milliseconds kStartTime = std::chrono::minutes(5);
// Nothing is known that grows; this bounds what is not known.
constexpr int kForksMax = 5000;
constexpr auto kAgeMax = std::chrono::hours(12);
constexpr int kFailuresMax = 3;
// How often the health is looked at.
constexpr milliseconds kTick(500);
constexpr milliseconds kPauseFirst = std::chrono::seconds(5);
constexpr milliseconds kPauseMax = std::chrono::minutes(10);
constexpr std::int64_t kServerDiskBytes = std::int64_t{16} << 20;

std::string_view sickness(const WarmServers& servers, Clock::time_point started) {
  if (!servers.is_alive()) return "ended";
  if (servers.is_left_behind) return "fork_left";
  if (servers.failures >= kFailuresMax) return "failures";
  if (servers.forks >= kForksMax) return "forks";
  return Clock::now() - started > kAgeMax ? "age" : "";
}

}  // namespace

std::string_view to_string(WarmKind kind) {
  switch (kind) {
    case WarmKind::libtorch: return "libtorch";
    case WarmKind::cpp: return "cpp";
    case WarmKind::python: return "python";
    case WarmKind::python_torch: return "python_torch";
    case WarmKind::python_judge: return "python_judge";
  }
  return "cpp";
}

WarmTemplates::WarmTemplates(Toolchain& toolchain, std::filesystem::path programs)
    : toolchain_(toolchain), programs_(std::move(programs)) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].kind = static_cast<WarmKind>(i);
    keepers_[i] = std::jthread([this, i](std::stop_token stop) { keep(slots_[i], stop); });
  }
}

std::shared_ptr<WarmServers> WarmTemplates::find(WarmKind kind) {
  const std::lock_guard lock(mutex_);
  want(slot_of(kind));
  const auto& servers = slot_of(kind).servers;
  return servers && servers->is_alive() ? servers : nullptr;
}

bool WarmTemplates::wait_ready(WarmKind kind, milliseconds longest, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  Slot& slot = slot_of(kind);
  want(slot);
  changed_.wait_for(lock, stop, longest, [&] { return slot.servers || slot.is_hopeless; });
  return slot.servers != nullptr;
}

std::int64_t WarmTemplates::memory_bytes() {
  const std::lock_guard lock(mutex_);
  std::int64_t sum = 0;
  for (const Slot& slot : slots_) {
    if (slot.servers) sum += slot.servers->memory_bytes();
  }
  return sum;
}

void WarmTemplates::want(Slot& slot) {
  if (std::exchange(slot.is_wanted, true)) return;
  changed_.notify_all();
}

void WarmTemplates::keep(Slot& slot, std::stop_token stop) {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [&slot] { return slot.is_wanted; });
  }
  milliseconds pause = kPauseFirst;
  while (!stop.stop_requested()) {
    const auto begun = Clock::now();
    auto started = start(slot.kind, stop);
    if (stop.stop_requested()) return;
    std::unique_lock lock(mutex_);
    if (!started) {
      log::warn("warm_evaluator_failed",
                {{"kind", to_string(slot.kind)}, {"cause", started.error().message}});
      slot.is_hopeless = true;
      changed_.notify_all();
      if (started.error().code == Errc::not_found) return;
      changed_.wait_for(lock, stop, pause, [] { return false; });
      pause = std::min(2 * pause, kPauseMax);
      continue;
    }
    slot.servers = *started;
    slot.is_hopeless = false;
    changed_.notify_all();
    const auto ready = Clock::now();
    log::info("warm_evaluator_ready", {{"kind", to_string(slot.kind)},
                                       {"duration_ms", ready - begun},
                                       {"memory_bytes", (*started)->memory_bytes()},
                                       {"rehearsed_pages", (*started)->rehearsed_pages()}});
    std::string_view reason;
    while (!stop.stop_requested() && (reason = sickness(**started, ready)).empty()) {
      changed_.wait_for(lock, stop, kTick, [] { return false; });
    }
    slot.servers.reset();
    if (stop.stop_requested()) return;
    log::warn(
        "warm_evaluator_replaced",
        {{"kind", to_string(slot.kind)}, {"reason", reason}, {"forks", (*started)->forks.load()}});
    lock.unlock();
    started->reset();
    if (reason == "forks" || reason == "age") continue;
    lock.lock();
    // One that lived for a while was not hopeless. The next one may sicken at once again, and to
    // start it costs a core.
    if (Clock::now() - ready > kPauseMax) pause = kPauseFirst;
    changed_.wait_for(lock, stop, pause, [] { return false; });
    pause = std::min(2 * pause, kPauseMax);
  }
}

Result<std::shared_ptr<WarmServers>> WarmTemplates::start(WarmKind kind, std::stop_token stop) {
  if (kind == WarmKind::libtorch || kind == WarmKind::cpp) {
    return start_cpp(kind == WarmKind::libtorch, stop);
  }
  auto servers = std::make_shared<WarmServers>();
  SandboxCommand command;
  command.environment = run_environment(1);
  command.disk_bytes = kServerDiskBytes;
  command.mounts = toolchain_.mounts();
  // Judges see the data that lie below /usr.
  if (kind == WarmKind::python_judge) command.profile = SandboxProfile::judge;
  command.arguments = python_host_command(kind == WarmKind::python_torch);
  CAMBRIAN_TRY(servers->host, start_server(command, stop));
  return servers;
}

Result<std::shared_ptr<WarmServers>> WarmTemplates::start_cpp(bool libtorch, std::stop_token stop) {
  const auto evaluator = programs_ / "cambrian-evaluator";
  const auto host = programs_ / "cambrian-candidate-host";
  if (libtorch && !toolchain_.has_libtorch()) return fail(Errc::not_found, "no LibTorch here");
  if (toolchain_.compiler() != Compiler::clang) return fail(Errc::not_found, "no Clang here");
  if (access(evaluator.c_str(), X_OK) != 0 || access(host.c_str(), X_OK) != 0) {
    return fail(Errc::not_found, "program is missing: program=" + evaluator.string());
  }
  const CompileOptions options = toolchain_.compile_options(libtorch);
  auto servers = std::make_shared<WarmServers>();
  CAMBRIAN_TRY(servers->library, toolchain_.warm_library(options, stop));
  SandboxCommand command;
  command.environment = run_environment(1);
  command.disk_bytes = kServerDiskBytes;
  command.mounts = toolchain_.mounts();
  command.mounts.push_back({servers->library->path(), std::string(kWarmFolder), false});
  command.mounts.push_back({evaluator, std::string(kEvaluatorTarget), false});
  command.mounts.push_back({host, std::string(kHostTarget), false});
  command.arguments = candidate_host_command("");
  CAMBRIAN_TRY(servers->host, start_server(command, stop));
  // Of a gigabyte in huge pages a fork copies, and throws away, far smaller page tables.
  command.environment.emplace_back("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
  command.arguments = evaluator_command(options);
  CAMBRIAN_TRY(servers->compiler, start_server(command, stop));
  return servers;
}

Result<std::unique_ptr<ForkServer>> WarmTemplates::start_server(const SandboxCommand& command,
                                                                std::stop_token stop) {
  CAMBRIAN_TRY(auto server, toolchain_.sandbox().start_fork_server(command));
  const auto deadline = Clock::now() + kStartTime;
  while (!server->wait_ready(kTick)) {
    if (stop.stop_requested()) return fail(Errc::cancelled, "worker is stopping");
    if (!server->is_alive()) {
      return fail(Errc::internal, "fork server ended: program=" + command.arguments[0] +
                                      " output=" + sanitise(server->log()));
    }
    if (Clock::now() > deadline) {
      return fail(Errc::deadline_exceeded,
                  "fork server is not ready in time: program=" + command.arguments[0]);
    }
  }
  return server;
}

}  // namespace cambrian::worker
