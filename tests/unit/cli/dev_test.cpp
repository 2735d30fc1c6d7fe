#include <catch2/catch_test_macros.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/dev/environment.hpp"
#include "cli/dev/layout.hpp"
#include "cli/dev/network.hpp"
#include "cli/dev/process.hpp"
#include "cli/dev/services.hpp"
#include "cli/dev/state.hpp"

namespace cambrian::cli::dev {
namespace {

namespace fs = std::filesystem;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "cambrian-dev-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

TEST_CASE("make_layout: sockets fit into the kernel's limit", "[unit][cli]") {
  CHECK(make_layout("/a/b/").directory == "/a/b");
  CHECK(make_layout("/a/b").run == "/a/b/run");
  const Layout deep = make_layout("/" + std::string(120, 'x'));
  CHECK(deep.run.string().starts_with("/tmp/cambrian-"));
  CHECK((deep.run / ".s.PGSQL.5432.lock").string().size() < 108);
  CHECK(deep.run != make_layout("/" + std::string(120, 'y')).run);
}

TEST_CASE("create_folders: names the folder that cannot be made", "[unit][cli]") {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "file") << "x";
  const Status status = create_folders(make_layout(folder.path() / "file" / "dev"));
  REQUIRE_FALSE(status);
  CHECK(status.error().message.find("file/dev") != std::string::npos);
  CHECK(create_folders(make_layout(folder.path() / "dev")));
}

TEST_CASE("create_folders: leaves the rights of a folder that was there", "[unit][cli]") {
  const TemporaryFolder folder;
  const fs::perms open = fs::perms::all;
  fs::permissions(folder.path(), open);
  REQUIRE(create_folders(make_layout(folder.path())));
  // Somebody may have named /tmp.
  CHECK(fs::status(folder.path()).permissions() == open);
  CHECK(fs::status(folder.path() / "run").permissions() == fs::perms::owner_all);
}

TEST_CASE("down: removes nothing that is not its own", "[unit][cli]") {
  const TemporaryFolder folder;
  fs::create_directories(folder.path() / "run");
  std::ofstream(folder.path() / "run" / "precious") << "x";
  std::ofstream(folder.path() / "run" / "coordinator.address") << "x";
  // Such as --directory / by mistake: /run is not ours.
  REQUIRE(down(folder.path(), [](const std::string&) {}));
  CHECK(fs::exists(folder.path() / "run" / "precious"));
  CHECK(fs::exists(folder.path() / "run" / "coordinator.address"));

  REQUIRE(write_state(make_layout(folder.path()), State{}));
  REQUIRE(down(folder.path(), [](const std::string&) {}));
  CHECK(fs::exists(folder.path() / "run" / "precious"));
  CHECK_FALSE(fs::exists(folder.path() / "run" / "coordinator.address"));
}

TEST_CASE("state: comes back as it was written", "[unit][cli]") {
  const TemporaryFolder folder;
  const Layout layout = make_layout(folder.path());
  CHECK_FALSE(*read_state(layout));
  State state{.supervisor = {7, 8},
              .fingerprint = "f",
              .endpoint = "127.0.0.1:1",
              .metrics = "m",
              .model_url = "u",
              .database = "d",
              .is_ready = true,
              .error = "e",
              .services = {{"worker-1", "ready", {1, 2}, 3, "signal 9"}}};
  REQUIRE(write_state(layout, state));
  const auto again = read_state(layout);
  REQUIRE((again && *again));
  CHECK((*again)->supervisor == state.supervisor);
  CHECK((*again)->services[0].process == state.services[0].process);
  CHECK((*again)->services[0].last_exit == "signal 9");
  std::ofstream(layout.state_file()) << "{";
  CHECK_FALSE(read_state(layout));
}

TEST_CASE("lock: the kernel knows who holds it", "[unit][cli]") {
  const TemporaryFolder folder;
  const Layout layout = make_layout(folder.path());
  CHECK(lock_holder(layout) == 0);
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const char byte = take_lock(layout) ? 'y' : 'n';
    if (write(ready[1], &byte, 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  char byte = 0;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  CHECK(byte == 'y');
  CHECK(lock_holder(layout) == child);
  CHECK_FALSE(take_lock(layout));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  CHECK(lock_holder(layout) == 0);
  close(ready[0]);
  close(ready[1]);
}

TEST_CASE("process: a number alone does not identify one", "[unit][cli]") {
  const auto self = find_process(getpid());
  REQUIRE(self);
  CHECK(is_alive(*self));
  CHECK_FALSE(is_alive({self->pid, self->start_ticks + 1}));
  CHECK_FALSE(send_signal({self->pid, self->start_ticks + 1}, SIGKILL));
  CHECK_FALSE(find_process(0));
}

TEST_CASE("run: gives code, signal, output and a limit", "[unit][cli]") {
  const TemporaryFolder folder;
  const auto request = [&](const std::string& script) {
    return SpawnRequest{.arguments = {"/bin/sh", "-c", script},
                        .environment = {{"CAMBRIAN_X", "value"}},
                        .log = folder.path() / "log",
                        .folder = "/"};
  };
  using std::chrono::seconds;
  CHECK(run(request("echo $CAMBRIAN_X; exit 3"), seconds(10)).value() == 3);
  CHECK(tail_of(folder.path() / "log", 100) == "value\n");
  CHECK(run(request("kill -9 $$"), seconds(10)).value() == 128 + 9);
  CHECK(run(request("while :; do :; done"), std::chrono::milliseconds(100)).error().code ==
        Errc::deadline_exceeded);
  const auto missing = run({.arguments = {"/nonexistent"},
                            .environment = {},
                            .log = folder.path() / "log",
                            .folder = {}},
                           seconds(1));
  CHECK(missing.error().code == Errc::not_found);
}

TEST_CASE("tail_of: keeps whole lines of the end", "[unit][cli]") {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "log") << "first line\nsecond\nthird\n";
  CHECK(tail_of(folder.path() / "log", 10) == "third\n");
  CHECK(tail_of(folder.path() / "log", 1000).starts_with("first"));
  CHECK(tail_of(folder.path() / "none", 10).empty());
}

TEST_CASE("free_address: takes the usual port or another one", "[unit][cli]") {
  const std::string address = free_address("127.0.0.1:0");
  CHECK(address != "127.0.0.1:0");
  CHECK(is_free(address));
  CHECK(free_address(address) == address);
  CHECK_FALSE(is_free("nonsense"));
  CHECK_FALSE(is_free("127.0.0.1:99999"));
}

TEST_CASE("make_services: another endpoint needs no code model", "[unit][cli]") {
  EnvironmentOptions options;
  options.directory = "/d";
  options.programs = "/p";
  options.workers = 2;
  const Layout layout = make_layout("/d");
  const Addresses addresses{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"};
  const auto names = [&] {
    std::string text;
    for (const Service& service : make_services(options, layout, addresses, "db")) {
      text += service.name + " ";
    }
    return text;
  };
  CHECK(names() == "coordinator codemodel codegen worker-1 worker-2 ");
  options.base_url = "http://x/v1";
  options.model = "m";
  CHECK(names() == "coordinator codegen worker-1 worker-2 ");
  const std::string before = fingerprint(options);
  CHECK(before == fingerprint(options));
  options.workers = 3;
  CHECK(before != fingerprint(options));
}

}  // namespace
}  // namespace cambrian::cli::dev
