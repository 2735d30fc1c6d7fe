#include "worker/adapters/sandbox/launched_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "worker/adapters/sandbox/core_lease.hpp"
#include "worker/adapters/sandbox/folder_size.hpp"
#include "worker/adapters/sandbox/spawn.hpp"
#include "worker/adapters/sandbox/supervisor.hpp"
#include "worker/adapters/sandbox/supervisor_record.hpp"

namespace cambrian::worker {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How long a stopped supervisor may take to clean up before everything is killed from outside.
constexpr milliseconds kStopPatience = std::chrono::seconds(5);
// How often control group, GPUs and writable folders are looked at.
constexpr milliseconds kLookInterval(250);

Result<Descriptor> make_filter_file(const std::string& filter) {
  Descriptor file(memfd_create("seccomp", MFD_CLOEXEC));
  const auto size = static_cast<ssize_t>(filter.size());
  if (!file || write(file.get(), filter.data(), filter.size()) != size ||
      lseek(file.get(), 0, SEEK_SET) != 0) {
    return fail(Errc::unavailable, "no memory file for the system call filter");
  }
  return file;
}

/// One running sandbox. A thread of its own starts it, pumps its output and waits for its end: the
/// kernel ties `--die-with-parent` of bubblewrap to the thread that started it.
class LaunchedProcess final : public SandboxedProcess {
 public:
  LaunchedProcess(SandboxCommand command, Launch launch)
      : command_(std::move(command)),
        launch_(std::move(launch)),
        log_(static_cast<std::size_t>(command_.log_bytes)) {}

  ~LaunchedProcess() override {
    stop();
    if (thread_.joinable()) thread_.join();
  }

  Status start(const LaunchOptions& options) {
    CAMBRIAN_TRY(Descriptor filter_file, make_filter_file(options.filter));
    CAMBRIAN_TRY_STATUS(make_group(options));
    CAMBRIAN_TRY_STATUS(look_at_gpus(options));
    CAMBRIAN_TRY(auto log, make_pipe());
    CAMBRIAN_TRY(auto control, make_socket_pair(SOCK_SEQPACKET));
    stop_event_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    Descriptor nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!stop_event_ || !nothing) return fail(Errc::unavailable, "no descriptors left");
    fcntl(log.first.get(), F_SETFL, O_NONBLOCK);
    log_pipe_ = std::move(log.first);
    control_ = std::move(control.first);
    const int socket = command_.socket >= 0 ? command_.socket : nothing.get();
    std::vector<std::pair<int, int>> descriptors = {{nothing.get(), 0},
                                                    {log.second.get(), 1},
                                                    {log.second.get(), 2},
                                                    {socket, kProgramSocket},
                                                    {control.second.get(), kControlSocket},
                                                    {filter_file.get(), kSeccompProgram}};
    if (group_) {
      int number = kFirstGroupDoor;
      for (const Descriptor& door : group_->doors()) descriptors.emplace_back(door.get(), number++);
    }

    std::optional<Status> started;
    thread_ = std::thread([this, &descriptors, &started] {
      auto process = [&] {
        const ConfinedThread confined(command_.confined_to);
        return launch_(descriptors);
      }();
      const bool is_running = process.has_value();
      {
        const std::lock_guard lock(mutex_);
        started = is_running ? Status() : Status(fail(process.error()));
        started_.notify_all();
      }
      // `descriptors` and `started` are gone from here on.
      if (is_running) watch(*process);
    });
    std::unique_lock lock(mutex_);
    started_.wait(lock, [&started] { return started.has_value(); });
    return *started;
  }

  void stop() override {
    const std::uint64_t one = 1;
    if (stop_event_) [[maybe_unused]]
      auto written = write(stop_event_.get(), &one, sizeof one);
  }

  Status wait_started(milliseconds longest) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, longest, [this] { return was_started_ || exit_.has_value(); });
    if (was_started_) return {};
    return fail(Errc::unavailable, exit_ ? exit_->failure : "it did not start in time");
  }

  std::optional<ProcessExit> wait(milliseconds longest) override {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, longest, [this] { return exit_.has_value(); });
    return exit_;
  }

  std::string log() const override {
    const std::lock_guard lock(mutex_);
    return log_.text();
  }

 private:
  void watch(pid_t process) {
    ProcessExit exit;
    const auto deadline = Clock::now() + command_.wall_time;
    std::optional<Clock::time_point> kill_at;
    const auto stop_tree = [&] {
      if (kill_at) return;
      kill_at = Clock::now() + kStopPatience;
      [[maybe_unused]] const auto sent = send(control_.get(), "k", 1, MSG_NOSIGNAL);
    };
    bool has_control = true;
    bool has_log = true;
    while (has_control || has_log) {
      pollfd polled[] = {{has_log ? log_pipe_.get() : -1, POLLIN, 0},
                         {has_control ? control_.get() : -1, POLLIN, 0},
                         {kill_at ? -1 : stop_event_.get(), POLLIN, 0}};
      poll(polled, 3, static_cast<int>(kLookInterval.count()));
      if (polled[2].revents != 0) {
        exit.was_stopped = true;
        stop_tree();
      }
      if (polled[0].revents != 0) has_log = read_log(exit);
      if (polled[1].revents != 0) has_control = read_control(exit);
      if (exit.was_started) note_start();
      if (exit.is_output_exceeded || is_limit_passed(exit)) stop_tree();
      if (Clock::now() > deadline && !kill_at) {
        exit.is_wall_time_exceeded = true;
        stop_tree();
      }
      if (kill_at && Clock::now() > *kill_at) break;
    }
    // The supervisor's end is the end of everything inside; this ends what remains outside.
    exit.is_left_behind = process == 0 && has_control;
    if (process > 0) {
      if (kill_at && has_control) kill(process, SIGKILL);
      int status = 0;
      while (waitpid(process, &status, 0) < 0 && errno == EINTR) continue;
    }
    end_group(exit);
    finish(exit);
  }

  // Everything in it is killed, whatever the supervisor did.
  void end_group(ProcessExit& exit) {
    if (!group_) return;
    exit.group = group_->events();
    if (exit.group->is_memory_exceeded) {
      exit.is_memory_exceeded = true;
      exit.memory_peak_bytes = std::max(exit.memory_peak_bytes, command_.memory_bytes);
    }
    group_.reset();
  }

  void note_start() {
    const std::lock_guard lock(mutex_);
    if (std::exchange(was_started_, true)) return;
    changed_.notify_all();
  }

  bool read_log(ProcessExit& exit) {
    char buffer[16 << 10];
    const ssize_t count = read(log_pipe_.get(), buffer, sizeof buffer);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    const std::lock_guard lock(mutex_);
    log_.append(std::string_view(buffer, static_cast<std::size_t>(count)));
    exit.is_output_exceeded = log_.bytes_total() > kOutputBytesMax;
    return count > 0;
  }

  bool read_control(ProcessExit& exit) {
    char record[sizeof(SupervisorRecord) + 1];  // A longer message shows as one.
    const ssize_t count = recv(control_.get(), record, sizeof record, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    const std::string_view bytes(record, static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    return take_supervisor_record(bytes, command_.arguments[0], exit);
  }

  Status make_group(const LaunchOptions& options) {
    if (options.groups == nullptr) return {};
    CAMBRIAN_TRY(group_, options.groups->make(
                             {.memory_bytes = command_.memory_bytes + options.memory_not_counted,
                              .processes = command_.processes,
                              .cores = command_.cores}));
    return {};
  }

  bool is_limit_passed(ProcessExit& exit) {
    if (Clock::now() < next_look_) return false;
    next_look_ = Clock::now() + kLookInterval;
    // Version 1 ends one process for it, and the others would go on.
    return (group_ && group_->events().is_memory_exceeded) || is_gpu_full(exit) ||
           is_folder_full(exit);
  }

  Status look_at_gpus(const LaunchOptions& options) {
    if (command_.gpu_memory_bytes == 0 || command_.gpus.empty()) return {};
    gpu_watch_ = options.gpu_watch;
    if (gpu_watch_ == nullptr) {
      return fail(Errc::exhausted,
                  "memory of GPUs cannot be watched here: the driver's library "
                  "libnvidia-ml.so.1 is missing");
    }
    for (const std::string& gpu : command_.gpus) {
      CAMBRIAN_TRY(gpu_memory_before_[gpu], gpu_watch_->memory_used(gpu));
    }
    return {};
  }

  // It has its GPUs to itself: what is used beyond what was used before is its own.
  bool is_gpu_full(ProcessExit& exit) {
    for (const auto& [gpu, before] : gpu_memory_before_) {
      const auto used = gpu_watch_->memory_used(gpu);
      if (used && *used - before > command_.gpu_memory_bytes) exit.is_gpu_memory_exceeded = true;
    }
    return exit.is_gpu_memory_exceeded;
  }

  bool is_folder_full(ProcessExit& exit) {
    for (const Mount& mount : command_.mounts) {
      if (mount.is_writable && is_folder_larger(mount.source, command_.disk_bytes)) {
        exit.is_disk_full = true;
        return true;
      }
    }
    return false;
  }

  void finish(ProcessExit exit) {
    const std::lock_guard lock(mutex_);
    if (!exit.was_started && exit.failure.empty()) exit.failure = sanitise(log_.text());
    if (!exit.was_started && exit.failure.empty()) exit.failure = "it ended without a word";
    exit_ = std::move(exit);
    changed_.notify_all();
  }

  const SandboxCommand command_;
  const Launch launch_;
  std::unique_ptr<ControlGroup> group_;
  GpuWatch* gpu_watch_ = nullptr;
  std::map<std::string, std::int64_t> gpu_memory_before_;
  Descriptor log_pipe_;
  Descriptor control_;
  Descriptor stop_event_;
  Clock::time_point next_look_{};
  mutable std::mutex mutex_;
  std::condition_variable started_;
  std::condition_variable changed_;
  bool was_started_ = false;
  CappedLog log_;
  std::optional<ProcessExit> exit_;
  std::thread thread_;
};

}  // namespace

// Users that no system hands out. Where fewer are mapped (rootless containers), the upper half of
// the largest mapped range.
Result<long long> make_user_id() {
  std::uint32_t random = 0;
  if (getrandom(&random, sizeof random, 0) != sizeof random) {
    return fail(Errc::internal, "no random bytes");
  }
  std::ifstream map("/proc/self/uid_map");
  long long inside = 0, outside = 0, count = 0, first = 0, size = 0;
  while (map >> inside >> outside >> count) {
    if (count > size) {
      first = inside;
      size = count;
    }
  }
  constexpr long long kWide = 1LL << 31;
  if (size > kWide) return (1LL << 30) + random % (1LL << 29);
  if (size < 1024) return fail(Errc::unavailable, "too few user ids are mapped for sandboxes");
  return first + size / 2 + random % (size / 2 - 1);
}

Result<std::unique_ptr<SandboxedProcess>> launch_process(const SandboxCommand& command,
                                                         const LaunchOptions& options,
                                                         Launch launch) {
  auto process = std::make_unique<LaunchedProcess>(command, std::move(launch));
  CAMBRIAN_TRY_STATUS(process->start(options));
  if (options.patience > milliseconds{0}) {
    CAMBRIAN_TRY_STATUS(process->wait_started(options.patience));
  }
  return process;
}

}  // namespace cambrian::worker
