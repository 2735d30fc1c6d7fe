// What a program in a sandbox can see and do, tried out.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <csignal>
#include <cstdlib>
#include <fstream>

#include "worker/adapters/sandbox/bubblewrap_arguments.hpp"
#include "worker/adapters/sandbox/core_lease.hpp"
#include "worker/adapters/sandbox/landlock.hpp"
#include "worker/adapters/sandbox/launched_process.hpp"
#include "worker/adapters/sandbox/probe.hpp"
#include "worker/adapters/sandbox/spawn.hpp"
#include "worker/adapters/sandbox/supervisor.hpp"
#include "worker/ports/descriptor.hpp"

namespace {

namespace fs = std::filesystem;
using namespace cambrian::worker;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::EndsWith;

const SandboxProbe& probe() {
  static const SandboxProbe probe = probe_sandbox(CAMBRIAN_BINARY_DIR "/bin");
  return probe;
}

BubblewrapSandbox& sandbox() {
  if (!probe().sandbox) FAIL("no sandbox on this machine: " + probe().reason);
  return *probe().sandbox;
}

SandboxCommand shell(const std::string& script) {
  SandboxCommand command;
  command.arguments = {"/usr/bin/bash", "-c", script};
  command.wall_time = std::chrono::seconds(20);
  return command;
}

SandboxCommand python(const std::string& script) {
  SandboxCommand command = shell("");
  command.arguments = {"/usr/bin/python3", "-c", script};
  return command;
}

std::pair<ProcessExit, std::string> run(const SandboxCommand& command) {
  auto ended = run_to_end(sandbox(), command, {});
  if (!ended) FAIL(ended.error().message);
  return *ended;
}

/// A folder of this test, removed with it.
struct Folder {
  fs::path path = fs::temp_directory_path() / ("cambrian-sandbox-test-" + std::to_string(getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
};

}  // namespace

TEST_CASE("sandbox: the probe names the walls that hold", "[integration]") {
  INFO(probe().reason);
  CHECK(probe().level >= SandboxLevel::standard);
  // What kept it from having control groups is told where it has none.
  const auto& told = probe().level == SandboxLevel::strict ? probe().walls : probe().missing;
  CHECK(std::count_if(told.begin(), told.end(), [](const std::string& text) {
          return text.starts_with("control group");
        }) == 1);
  for (const char* wall :
       {"mount namespace", "process namespace", "network namespace", "ipc namespace",
        "host name namespace", "empty root", "no privileges", "seccomp", "call list of compilers",
        "call list of judges", "resource limits"}) {
    CHECK(std::count(probe().walls.begin(), probe().walls.end(), wall) == 1);
  }
  const bool has_landlock = landlock_version() > 0;
  const auto named = "landlock " + std::to_string(landlock_version());
  CHECK(std::count(probe().walls.begin(), probe().walls.end(), named) == has_landlock);
  CHECK(std::count(probe().missing.begin(), probe().missing.end(), "landlock") != has_landlock);
}

TEST_CASE("sandbox: no file, variable or name of this machine is seen", "[integration]") {
  const Folder folder;
  std::ofstream(folder.path / "canary") << "canary-content";
  setenv("CAMBRIAN_CANARY", "canary-value", 1);
  const auto [exit, log] =
      run(shell("cat " + (folder.path / "canary").string() +
                " /etc/passwd /etc/shadow;"
                "ls / /etc /tmp /home /root /var; env; hostname; cat /proc/1/environ; id"));
  unsetenv("CAMBRIAN_CANARY");
  INFO(log);
  CHECK(exit.was_started);
  CHECK(log.find("canary-content") == std::string::npos);
  CHECK(log.find("canary-value") == std::string::npos);
  CHECK(log.find("root:") == std::string::npos);
  char host[256] = "";
  gethostname(host, sizeof host);
  CHECK(log.find("\n" + std::string(host) + "\n") == std::string::npos);
  CHECK_THAT(log, ContainsSubstring("sandbox"));
  CHECK(log.find("uid=0") == std::string::npos);
}

TEST_CASE("sandbox: no descriptor of the worker leaks", "[integration]") {
  // Deliberately without O_CLOEXEC.
  const Descriptor leak(open("/dev/null", O_RDONLY));
  REQUIRE(leak);
  const auto [exit, log] =
      run(python("import os\n"
                 "for i in range(256):\n"
                 "  try: os.fstat(i); print(i)\n"
                 "  except OSError: pass"));
  CHECK(log == "0\n1\n2\n");
}

TEST_CASE("sandbox: there is a boot id, and it is not the host's", "[integration]") {
  std::string host;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> host;
  const auto [exit, log] = run(shell("cat /proc/sys/kernel/random/boot_id"));
  INFO(log);
  CHECK(log.size() == host.size() + 1);
  CHECK(log.find(host) == std::string::npos);
}

TEST_CASE("sandbox: /proc names neither mounts nor processes", "[integration]") {
  if (landlock_version() == 0) SKIP("this kernel has no Landlock");
  const auto [exit, log] =
      run(shell("for f in mountinfo mounts mountstats cgroup maps environ fd; do"
                " cat /proc/self/$f; cat /proc/$$/$f; ls /proc/self/$f; done;"
                "cat /proc/mounts /proc/cmdline /proc/1/cmdline /proc/1/cgroup; ls /proc;"
                "grep -c MemTotal /proc/meminfo; cat < /dev/stdin && echo on"));
  INFO(log);
  CHECK(log.find((fs::path(CAMBRIAN_BINARY_DIR).parent_path()).string()) == std::string::npos);
  CHECK(log.find(" / ") == std::string::npos);
  CHECK(log.find("cambrian-sandbox-init") == std::string::npos);
  // What libraries look at is there, and so is standard input by its name.
  CHECK_THAT(log, EndsWith("\n1\non\n"));
}

TEST_CASE("sandbox: packaged data sets are for judges only", "[integration]") {
  if (!fs::exists("/usr/share/datasets")) SKIP("this machine has no packaged data set");
  SandboxCommand command = shell("ls -A /usr/share/datasets; echo done");
  for (const auto profile : {SandboxProfile::candidate, SandboxProfile::compile}) {
    command.profile = profile;
    // One that is hidden already, as the data of a task are.
    command.hidden = {"/usr/share/datasets/fashion-mnist", "/usr/share/datasets/none/file"};
    CHECK(run(command).second == "done\n");
  }
  command.profile = SandboxProfile::judge;
  command.hidden = {};
  CHECK(run(command).second != "done\n");
}

TEST_CASE("sandbox: files in memory are memory, and their number is limited", "[integration]") {
  SandboxCommand hoard =
      shell("head -c 60000000 /dev/zero >/tmp/a; head -c 60000000 /dev/zero >/dev/shm/a; sleep 9");
  hoard.memory_bytes = 100 << 20;
  hoard.disk_bytes = 64 << 20;
  const ProcessExit full = run(hoard).first;
  CHECK(full.is_memory_exceeded);
  CHECK(full.memory_peak_bytes >= hoard.memory_bytes);

  const auto [exit, log] =
      run(python("import os\n"
                 "for i in range(10**7):\n"
                 "  os.close(os.open(f'/tmp/{i}', os.O_CREAT | os.O_WRONLY))\n"
                 "  if i % 1000 == 0: print(i, flush=True)"));
  CHECK(exit.is_disk_full);
  CHECK(exit.signal == SIGKILL);
  CHECK(std::stol(log.substr(log.rfind('\n', log.size() - 2) + 1)) < 300'000);
}

TEST_CASE("sandbox: there is no network", "[integration]") {
  const Descriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(listen(listener.get(), 1) == 0);
  socklen_t size = sizeof address;
  REQUIRE(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const auto port = std::to_string(ntohs(address.sin_port));
  const auto [exit, log] = run(shell("exec 5<>/dev/tcp/127.0.0.1/" + port + " && echo connected"));
  CHECK(log.find("connected") == std::string::npos);
  const auto [other, families] =
      run(python("import socket\n"
                 "for f in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, 40):\n"
                 "  try: socket.socket(f, socket.SOCK_STREAM); print('made', f)\n"
                 "  except OSError: pass\n"
                 "socket.socketpair(); print('done')"));
  CHECK(families == "done\n");
}

TEST_CASE("sandbox: the system call filter holds", "[integration]") {
  const auto [exit, log] = run(python(
      "import ctypes, os\n"
      "libc = ctypes.CDLL(None, use_errno=True)\n"
      "calls = dict(ptrace=101, mount=165, unshare=272, setns=308, bpf=321, keyctl=250,\n"
      "             userfaultfd=323, perf_event_open=298, open_by_handle_at=304,\n"
      "             process_vm_readv=310, io_uring_setup=425, shmget=29, memfd_create=319,\n"
      "             statmount=457, listmount=458, open_tree_attr=467)\n"
      "for name, number in calls.items():\n"
      "  # With these arguments, the kernel itself would find something else wrong.\n"
      "  result = libc.syscall(number, -1, -1, -1, -1, -1, -1)\n"
      "  if result != -1 or ctypes.get_errno() not in (1, 38): print(name, ctypes.get_errno())\n"
      "CLONE_NEWUSER = 0x10000000\n"
      "if libc.syscall(56, CLONE_NEWUSER | 17, 0, 0, 0, 0) == 0: os._exit(7)\n"
      "print('done')"));
  CHECK(log == "done\n");
}

TEST_CASE("sandbox: for compilers and judges, a call that is on no list does not exist",
          "[integration]") {
  // Prints the calls that are there. Bad arguments: none of them does anything.
  SandboxCommand command = python(
      "import ctypes, sys\n"
      "libc = ctypes.CDLL(None, use_errno=True)\n"
      "for name, number in zip(sys.argv[1::2], map(int, sys.argv[2::2])):\n"
      "  result = libc.syscall(number, -1, -1, -1, -1, -1, -1)\n"
      "  if result != -1 or ctypes.get_errno() not in (38, 97): print(name)");
  for (const auto& [name, number] :
       {std::pair("socket", SYS_socket), std::pair("bind", SYS_bind),
        std::pair("personality", SYS_personality), std::pair("io_setup", SYS_io_setup),
        std::pair("mq_unlink", SYS_mq_unlink), std::pair("inotify_init1", SYS_inotify_init1),
        std::pair("syncfs", SYS_syncfs), std::pair("pidfd_open", SYS_pidfd_open),
        std::pair("clone3", SYS_clone3), std::pair("unknown", 9999),
        std::pair("memfd_create", SYS_memfd_create), std::pair("symlinkat", SYS_symlinkat),
        std::pair("fchownat", SYS_fchownat)}) {
    command.arguments.insert(command.arguments.end(), {name, std::to_string(number)});
  }
  command.profile = SandboxProfile::compile;
  CHECK(run(command).second == "symlinkat\nfchownat\n");
  command.profile = SandboxProfile::judge;
  CHECK(run(command).second == "memfd_create\n");
  // A candidate has what is not refused: GPU drivers take any.
  command.profile = SandboxProfile::candidate;
  CHECK_THAT(run(command).second, ContainsSubstring("inotify_init1\n"));
}

TEST_CASE("sandbox: for compilers and judges, a call that is dangerous is refused",
          "[integration]") {
  SandboxCommand command = python(
      "import ctypes, sys\n"
      "libc = ctypes.CDLL(None, use_errno=True)\n"
      "clone, setpriority, prlimit, affinity, *refused = map(int, sys.argv[1:])\n"
      "for number in refused:\n"
      "  assert libc.syscall(number, 0, 0, 0, 0, 0, 0) == -1, number\n"
      "  assert ctypes.get_errno() == 1, number\n"
      "CLONE_NEWUSER, PRIO_USER = 0x10000000, 2\n"
      "assert libc.syscall(clone, CLONE_NEWUSER | 17, 0, 0, 0, 0) == -1\n"
      "assert libc.syscall(setpriority, PRIO_USER, 0, 19) == -1\n"
      "assert libc.syscall(prlimit, 1, 7, 0, 0) == -1\n"
      "assert libc.syscall(affinity, ctypes.c_long((1 << 32) + 1), 8, b'\\1' * 8) == -1\n"
      "print('done')");
  for (const long number :
       {SYS_clone, SYS_setpriority, SYS_prlimit64, SYS_sched_setaffinity, SYS_ptrace, SYS_mount,
        SYS_keyctl, SYS_unshare, SYS_perf_event_open, SYS_open_by_handle_at, SYS_setns,
        SYS_process_vm_readv, SYS_bpf, SYS_userfaultfd, SYS_io_uring_setup}) {
    command.arguments.push_back(std::to_string(number));
  }
  for (const auto profile : {SandboxProfile::compile, SandboxProfile::judge}) {
    command.profile = profile;
    CHECK(run(command).second == "done\n");
  }
}

TEST_CASE("sandbox: what compilers and judges commonly do, they can do", "[integration]") {
  SandboxCommand command = python(
      "import multiprocessing, os, resource, shutil, signal, socket, subprocess, tempfile\n"
      "import threading, time\n"
      "thread = threading.Thread(target=time.sleep, args=(0.01,)); thread.start(); thread.join()\n"
      "assert subprocess.run(['sh', '-c', 'exit 3']).returncode == 3\n"
      "assert subprocess.check_output('ls -l /usr | wc -l; nice -n 1 true', shell=True)\n"
      "with tempfile.TemporaryDirectory() as folder:\n"
      "  a, b = folder + '/a', folder + '/b'\n"
      "  open(a, 'w').write('x'); shutil.copy2(a, b); os.rename(b, a); os.truncate(a, 9)\n"
      "  shutil.copytree(folder, '/tmp/copy')\n"
      "left, right = socket.socketpair(); left.sendall(b'x'); assert right.recv(1) == b'x'\n"
      "lock = multiprocessing.Lock(); lock.acquire(); lock.release()\n"
      "with multiprocessing.Pool(2) as pool: assert pool.map(abs, [-1, 2]) == [1, 2]\n"
      "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})\n"
      "signal.setitimer(signal.ITIMER_REAL, 0.01); signal.sigwait({signal.SIGALRM})\n"
      "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
      "os.sched_setaffinity(0, os.sched_getaffinity(0))\n"
      "print('done')");
  for (const auto profile : {SandboxProfile::compile, SandboxProfile::judge}) {
    command.profile = profile;
    CHECK(run(command).second == "done\n");
  }
}

TEST_CASE("sandbox: all that builds use works behind the list for compilers", "[integration]") {
  SandboxCommand build = shell(
      "set -e; cd /tmp; echo 'int main() { return 7; }' >program.cpp\n"
      "for compiler in 'clang++-19 -fuse-ld=mold' clang++-19 'g++ -fuse-ld=mold' g++; do\n"
      "  $compiler -O2 program.cpp -o program; ./program || echo $?\n"
      "done\n"
      "clang++-19 -x c++-header -fpch-instantiate-templates program.cpp -o program.pch\n"
      "g++ -c program.cpp; ar rcs libprogram.a program.o; strip program\n"
      "ln -s program c; cp -p program a; install -m 700 a d; touch -r a d; mv d e; mkfifo f");
  build.profile = SandboxProfile::compile;
  build.wall_time = std::chrono::seconds(100);
  CHECK(run(build).second == "7\n7\n7\n7\n");
  // Tasks of the runtime `process` may bring a makefile.
  SandboxCommand make = shell(
      "cd /tmp && printf 'all: a b\\n%%:\\n\\tcp -p /usr/bin/env $@\\n' >Makefile"
      " && make -j2 >log && ls a b | tr '\\n' ' '");
  make.profile = SandboxProfile::compile;
  if (fs::exists("/usr/bin/make")) CHECK(run(make).second == "a b ");
}

TEST_CASE("sandbox: PyTorch works behind the list for judges", "[integration]") {
  if (!fs::exists("/usr/lib/python3/dist-packages/torch")) SKIP("no PyTorch here");
  SandboxCommand command = python(
      "import numpy, torch\n"
      "from torch import nn\n"
      "torch.set_num_threads(2)\n"
      "net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))\n"
      "optimizer = torch.optim.Adam(net.parameters())\n"
      "loss = net(torch.randn(16, 1, 8, 8)).square().mean()\n"
      "loss.backward()\n"
      "optimizer.step()\n"
      "torch.save(net.state_dict(), '/tmp/state')\n"
      "net.load_state_dict(torch.load('/tmp/state', mmap=True))\n"
      "numpy.save('/tmp/array.npy', net[0].weight.detach().numpy())\n"
      "assert numpy.load('/tmp/array.npy', mmap_mode='r').shape == (4, 1, 3, 3)\n"
      "print('done')");
  command.profile = SandboxProfile::judge;
  command.wall_time = std::chrono::seconds(100);
  const auto [exit, log] = run(command);
  INFO(log);
  CHECK_THAT(log, EndsWith("done\n"));
}

TEST_CASE("sandbox: the supervisor cannot be ended or looked into", "[integration]") {
  const auto [exit, log] =
      run(shell("kill -9 1; kill -TERM 1; ls /proc/1/fd; cat /proc/1/mem; echo alive; exit 4"));
  CHECK(exit.exit_code == 4);
  CHECK_THAT(log, ContainsSubstring("alive"));
  CHECK_THAT(log, ContainsSubstring("Permission denied"));
}

TEST_CASE("sandbox: the supervisor keeps its limits and its priority", "[integration]") {
  const auto [exit, log] =
      run(python("import os, resource\n"
                 "param = os.sched_param(0)\n"
                 "tries = dict(\n"
                 "  prlimit=lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0)),\n"
                 "  idle=lambda: os.sched_setscheduler(1, os.SCHED_IDLE, param),\n"
                 "  affinity=lambda: os.sched_setaffinity(1, {0}),\n"
                 "  own_affinity=lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),\n"
                 "  nice=lambda: os.setpriority(os.PRIO_PROCESS, 1, 19),\n"
                 "  user=lambda: os.setpriority(os.PRIO_USER, 0, 19))\n"
                 "for name, attempt in tries.items():\n"
                 "  try: attempt(); print('could', name)\n"
                 "  except PermissionError: pass\n"
                 "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
                 "os.setpriority(os.PRIO_PROCESS, 0, 19)\n"
                 "print('done')"));
  CHECK(log == "done\n");
}

TEST_CASE("sandbox: a program has the cores that were leased for it, and no two the same",
          "[integration]") {
  if (usable_cores().size() < 2) SKIP("this machine has one core");
  SandboxCommand command = python(
      "import os, time\n"
      "print(*os.sched_getaffinity(0), flush=True)\n"
      "try: os.sched_setaffinity(0, range(1024)); print('all')\n"
      "except PermissionError: pass\n"
      "time.sleep(0.5)");
  const auto cores = sandbox().lease_cores(1);
  const auto other_cores = sandbox().lease_cores(1);
  command.confined_to = *cores;
  const auto one = sandbox().start(command);
  command.confined_to = *other_cores;
  const auto other = sandbox().start(command);
  REQUIRE((one && other));
  REQUIRE((*one)->wait(std::chrono::seconds(20)));
  REQUIRE((*other)->wait(std::chrono::seconds(20)));
  INFO((*one)->log() << (*other)->log());
  CHECK_FALSE((*one)->log().empty());
  CHECK((*one)->log().find(' ') == std::string::npos);
  CHECK((*one)->log().find("all") == std::string::npos);
  // Others on this machine may hold cores, too.
  if (usable_cores().size() > 2) CHECK((*one)->log() != (*other)->log());
  command.confined_to.clear();
  const std::string all = run(command).second;
  CHECK(std::count(all.begin(), all.end(), ' ') + 1 ==
        static_cast<std::ptrdiff_t>(usable_cores().size()));
}

TEST_CASE("sandbox: what is hidden cannot be read", "[integration]") {
  SandboxCommand command = shell(
      "ls -A /usr/share/common-licenses; wc -c </usr/bin/env;"
      "echo x >/usr/share/common-licenses/x; ls -d /usr/share/common-licenses");
  command.hidden = {"/usr/share/common-licenses", "/usr/bin/env", "/usr/share/no-such-folder"};
  const auto [exit, log] = run(command);
  INFO(log);
  CHECK_THAT(log, Catch::Matchers::StartsWith("/usr/bin/bash: line 1: /usr/bin/env: Perm"));
  CHECK_THAT(log, ContainsSubstring("Read-only file system"));
}

TEST_CASE("sandbox: how a program ended is known exactly", "[integration]") {
  CHECK(run(shell("exit 137")).first.exit_code == 137);
  CHECK(run(shell("kill -9 $$")).first.signal == SIGKILL);
  CHECK(run(shell("kill -SEGV $$")).first.signal == SIGSEGV);
  SandboxCommand absent = shell("");
  absent.arguments = {"/usr/bin/no-such-program"};
  const auto [exit, log] = run(absent);
  CHECK_FALSE(exit.was_started);
  CHECK_THAT(exit.failure, ContainsSubstring("no-such-program"));
  SandboxCommand broken = shell("true");
  broken.mounts = {{"/no/such/folder", "/task", false}};
  CHECK_THAT(run(broken).first.failure, ContainsSubstring("/no/such/folder"));
}

TEST_CASE("sandbox: walls that are not put up are not the program's fault", "[integration]") {
  SandboxHost host;
  host.supervisor = CAMBRIAN_BINARY_DIR "/bin/cambrian-sandbox-init";
  host.is_root = geteuid() == 0;
  host.landlock_version = 1;
  host.usr_merged = {"/bin", "/lib", "/lib64"};
  // As on a kernel that refuses Landlock in the last moment.
  const std::array<sock_filter, 4> instructions = {
      {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
       BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_landlock_restrict_self, 0, 1),
       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}};
  const std::string filter(reinterpret_cast<const char*>(instructions.data()), sizeof instructions);
  const SandboxCommand command = shell("echo on");
  const auto process = launch_process(command, {.filter = filter}, [&](const auto& descriptors) {
    return spawn(bubblewrap_arguments(host, command, host.is_root ? 123456 : -1), descriptors);
  });
  REQUIRE(process);
  const auto exit = (*process)->wait(std::chrono::seconds(20));
  REQUIRE(exit);
  CHECK_FALSE(exit->was_started);
  CHECK_FALSE(exit->is_program_unusable);
  CHECK_THAT(exit->failure, ContainsSubstring("walls were not put up"));
}

TEST_CASE("sandbox: a fork that does not end when told to is reported", "[integration]") {
  Descriptor supervisor;
  const auto silent = [&](const auto& descriptors) -> cambrian::Result<pid_t> {
    for (const auto& [ours, number] : descriptors) {
      if (number == kControlSocket) supervisor = Descriptor(dup(ours));
    }
    const SupervisorRecord started;
    CHECK(send(supervisor.get(), &started, sizeof started, 0) == sizeof started);
    return 0;
  };
  const auto process =
      launch_process(shell(""), {.filter = "x", .patience = std::chrono::seconds(5)}, silent);
  REQUIRE(process);
  (*process)->stop();
  const auto exit = (*process)->wait(std::chrono::seconds(20));
  REQUIRE(exit);
  CHECK(exit->was_started);
  CHECK(exit->is_left_behind);
}

TEST_CASE("sandbox: wall time and stop end the whole tree at once", "[integration]") {
  SandboxCommand command = shell("(trap '' TERM; sleep 60) & (setsid sleep 60) & sleep 60");
  command.wall_time = std::chrono::milliseconds(300);
  const auto begun = std::chrono::steady_clock::now();
  const auto [exit, log] = run(command);
  CHECK(exit.is_wall_time_exceeded);
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(5));

  auto process = sandbox().start(shell("sleep 60"));
  REQUIRE(process);
  (*process)->stop();
  const auto stopped = (*process)->wait(std::chrono::seconds(5));
  REQUIRE(stopped);
  CHECK(stopped->was_stopped);
}

TEST_CASE("sandbox: what a program leaves running dies with it", "[integration]") {
  const auto begun = std::chrono::steady_clock::now();
  const auto [exit, log] = run(shell("sleep 60 & setsid sleep 60 & exit 0"));
  CHECK(exit.exit_code == 0);
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(5));
}

TEST_CASE("sandbox: a program that hides memory in a file or in /dev/shm is limited",
          "[integration]") {
  SandboxCommand command = shell(
      "head -c 100000000 /dev/zero > /dev/shm/a; head -c 100000000 /dev/zero > /tmp/a;"
      "stat -c %s /dev/shm/a /tmp/a");
  command.disk_bytes = 8 << 20;
  const auto [exit, log] = run(command);
  CHECK(exit.is_disk_full);
  CHECK(log.find("\n100000000\n") == std::string::npos);
}

TEST_CASE("sandbox: what lies in a writable folder can be changed, too", "[integration]") {
  const Folder folder;
  fs::create_directories(folder.path / "src/deep");
  std::ofstream(folder.path / "src/deep/file") << "old";
  fs::create_symlink("/etc/hostname", folder.path / "src/link");
  SandboxCommand command = shell(
      "cd /out/src/deep && echo new >file && mkdir more && echo x >more/x;"
      "cat file more/x");
  command.mounts = {{folder.path, "/out", true}};
  CHECK(run(command).second == "new\nx\n");
}

TEST_CASE("sandbox: a writable folder has a size, too", "[integration]") {
  const Folder folder;
  SandboxCommand command =
      shell("for i in $(seq 1000); do head -c 4000000 /dev/zero > /out/$i; done");
  command.mounts = {{folder.path, "/out", true}};
  command.disk_bytes = 16 << 20;
  const auto [exit, log] = run(command);
  CHECK(exit.is_disk_full);
  CHECK_FALSE(exit.exit_code);
}

TEST_CASE("sandbox: cpu time and memory are measured over all processes", "[integration]") {
  SandboxCommand command = python(
      "import os, time\n"
      "data = bytearray(b'x') * (64 << 20)\n"
      "if os.fork() == 0:\n"
      "  end = time.process_time() + 0.3\n"
      "  while time.process_time() < end: pass\n"
      "  os._exit(0)\n"
      "os.wait()");
  const auto [exit, log] = run(command);
  INFO(log);
  CHECK(exit.cpu_time > std::chrono::milliseconds(290));
  CHECK(exit.memory_peak_bytes > 64 << 20);
  CHECK(exit.memory_peak_bytes < 256 << 20);
}

TEST_CASE("sandbox: many at once do not disturb each other", "[integration]") {
  std::vector<std::unique_ptr<SandboxedProcess>> processes;
  for (int i = 0; i < 8; ++i) {
    SandboxCommand command = shell("exit " + std::to_string(i));
    command.processes = 4;
    auto process = sandbox().start(command);
    REQUIRE(process);
    processes.push_back(std::move(*process));
  }
  for (int i = 0; i < 8; ++i) {
    const auto exit = processes[static_cast<std::size_t>(i)]->wait(std::chrono::seconds(20));
    REQUIRE(exit);
    CHECK(exit->exit_code == i);
  }
}
