#include "worker/adapters/sandbox/bubblewrap_arguments.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>

namespace cambrian::worker {
namespace {

using Arguments = std::vector<std::string>;

SandboxHost host() {
  SandboxHost host;
  host.supervisor = "/opt/cambrian-sandbox-init";
  host.usr_merged = {"/bin", "/lib"};
  host.gpu_devices = {"/dev/nvidiactl"};
  host.gpu_files = {{"GPU-a", "/dev/nvidia0"}, {"GPU-b", "/dev/nvidia2"}};
  return host;
}

bool has_sequence(const Arguments& arguments, const Arguments& sequence) {
  return std::search(arguments.begin(), arguments.end(), sequence.begin(), sequence.end()) !=
         arguments.end();
}

TEST_CASE("bubblewrap_arguments: every namespace is new", "[unit][worker]") {
  SandboxCommand command;
  command.arguments = {"/bin/true"};
  const Arguments arguments = bubblewrap_arguments(host(), command, -1);
  for (const char* flag :
       {"--unshare-user", "--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts",
        "--unshare-cgroup-try", "--die-with-parent", "--new-session", "--clearenv", "--as-pid-1"}) {
    CHECK(has_sequence(arguments, {flag}));
  }
  CHECK(has_sequence(arguments, {"--cap-drop", "ALL"}));
  CHECK(has_sequence(arguments, {"--remount-ro", "/"}));
  CHECK(arguments.back() == "/bin/true");
}

TEST_CASE("bubblewrap_arguments: root becomes another user instead", "[unit][worker]") {
  SandboxHost root = host();
  root.is_root = true;
  const Arguments arguments = bubblewrap_arguments(root, {}, 1'500'000'000);
  CHECK_FALSE(has_sequence(arguments, {"--unshare-user"}));
  CHECK(has_sequence(arguments, {"uid=1500000000"}));
}

TEST_CASE("bubblewrap_arguments: writable folders have a size or a mount", "[unit][worker]") {
  SandboxCommand command;
  command.disk_bytes = 12345;
  command.mounts = {{"/here/task", "/task", false}, {"/here/out", "/out", true}};
  const Arguments arguments = bubblewrap_arguments(host(), command, -1);
  CHECK(has_sequence(arguments, {"--size", "12345", "--tmpfs", "/tmp"}));
  CHECK(has_sequence(arguments, {"--size", "12345", "--tmpfs", "/dev/shm"}));
  CHECK(has_sequence(arguments, {"--ro-bind", "/here/task", "/task"}));
  CHECK(has_sequence(arguments, {"--bind", "/here/out", "/out"}));
}

TEST_CASE("bubblewrap_arguments: of hidden paths the outermost are hidden", "[unit][worker]") {
  SandboxCommand command;
  command.hidden = {"/usr/share/common-licenses/GPL-3", "/usr/share/common-licenses",
                    "/usr/share/common"};
  const Arguments arguments = bubblewrap_arguments(host(), command, -1);
  CHECK(has_sequence(arguments, {"--tmpfs", "/usr/share/common-licenses"}));
  CHECK_FALSE(has_sequence(arguments, {"/usr/share/common-licenses/GPL-3"}));
}

TEST_CASE("bubblewrap_arguments: Landlock is asked for where the kernel has it", "[unit][worker]") {
  SandboxCommand command;
  CHECK_FALSE(has_sequence(bubblewrap_arguments(host(), command, -1), {"landlock=1"}));
  SandboxHost newer = host();
  newer.landlock_version = 7;
  CHECK(has_sequence(bubblewrap_arguments(newer, command, -1), {"landlock=1"}));
  // A GPU's driver reads about itself and its process in /proc.
  command.gpus = {"GPU-a"};
  CHECK(has_sequence(bubblewrap_arguments(newer, command, -1), {"landlock=2"}));
}

TEST_CASE("bubblewrap_arguments: only a command with GPUs sees GPUs", "[unit][worker]") {
  SandboxCommand command;
  CHECK_FALSE(has_sequence(bubblewrap_arguments(host(), command, -1), {"/dev/nvidiactl"}));
  CHECK(has_sequence(bubblewrap_arguments(host(), command, -1), {"CUDA_VISIBLE_DEVICES", ""}));
  command.gpus = {"GPU-b"};
  const Arguments arguments = bubblewrap_arguments(host(), command, -1);
  CHECK(has_sequence(arguments, {"--dev-bind", "/dev/nvidiactl", "/dev/nvidiactl"}));
  CHECK(has_sequence(arguments, {"--dev-bind", "/dev/nvidia2", "/dev/nvidia2"}));
  CHECK_FALSE(has_sequence(arguments, {"--dev-bind", "/dev/nvidia0", "/dev/nvidia0"}));
  CHECK(has_sequence(arguments, {"CUDA_VISIBLE_DEVICES", "GPU-b"}));
  // A CUDA driver reserves more addresses than any limit would allow.
  CHECK(has_sequence(arguments, {"address=0"}));
}

}  // namespace
}  // namespace cambrian::worker
