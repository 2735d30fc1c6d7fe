#include "worker/adapters/sandbox/gpus.hpp"

#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <fstream>

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFirst = "GPU-11111111-0000-0000-0000-000000000000";
constexpr const char* kSecond = "GPU-22222222-0000-0000-0000-000000000000";

/// A driver's folder in /proc and an nvidia-smi, made up: two GPUs, whose device files are numbered
/// the other way round.
class Machine {
 public:
  Machine() {
    std::string name = (fs::temp_directory_path() / "cambrian-gpus-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    folder_ = name;
    write("driver/gpus/0000:01:00.0/information",
          std::string("Model: \t\t Made up\nGPU UUID: \t ") + kFirst + "\nDevice Minor: \t 1\n");
    write("driver/gpus/0000:02:00.0/information",
          std::string("Model: \t\t Made up\nGPU UUID: \t ") + kSecond + "\nDevice Minor: \t 0\n");
    say(std::string("0, ") + kFirst + ", Disabled, 1000, Made up\n1, " + kSecond +
        ", Disabled, 1000, Made up\n");
  }
  ~Machine() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((folder_ / path).parent_path());
    std::ofstream(folder_ / path) << text;
  }
  /// What the tool prints when it is asked for the GPUs.
  void say(const std::string& text, int code = 0) const {
    write("answer", text);
    write("nvidia-smi", "#!/bin/sh\n[ \"$1\" = -L ] || cat " + (folder_ / "answer").string() +
                            "\nexit " + std::to_string(code) + "\n");
    fs::permissions(folder_ / "nvidia-smi", fs::perms::owner_all);
  }
  GpuSources sources(std::optional<std::string> visible = std::nullopt) const {
    return {(folder_ / "nvidia-smi").string(), folder_ / "driver", std::move(visible)};
  }

 private:
  fs::path folder_;
};

TEST_CASE("find_gpus: the kernel says which device file is whose", "[integration][worker]") {
  const Machine machine;
  const auto gpus = find_gpus("", machine.sources());
  REQUIRE(gpus);
  REQUIRE(gpus->size() == 2);
  CHECK((*gpus)[0].id == kFirst);
  CHECK((*gpus)[0].device_file == "/dev/nvidia1");
  CHECK((*gpus)[1].device_file == "/dev/nvidia0");
}

TEST_CASE("find_gpus: CUDA_VISIBLE_DEVICES bounds what may be selected", "[integration][worker]") {
  const Machine machine;
  for (const char* selection : {"", "all", "1"}) {
    const auto gpus = find_gpus(selection, machine.sources("1"));
    INFO(selection);
    REQUIRE(gpus);
    REQUIRE(gpus->size() == 1);
    CHECK((*gpus)[0].id == kSecond);
  }
  CHECK(find_gpus("", machine.sources(""))->empty());
  CHECK(find_gpus("none", machine.sources("1"))->empty());
  const auto hidden = find_gpus("0", machine.sources("1"));
  REQUIRE_FALSE(hidden);
  CHECK(hidden.error().code == Errc::invalid_argument);
  CHECK(hidden.error().message.find("CUDA_VISIBLE_DEVICES=1") != std::string::npos);
  CHECK_FALSE(find_gpus("7", machine.sources()));
}

TEST_CASE("find_gpus: no driver is no GPU, a broken one an error", "[integration][worker]") {
  const Machine machine;
  GpuSources without = machine.sources();
  without.driver = "/nonexistent";
  CHECK(find_gpus("all", without)->empty());
  machine.say("NVIDIA-SMI has failed\n", 9);
  const auto broken = find_gpus("", machine.sources());
  REQUIRE_FALSE(broken);
  CHECK(broken.error().message.find("--gpus none") != std::string::npos);
  CHECK(broken.error().message.find("code=9 output=NVIDIA-SMI has failed") != std::string::npos);
  CHECK(find_gpus("none", machine.sources())->empty());
}

}  // namespace
}  // namespace cambrian::worker
