// The watch over GPUs, with a made-up driver library whose answers come from a file. No test here
// has seen a real GPU.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

#include "worker/adapters/nvml/nvml_watch.hpp"
#include "worker/adapters/sandbox/probe.hpp"
#include "worker/gpu_pool.hpp"

namespace {

namespace fs = std::filesystem;
using namespace cambrian::worker;
using Catch::Matchers::ContainsSubstring;

constexpr long long kIdle = 400LL << 20;

/// The answers of the made-up library.
class Driver {
 public:
  Driver() {
    setenv("CAMBRIAN_FAKE_NVML", path_.c_str(), 1);
    say("GPU-a used " + std::to_string(kIdle) + "\nGPU-b used " + std::to_string(kIdle) + "\n");
  }
  ~Driver() { fs::remove(path_); }

  // All at once: another thread may be reading.
  void say(const std::string& text) const {
    std::ofstream(path_.string() + ".new") << text;
    fs::rename(path_.string() + ".new", path_);
  }
  // Of GPU-a, while GPU-b stays well.
  void say_of_a(long long used, const std::string& more = "") const {
    say("GPU-b used " + std::to_string(kIdle) + "\nGPU-a used " + std::to_string(used) + "\n" +
        more);
  }
  std::unique_ptr<NvmlWatch> watch() const {
    auto watch = NvmlWatch::open({"GPU-a", "GPU-b"}, {.library = CAMBRIAN_FAKE_NVML_LIBRARY,
                                                      .patience = std::chrono::milliseconds(200)});
    if (!watch) FAIL(watch.error().message);
    return std::move(*watch);
  }

 private:
  fs::path path_ = fs::temp_directory_path() / ("cambrian-nvml-" + std::to_string(getpid()));
};

pid_t sleeper() {
  const pid_t child = fork();
  if (child == 0) pause();
  return child;
}

}  // namespace

TEST_CASE("NvmlWatch: without the driver's library there is none", "[integration][worker]") {
  const auto watch = NvmlWatch::open({"GPU-a"}, {.library = "/no/such/library.so"});
  REQUIRE_FALSE(watch);
  CHECK(watch.error().code == cambrian::Errc::not_found);
  CHECK_THAT(watch.error().message, ContainsSubstring("/no/such/library.so"));
  const Driver driver;
  const auto other = NvmlWatch::open({"GPU-c"}, {.library = CAMBRIAN_FAKE_NVML_LIBRARY});
  REQUIRE_FALSE(other);
  CHECK_THAT(other.error().message, ContainsSubstring("GPU-c"));
}

TEST_CASE("NvmlWatch: a GPU as it was found is well", "[integration][worker]") {
  const Driver driver;
  driver.say_of_a(kIdle, "GPU-a pid 1\nGPU-a ecc 5\n");
  const auto watch = driver.watch();
  CHECK(watch->memory_used("GPU-a").value() == kIdle);
  CHECK(watch->find_trouble("GPU-a").empty());
  CHECK(watch->find_trouble("GPU-b").empty());
  CHECK_FALSE(watch->memory_used("GPU-x"));
  CHECK_FALSE(watch->find_trouble("GPU-x").empty());
}

TEST_CASE("NvmlWatch: memory that is not given back is trouble until it is",
          "[integration][worker]") {
  const Driver driver;
  const auto watch = driver.watch();
  driver.say_of_a(kIdle + (1LL << 30));
  CHECK_THAT(watch->find_trouble("GPU-a"),
             ContainsSubstring("not given back: used=1424 MiB before=400 MiB"));
  CHECK(watch->find_trouble("GPU-b").empty());
  driver.say_of_a(kIdle + (16LL << 20));
  CHECK(watch->find_trouble("GPU-a").empty());
}

TEST_CASE("NvmlWatch: a process of ours is killed, a foreign one is reported",
          "[integration][worker]") {
  const Driver driver;
  const auto watch = driver.watch();
  const pid_t ours = sleeper();
  driver.say_of_a(kIdle, "GPU-a pid " + std::to_string(ours) + "\n");
  CHECK_THAT(watch->find_trouble("GPU-a"),
             ContainsSubstring("did not leave it: pid=" + std::to_string(ours)));
  int status = 0;
  CHECK(waitpid(ours, &status, 0) == ours);
  CHECK(WIFSIGNALED(status));
  // Process 1 is nobody's child.
  driver.say_of_a(kIdle, "GPU-a pid 1\n");
  CHECK_THAT(watch->find_trouble("GPU-a"), ContainsSubstring("another program uses it: pid=1"));
  driver.say_of_a(kIdle);
  CHECK(watch->find_trouble("GPU-a").empty());
}

TEST_CASE("NvmlWatch: new errors of the hardware are trouble, those of a program are not",
          "[integration][worker]") {
  const Driver driver;
  driver.say_of_a(kIdle, "GPU-a ecc 5\n");
  const auto watch = driver.watch();
  CHECK(watch->find_trouble("GPU-a").empty());
  driver.say_of_a(kIdle, "GPU-a ecc 7\n");
  CHECK_THAT(watch->find_trouble("GPU-a"), ContainsSubstring("not corrected: 2"));
  driver.say_of_a(kIdle, "GPU-a ecc 5\nGPU-a pending 1\n");
  CHECK_THAT(watch->find_trouble("GPU-a"), ContainsSubstring("reset"));
  driver.say_of_a(kIdle, "GPU-a ecc 5\nGPU-a failed 1\n");
  CHECK_THAT(watch->find_trouble("GPU-a"), ContainsSubstring("could not be replaced"));
  driver.say_of_a(kIdle, "GPU-a ecc 5\nGPU-a retire 1\n");
  CHECK_THAT(watch->find_trouble("GPU-a"), ContainsSubstring("to be retired"));
  driver.say_of_a(kIdle, "GPU-a ecc 5\nGPU-a xid 31\n");
  CHECK(watch->find_trouble("GPU-a").empty());
  driver.say_of_a(kIdle, "GPU-a ecc 5\nGPU-a xid 31\nGPU-a xid 79\n");
  CHECK_THAT(watch->find_trouble("GPU-a"), ContainsSubstring("XID=79"));
  CHECK(watch->find_trouble("GPU-b").empty());
  driver.say_of_a(kIdle, "GPU-a error 15\n");
  CHECK_THAT(watch->find_trouble("GPU-a"), ContainsSubstring("GPU is lost"));
}

TEST_CASE("GpuPool: a GPU in trouble is lent to nobody until it is well", "[integration][worker]") {
  const Driver driver;
  const auto watch = driver.watch();
  std::vector<std::string> changes;
  GpuPool pool({"GPU-a", "GPU-b"}, watch.get(),
               [&changes](const std::string& gpu, const std::string& trouble) {
                 changes.push_back(gpu + (trouble.empty() ? " well" : " broken"));
               });
  CHECK(pool.in_trouble().empty());
  {
    const auto both = pool.borrow(2, {});
    REQUIRE(both);
    driver.say_of_a(kIdle + (1LL << 30));
  }
  CHECK(pool.in_trouble().size() == 1);
  CHECK(pool.in_trouble().contains("GPU-a"));
  CHECK_FALSE(pool.borrow(2, {}));
  CHECK(pool.borrow(1, {})->ids() == std::vector<std::string>{"GPU-b"});
  pool.look_again();
  CHECK(pool.in_trouble().size() == 1);
  driver.say_of_a(kIdle);
  pool.look_again();
  CHECK(pool.in_trouble().empty());
  CHECK(pool.borrow(2, {}));
  CHECK(changes == std::vector<std::string>{"GPU-a broken", "GPU-a well"});
}

TEST_CASE("sandbox: a candidate that uses too much memory of a GPU is ended",
          "[integration][worker]") {
  const Driver driver;
  const auto watch = driver.watch();
  const SandboxProbe probe = probe_sandbox(CAMBRIAN_BINARY_DIR "/bin");
  if (!probe.sandbox) FAIL("no sandbox on this machine: " + probe.reason);
  SandboxCommand command;
  command.arguments = {"/usr/bin/sleep", "30"};
  command.wall_time = std::chrono::seconds(20);
  command.gpus = {"GPU-a"};
  command.gpu_memory_bytes = 512 << 20;
  const auto unwatched = probe.sandbox->start(command);
  REQUIRE_FALSE(unwatched);
  CHECK(unwatched.error().code == cambrian::Errc::exhausted);

  probe.sandbox->set_gpu_watch(watch.get());
  auto process = probe.sandbox->start(command);
  REQUIRE(process);
  driver.say_of_a(kIdle + (500LL << 20));
  CHECK_FALSE((*process)->wait(std::chrono::milliseconds(800)));
  driver.say_of_a(kIdle + (600LL << 20));
  const auto exit = (*process)->wait(std::chrono::seconds(15));
  REQUIRE(exit);
  CHECK(exit->is_gpu_memory_exceeded);
  CHECK_FALSE(exit->is_wall_time_exceeded);
}
