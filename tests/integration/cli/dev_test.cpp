#include <signal.h>

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/integration/cli/command_line.hpp"

namespace cambrian::cli::testing {
namespace {

using nlohmann::json;

TEST_CASE("dev: what dies comes back at the same address", "[integration][cli]") {
  const Environment cambrian;
  const auto before = json::parse(cambrian.run({"dev", "status", "--json"}).out);
  for (const char* service : {"worker-1", "codegen", "codemodel", "coordinator", "postgres"}) {
    const pid_t pid = cambrian.pid_of(service);
    INFO(service);
    REQUIRE(kill(pid, SIGKILL) == 0);
    // The supervisor notices within a second; until then everything looks as before.
    for (int i = 0; i < 100 && cambrian.pid_of(service) == pid; ++i) {
    }
    REQUIRE(cambrian.wait_until_ready());
    CHECK(cambrian.pid_of(service) != pid);
  }
  const auto after = json::parse(cambrian.run({"dev", "status", "--json"}).out);
  CHECK(after["endpoint"] == before["endpoint"]);
  CHECK(cambrian.run({"worker", "list"}).code == 0);
}

TEST_CASE("dev: up is idempotent, and takes over from a killed supervisor", "[integration][cli]") {
  const Environment cambrian;
  // Nothing there yet: an empty list is a valid document all the same.
  for (const char* noun : {"campaign", "task"}) {
    const Run empty = cambrian.run({noun, "list", "--json"});
    CHECK(empty.code == 0);
    CHECK(json::parse(empty.out)[std::string(noun) + "s"] == json::array());
  }
  CHECK(json::parse(cambrian.run({"usage", "--json"}).out)["models"] == json::array());
  const Run again = cambrian.run({"dev", "up", "--workers", "1", "--slots", "2"});
  CHECK(again.code == 0);
  CHECK(again.out.starts_with("already running\n"));
  const auto state = json::parse(read_file(cambrian.path() / "dev/state.json"));
  REQUIRE(kill(state["supervisor"]["pid"].get<pid_t>(), SIGKILL) == 0);
  CHECK(cambrian.run({"dev", "status"}).code == 1);
  const Run up = cambrian.run({"dev", "up", "--workers", "1", "--slots", "2"});
  INFO(up.err);
  CHECK(up.code == 0);
  CHECK(up.err.find("lost its supervisor") != std::string::npos);
  CHECK(cambrian.run({"campaign", "list"}).code == 0);
}

TEST_CASE("dev: a drained worker stays down until the next up", "[integration][cli]") {
  const Environment cambrian;
  const auto phase_of = [&](const std::string& service) {
    const auto status = json::parse(cambrian.run({"dev", "status", "--json"}).out);
    for (const auto& one : status["services"]) {
      if (one["name"] == service) return one["phase"].get<std::string>();
    }
    return std::string();
  };
  const Run drain = cambrian.run({"worker", "drain", "worker-1"});
  CHECK(drain.code == 0);
  CHECK(drain.err.find("stays down until: cambrian dev up") != std::string::npos);
  // A worker without work hears of it at its next Sync.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (phase_of("worker-1") != "drained" && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  // Longer than the pause before a restart.
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  CHECK(phase_of("worker-1") == "drained");
  CHECK(cambrian.pid_of("worker-1") == 0);

  const Run up = cambrian.run({"dev", "up", "--workers", "1", "--slots", "2"});
  INFO(up.err);
  CHECK(up.code == 0);
  CHECK(up.out.starts_with("already running\n"));
  CHECK(up.err.find("worker-1 was drained: starting it again") != std::string::npos);
  CHECK(cambrian.wait_until_ready());

  // One that has not noticed yet that it is to end is waited for.
  std::string id;
  const auto workers = json::parse(cambrian.run({"worker", "list", "--json"}).out);
  for (const auto& one : workers["workers"]) {
    const auto& who = one["description"];
    // The name is that of the drained one, too.
    if (who["name"] == "worker-1" && one["state"] == "WORKER_STATE_ALIVE") id = who["agent_id"];
  }
  REQUIRE(cambrian.run({"worker", "drain", id}).code == 0);
  const pid_t before = cambrian.pid_of("worker-1");
  const Run soon = cambrian.run({"dev", "up", "--workers", "1", "--slots", "2"});
  INFO(soon.err);
  CHECK(soon.code == 0);
  CHECK(cambrian.wait_until_ready());
  CHECK(cambrian.pid_of("worker-1") != before);
}

TEST_CASE("dev: two ups at once end in one environment", "[integration][cli]") {
  const Environment cambrian;
  REQUIRE(cambrian.run({"dev", "down"}).code == 0);
  const Folder output;
  std::vector<pid_t> ups;
  for (const char* name : {"first", "second"}) {
    ups.push_back(
        cambrian.start({"dev", "up", "--workers", "1", "--slots", "2"}, output.path() / name));
  }
  for (const pid_t up : ups) CHECK(wait_for_exit(up, 100) == 0);
  INFO(read_file(output.path() / "first.err") << read_file(output.path() / "second.err"));
  CHECK(cambrian.wait_until_ready());
  CHECK(cambrian.run({"worker", "list"}).code == 0);
}

TEST_CASE("dev: down ends everything and keeps the data", "[integration][cli]") {
  const Environment cambrian;
  const Folder folder;
  const std::string file = folder.write("kept.yaml", campaign_text("kept", 1));
  REQUIRE(cambrian.run({"campaign", "submit", file}).code == 0);
  const pid_t postgres = cambrian.pid_of("postgres");
  CHECK(cambrian.run({"dev", "down"}).code == 0);
  CHECK(kill(postgres, 0) != 0);
  CHECK_FALSE(std::filesystem::exists(cambrian.path() / "dev/run"));
  CHECK(cambrian.run({"dev", "status"}).code == 1);
  const Run again = cambrian.run({"dev", "down"});
  CHECK(again.code == 0);
  CHECK(again.err == "nothing was running\n");
  const std::string demo = (cambrian.path() / "demo").string();
  REQUIRE(cambrian.run({"dev", "up", "--directory", demo, "--workers", "1"}).code == 0);
  CHECK(cambrian.run({"dev", "down"}).err.find("dev down --directory " + demo) !=
        std::string::npos);
  CHECK(cambrian.run({"dev", "down", "--directory", demo}).code == 0);
  REQUIRE(cambrian.run({"dev", "up", "--workers", "1", "--slots", "2"}).code == 0);
  CHECK(cambrian.run({"campaign", "list", "-o", "name"}).out == "kept\n");
}

TEST_CASE("dev: a taken port is a clear error, and nothing stays behind", "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const auto state = json::parse(cambrian.run({"dev", "status", "--json"}).out);
  const Folder folder;
  const Run taken = cambrian.run({"dev", "up", "--directory", (folder.path() / "other").string(),
                                  "--listen", state["endpoint"].get<std::string>()});
  CHECK(taken.code == 1);
  CHECK(taken.err.find("taken by another program") != std::string::npos);
}

TEST_CASE("demo: prints one JSON object and nothing else", "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const Run demo =
      cambrian.run({"demo", "--task", "online-bin-packing", "--tasks", CAMBRIAN_SOURCE_DIR "/tasks",
                    "--evaluations", "4", "--set", "items=300", "--json", "--directory",
                    (cambrian.path() / "demo").string()});
  INFO(demo.err);
  (void)cambrian.run({"dev", "down", "--directory", (cambrian.path() / "demo").string()});
  REQUIRE(demo.code == 0);
  const auto result = json::parse(demo.out);
  CHECK(result["task"] == "online-bin-packing");
  CHECK(result["evaluations"] == 4);
  CHECK(result["evaluations_failed"].is_number());
  CHECK(result["wall_seconds"].get<double>() > 0);
  CHECK(result["seed"]["score"].is_number());
  CHECK(result["seed"]["test"].is_number());
  CHECK(result["best"]["test"].is_number());
  CHECK(result["best"]["variant"].is_number());
  const Run unknown = cambrian.run(
      {"demo", "--task", "online-bin-pakcing", "--tasks", CAMBRIAN_SOURCE_DIR "/tasks"});
  CHECK(unknown.code == 5);
  CHECK(unknown.err.find("did you mean \"online-bin-packing\"?") != std::string::npos);
}

}  // namespace
}  // namespace cambrian::cli::testing
