#include "worker/adapters/sandbox/fork_server.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "worker/adapters/sandbox/core_lease.hpp"
#include "worker/adapters/sandbox/fork_request.hpp"
#include "worker/adapters/sandbox/launched_process.hpp"
#include "worker/adapters/sandbox/spawn.hpp"
#include "worker/adapters/sandbox/supervisor.hpp"

namespace cambrian::worker {
namespace {

using Arguments = std::vector<std::string>;

// A fork starts in some milliseconds. Where it does not, there is another way to start a program.
constexpr std::chrono::milliseconds kStartPatience = std::chrono::seconds(10);
// Mount points for what a fork alone sees.
constexpr std::array kScratchFolders = {"/src", "/program", "/task"};

Arguments::iterator find_pair(Arguments& in, std::string_view first, std::string_view second) {
  return std::adjacent_find(in.begin(), in.end(), [&](const std::string& a, const std::string& b) {
    return a == first && b == second;
  });
}

Status send_request(int channel, const std::string& text, const std::vector<int>& descriptors) {
  if (text.size() > kForkRequestBytesMax || descriptors.size() > kForkRequestDescriptorsMax) {
    return fail(Errc::invalid_argument, "request to a fork server is too large");
  }
  iovec part{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kForkRequestDescriptorsMax)] = {};
  const std::size_t bytes = descriptors.size() * sizeof(int);
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = CMSG_SPACE(bytes);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(bytes);
  std::memcpy(CMSG_DATA(header), descriptors.data(), bytes);
  ssize_t sent = -1;
  do {
    sent = sendmsg(channel, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return {};
  return fail(Errc::unavailable, std::string("fork server is gone: ") + std::strerror(errno));
}

int descriptor_for(const std::vector<std::pair<int, int>>& descriptors, int theirs) {
  for (const auto& [ours, number] : descriptors) {
    if (number == theirs) return ours;
  }
  return -1;
}

// What comes behind the supervisor's own name in a command line of bubblewrap: its settings, "--",
// the program's arguments.
std::string request_text(const SandboxHost& host, const SandboxCommand& command, long long uid,
                         const ForkFiles& files) {
  Arguments words = {"user_namespace=" + std::string(host.is_root ? "0" : "1"),
                     "disk=" + std::to_string(command.disk_bytes), "folder=" + files.folder};
  for (const auto& path : command.hidden) words.push_back("hidden=" + path.string());
  for (const int core : usable_cores()) words.push_back("core=" + std::to_string(core));
  const Arguments all = bubblewrap_arguments(host, command, uid);
  const auto supervisor = std::find(all.begin(), all.end(), "--") + 2;
  words.insert(words.end(), supervisor, all.end());
  std::string text;
  for (const std::string& word : words) text.append(word).push_back('\0');
  return text;
}

}  // namespace

Arguments fork_server_arguments(const SandboxHost& host, const SandboxCommand& command) {
  Arguments all = bubblewrap_arguments(host, command, -1);
  all.erase(std::find(all.begin(), all.end(), "--"), all.end());
  if (const auto seccomp = std::find(all.begin(), all.end(), "--seccomp"); seccomp != all.end()) {
    all.erase(seccomp, seccomp + 2);
  }
  // A fresh /proc, which each fork gets, is only allowed where a whole one can be seen; bubblewrap
  // covers parts of the one that it makes, and so does the boot id.
  if (const auto proc = find_pair(all, "--proc", "/proc"); proc != all.end()) {
    all.erase(proc, proc + 2);
    all.insert(proc, {"--bind", "/proc", "/proc"});
  }
  if (const auto id = find_pair(all, kRandomId, kBootId); id != all.end()) {
    all.erase(id - 1, id + 2);
  }
  if (const auto root = find_pair(all, "--remount-ro", "/"); root != all.end()) {
    Arguments folders;
    for (const char* folder : kScratchFolders) {
      folders.insert(folders.end(), {"--perms", "0755", "--dir", folder});
    }
    all.insert(root, folders.begin(), folders.end());
  }
  if (host.is_root) all.insert(all.end(), {"--cap-add", "CAP_SYS_ADMIN"});
  all.emplace_back("--");
  all.insert(all.end(), command.arguments.begin(), command.arguments.end());
  return all;
}

Result<std::unique_ptr<ForkServer>> BubblewrapForkServer::start(const SandboxHost& host,
                                                                const SandboxCommand& command,
                                                                FilterOf filter_of) {
  std::unique_ptr<BubblewrapForkServer> server(
      new BubblewrapForkServer(host, std::move(filter_of)));
  CAMBRIAN_TRY(auto log, make_pipe());
  CAMBRIAN_TRY(auto channel, make_socket_pair(SOCK_SEQPACKET));
  const Descriptor nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
  server->stop_event_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!nothing || !server->stop_event_) return fail(Errc::unavailable, "no descriptors left");
  fcntl(log.first.get(), F_SETFL, O_NONBLOCK);
  server->log_pipe_ = std::move(log.first);
  server->channel_ = std::move(channel.first);

  std::optional<Status> started;
  server->thread_ = std::thread([&, self = server.get()] {
    auto process =
        spawn(fork_server_arguments(host, command), {{nothing.get(), 0},
                                                     {log.second.get(), 1},
                                                     {log.second.get(), 2},
                                                     {channel.second.get(), kForkServerSocket}});
    const bool is_running = process.has_value();
    {
      const std::lock_guard lock(self->mutex_);
      if (!is_running) self->has_ended_ = true;
      log.second.reset();
      channel.second.reset();
      started = is_running ? Status() : Status(fail(process.error()));
      self->changed_.notify_all();
    }
    // Everything of the caller is gone from here on.
    if (is_running) self->watch(*process);
  });
  {
    std::unique_lock lock(server->mutex_);
    server->changed_.wait(lock, [&started] { return started.has_value(); });
  }
  CAMBRIAN_TRY_STATUS(*started);
  return server;
}

BubblewrapForkServer::~BubblewrapForkServer() {
  const std::uint64_t one = 1;
  if (stop_event_) [[maybe_unused]]
    auto written = write(stop_event_.get(), &one, sizeof one);
  if (thread_.joinable()) thread_.join();
}

void BubblewrapForkServer::watch(pid_t process) {
  bool has_channel = true;
  bool has_log = true;
  while (has_log) {
    pollfd polled[] = {{log_pipe_.get(), POLLIN, 0},
                       {has_channel && !is_ready_ ? channel_.get() : -1, POLLIN, 0},
                       {stop_event_.get(), POLLIN, 0}};
    if (poll(polled, 3, -1) < 0) continue;
    if (polled[2].revents != 0) break;
    if (polled[1].revents != 0) {
      ForkServerReady ready;
      has_channel = recv(channel_.get(), &ready, sizeof ready, MSG_DONTWAIT) == sizeof ready;
      const std::lock_guard lock(mutex_);
      memory_bytes_ = ready.memory_bytes;
      rehearsed_pages_ = ready.rehearsed_pages;
      is_ready_ = has_channel;
      changed_.notify_all();
    }
    if (polled[0].revents == 0) continue;
    char buffer[4096];
    const ssize_t count = read(log_pipe_.get(), buffer, sizeof buffer);
    const std::lock_guard lock(mutex_);
    if (count > 0) log_.append(std::string_view(buffer, static_cast<std::size_t>(count)));
    has_log = count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR));
  }
  // Its end is the end of its process namespace and of all forks in it.
  kill(process, SIGKILL);
  int status = 0;
  while (waitpid(process, &status, 0) < 0 && errno == EINTR) continue;
  const std::lock_guard lock(mutex_);
  has_ended_ = true;
  changed_.notify_all();
}

bool BubblewrapForkServer::wait_ready(std::chrono::milliseconds longest) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, longest, [this] { return is_ready_ || has_ended_; });
  return is_ready_ && !has_ended_;
}

std::string BubblewrapForkServer::log() const {
  const std::lock_guard lock(mutex_);
  return log_.text();
}

Result<std::unique_ptr<SandboxedProcess>> BubblewrapForkServer::fork(const SandboxCommand& command,
                                                                     const ForkFiles& files) {
  if (!command.gpus.empty()) return fail(Errc::unavailable, "forks have no GPU");
  long long uid = -1;
  if (host_.is_root) {
    CAMBRIAN_TRY(uid, make_user_id());
  }
  return launch_process(command,
                        {.filter = filter_of_(command),
                         .groups = host_.groups.get(),
                         // What a fork writes to of the server's memory becomes its own.
                         .memory_not_counted = memory_bytes_,
                         .patience = kStartPatience},
                        [this, &command, uid, &files](const auto& descriptors) -> Result<pid_t> {
                          const std::string text = request_text(host_, command, uid, files);
                          std::vector<int> sent = {descriptor_for(descriptors, kProgramSocket),
                                                   descriptor_for(descriptors, 1),
                                                   descriptor_for(descriptors, kControlSocket),
                                                   descriptor_for(descriptors, kSeccompProgram),
                                                   files.archive};
                          if (files.output >= 0) sent.push_back(files.output);
                          const int doors = host_.groups ? host_.groups->door_count() : 0;
                          for (int i = 0; i < doors; ++i) {
                            sent.push_back(descriptor_for(descriptors, kFirstGroupDoor + i));
                          }
                          CAMBRIAN_TRY_STATUS(send_request(channel_.get(), text, sent));
                          return 0;
                        });
}

}  // namespace cambrian::worker
