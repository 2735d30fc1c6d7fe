#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "cambrian/spec/v1/task.pb.h"
#include "codegen-client/system_clock.hpp"
#include "common/source/token_digest.hpp"
#include "tests/integration/codegen-client/fault_server.hpp"
#include "tests/integration/codegen-client/test_coordinator.hpp"

using namespace cambrian;
using namespace cambrian::codegen;
using namespace cambrian::codegen::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* kCanary = "sk-canary-77aa21f0";

const std::string kParent =
    "#include <cmath>\n"
    "// EVOLVE-BLOCK-START\n"
    "double priority(double item, double free_space) {\n"
    "  const double rest = free_space - item;\n"
    "  return 1.0 / (1.0 + rest * 0.5);\n"
    "}\n"
    "// EVOLVE-BLOCK-END\n";

/// A folder that goes when the test ends.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "cambrian-codegen-XXXXXX");
    path_ = ::mkdtemp(pattern.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string file(const std::string& name) const { return path_ / name; }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(file(name)) << text;
    return file(name);
  }
  std::string read(const std::string& name) const {
    std::ifstream in(file(name));
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  std::filesystem::path path_;
};

/// One of our programs, its output in a file. Killed when the test forgets it.
class Program {
 public:
  Program(const std::string& name, std::vector<std::string> arguments, const std::string& log) {
    const std::string path = std::string(CAMBRIAN_BINARY_DIR) + "/bin/" + name;
    std::vector<char*> raw = {const_cast<char*>(path.c_str())};
    for (std::string& argument : arguments) raw.push_back(argument.data());
    raw.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(),
                                     O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    REQUIRE(::posix_spawn(&process_, path.c_str(), &actions, nullptr, raw.data(), environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Program() {
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t id() const { return process_; }
  bool is_running() const { return ::kill(process_, 0) == 0; }
  /// The exit code, or -1 for a signal or when it does not end.
  int end(int signal) {
    if (signal != 0) ::kill(process_, signal);
    int status = 0;
    for (int i = 0; i < 300; ++i) {
      if (::waitpid(process_, &status, WNOHANG) == process_) {
        process_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
      }
      SystemClock().wait(100ms, {});
    }
    return -1;
  }

 private:
  pid_t process_ = -1;
};

agent::v1::ProposalWork make_work(TestCoordinator& coordinator) {
  spec::v1::TaskBundle bundle;
  auto& manifest = *bundle.mutable_manifest();
  manifest.set_name("bins");
  manifest.set_description("Pack items into as few bins as possible.");
  manifest.set_language("cpp");
  manifest.mutable_candidate()->add_evolve("priority.cpp");
  auto& objective = *manifest.add_objectives();
  objective.set_metric("excess");
  objective.set_goal(spec::v1::GOAL_MINIMIZE);
  agent::v1::ProposalWork work;
  work.set_task_digest(coordinator.add_content(bundle.SerializeAsString()));
  work.set_operator_(spec::v1::OPERATOR_DIFF);
  auto& parent = *work.add_parents();
  parent.set_variant(3);
  (*parent.mutable_metrics())["excess"] = 4.2;
  auto& file = *parent.add_files();
  file.set_path("priority.cpp");
  file.set_sha256(coordinator.add_content(kParent));
  work.set_seed(11);
  work.set_variants(1);
  work.set_output_tokens(2000);
  return work;
}

/// The address in the file that the code model writes.
std::string wait_for_address(const Folder& folder, const std::string& name) {
  for (int i = 0; i < 100; ++i) {
    const auto parsed = nlohmann::json::parse(folder.read(name), nullptr, false);
    if (parsed.is_object()) return parsed.at("http").get<std::string>();
    SystemClock().wait(100ms, {});
  }
  return {};
}

std::string edit_answer() {
  return "Weigh the rest more.\n<<<<<<< SEARCH\n  return 1.0 / (1.0 + rest * 0.5);\n=======\n"
         "  return 1.0 / (1.0 + rest * 0.75);\n>>>>>>> REPLACE\n";
}

}  // namespace

TEST_CASE("cambrian-codegen: turns proposals into variants with the code model",
          "[integration][codegen]") {
  const Folder folder;
  TestCoordinator coordinator;
  const Program model("cambrian-codemodel",
                      {"--listen", "127.0.0.1:0", "--address-file", folder.file("model")},
                      folder.file("model.log"));
  const std::string address = wait_for_address(folder, "model");
  REQUIRE_FALSE(address.empty());
  const std::string base = address.starts_with("http") ? address : "http://" + address;
  for (const bool is_streamed : {false, true}) {
    std::vector<std::string> arguments = {"--coordinator", coordinator.address(),
                                          "--base-url",    base + "/v1",
                                          "--model",       "cambrian-mutator"};
    if (is_streamed) arguments.push_back("--stream");
    // One that is older than the client takes no contents with reports.
    coordinator.take_contents(is_streamed ? 1 << 20 : 0);
    const int uploads_before = coordinator.uploads();
    Program program("cambrian-codegen", arguments, folder.file("codegen.log"));
    for (const auto operation :
         {spec::v1::OPERATOR_DIFF, spec::v1::OPERATOR_REWRITE, spec::v1::OPERATOR_CROSSOVER,
          spec::v1::OPERATOR_REPAIR, spec::v1::OPERATOR_SIMPLIFY, spec::v1::OPERATOR_EXPLAIN}) {
      auto work = make_work(coordinator);
      work.set_operator_(operation);
      work.set_variants(3);
      if (operation == spec::v1::OPERATOR_CROSSOVER) *work.add_parents() = work.parents(0);
      if (operation == spec::v1::OPERATOR_REPAIR) {
        *work.add_failures() = work.parents(0);
        work.mutable_failures(0)->set_outcome(agent::v1::EVALUATION_OUTCOME_CRASH);
      }
      coordinator.offer(work);
      const auto result = coordinator.wait_for_result();
      INFO(folder.read("codegen.log"));
      REQUIRE(result);
      INFO(result->DebugString());
      CHECK(result->outcome() == agent::v1::PROPOSAL_OUTCOME_SUCCESS);
      CHECK(result->calls_size() >= 3);
      for (const auto& call : result->calls()) {
        CHECK(call.prompt_tokens() > 100);
        CHECK(call.finish_reason() == "stop");
        CHECK(coordinator.find_content(call.answer_digest()));
        CHECK(call.has_time_to_first_token() == is_streamed);
      }
      REQUIRE(result->variants_size() > 0);
      for (const auto& variant : result->variants()) {
        const auto source = coordinator.find_content(variant.files(0).sha256());
        REQUIRE(source);
        CHECK(*source != kParent);
        const auto tokens =
            source::token_digest({{"priority.cpp", *source}}, source::Language::cpp);
        CHECK(variant.token_digest() == tokens.digest);
      }
    }
    CHECK((coordinator.uploads() > uploads_before) == !is_streamed);
    CHECK(program.end(SIGTERM) == 0);
  }
  const auto agent = coordinator.wait_for_agent();
  REQUIRE(agent);
  CHECK(agent->kind() == agent::v1::AGENT_KIND_CODEGEN);
  REQUIRE(agent->models_size() == 1);
  CHECK(agent->models(0) == "cambrian-mutator");
}

TEST_CASE("cambrian-codegen: survives a dead endpoint, and the key appears nowhere",
          "[integration][codegen]") {
  const Folder folder;
  TestCoordinator coordinator;
  std::atomic<bool> is_broken = true;
  FaultServer server([&is_broken](const Request& request) {
    if (!is_broken) return completion(edit_answer(), "stop", 700);
    return http(500,
                R"({"error":{"message":"you sent )" + request.headers.at("authorization") +
                    R"(","type":"t","param":null,"code":null}})",
                "retry-after-ms: 20\r\n");
  });
  const std::string key_file = folder.write("key", std::string(kCanary) + "\n");
  const std::string config = folder.write(
      "codegen.yaml", "coordinator: " + coordinator.address() +
                          "\nmetrics_listen: 127.0.0.1:0\nendpoints:\n  - name: broken\n    "
                          "base_url: " +
                          server.url() + "\n    models: [m1, m2]\n    key_file: " + key_file +
                          "\n    prompt_price_usd_per_million: 2\n");
  Program program("cambrian-codegen", {"--config", config}, folder.file("codegen.log"));
  coordinator.offer(make_work(coordinator));
  const auto failed = coordinator.wait_for_result();
  REQUIRE(failed);
  CHECK(failed->outcome() == agent::v1::PROPOSAL_OUTCOME_INFRASTRUCTURE);
  REQUIRE(failed->calls_size() == 1);
  CHECK(failed->calls(0).retries() == 2);
  CHECK(failed->calls(0).finish_reason() == "error");
  const auto ended = coordinator.ended();
  REQUIRE(ended.size() == 3);
  CHECK(ended[2].number() == 3);
  CHECK(ended[2].call().finish_reason() == "error");
  CHECK(failed->DebugString().find(kCanary) == std::string::npos);
  CHECK(program.is_running());

  is_broken = false;
  auto work = make_work(coordinator);
  work.set_model("m2");
  coordinator.offer(work);
  const auto result = coordinator.wait_for_result();
  REQUIRE(result);
  CHECK(result->outcome() == agent::v1::PROPOSAL_OUTCOME_SUCCESS);
  CHECK(result->variants(0).rationale() == "Weigh the rest more.");
  CHECK(result->calls(0).model() == "served-model");
  CHECK(result->calls(0).cost_micro_usd() == 1400);
  // An endpoint that was away is asked for its models again behind its first answer.
  const auto requests = server.requests();
  const auto sent = std::find_if(requests.rbegin(), requests.rend(),
                                 [](const Request& r) { return r.method == "POST"; });
  REQUIRE(sent != requests.rend());
  CHECK(nlohmann::json::parse(sent->body).at("model") == "m2");
  CHECK(requests.back().method == "GET");
  CHECK(program.end(SIGTERM) == 0);
  const std::string log = folder.read("codegen.log");
  CHECK(log.find("event=endpoint_unreachable") != std::string::npos);
  CHECK(log.find(server.url()) != std::string::npos);
  CHECK(log.find(kCanary) == std::string::npos);
}

TEST_CASE("cambrian-codegen: a call is on record before it is sent", "[integration][codegen]") {
  const Folder folder;
  TestCoordinator coordinator;
  std::atomic<std::size_t> begun_at_sending = 0;
  FaultServer server([&](const Request& request) {
    if (request.method == "GET") return http(404, "");
    begun_at_sending = coordinator.begun().size();
    return completion(edit_answer(), "stop", 700);
  });
  const std::string config = folder.write(
      "codegen.yaml", "coordinator: " + coordinator.address() +
                          "\nendpoints:\n  - name: e\n    base_url: " + server.url() +
                          "/\n    models: [m1]\n    account: team-a\n    parallel: 3\n"
                          "    requests_per_minute: 6000\n    tokens_per_minute: 900000\n"
                          "    completion_price_usd_per_million: 10\n");
  const Program program("cambrian-codegen", {"--config", config}, folder.file("codegen.log"));
  coordinator.delay_calls(2);
  coordinator.offer(make_work(coordinator));
  const auto result = coordinator.wait_for_result();
  REQUIRE(result);
  CHECK(result->outcome() == agent::v1::PROPOSAL_OUTCOME_SUCCESS);
  CHECK(begun_at_sending == 3);  // Told to wait twice, it asked a third time for the same call.
  const auto begun = coordinator.begun();
  REQUIRE(begun.size() == 3);
  CHECK(begun[0].number() == 1);
  CHECK(begun[2].SerializeAsString() == begun[0].SerializeAsString());
  const auto agent = coordinator.wait_for_agent();
  REQUIRE(agent);
  CHECK(begun[0].agent_id() == agent->agent_id());
  CHECK(begun[0].lease().epoch() == 1);
  CHECK(begun[0].limits().group() == server.url() + " team-a");
  CHECK(begun[0].limits().requests_per_minute() == 6000);
  CHECK(begun[0].limits().tokens_per_minute() == 900000);
  CHECK(begun[0].limits().parallel() == 3);
  CHECK(begun[0].call().model() == "m1");
  CHECK(begun[0].call().completion_tokens() == 2000);
  CHECK(begun[0].call().cost_micro_usd() == 20000);
  CHECK(begun[0].call().prompt_digest() == result->calls(0).prompt_digest());
  CHECK(coordinator.ended().empty());  // The report has told of it.

  // One that is older than this client.
  coordinator.be_old();
  coordinator.offer(make_work(coordinator));
  const auto again = coordinator.wait_for_result();
  REQUIRE(again);
  CHECK(again->outcome() == agent::v1::PROPOSAL_OUTCOME_SUCCESS);
  CHECK(coordinator.begun().size() == 3);
}

TEST_CASE("cambrian-codegen: an answer that cannot be stored is not used, and is paid for",
          "[integration][codegen]") {
  const Folder folder;
  TestCoordinator coordinator;
  coordinator.take_contents(16);  // Less than any answer has: it is uploaded.
  FaultServer server([](const Request& request) {
    if (request.method == "GET") return http(404, "");
    return completion(edit_answer(), "stop", 700);
  });
  const Program program(
      "cambrian-codegen",
      {"--coordinator", coordinator.address(), "--base-url", server.url(), "--model", "m"},
      folder.file("codegen.log"));
  coordinator.fill_disk(true);
  coordinator.offer(make_work(coordinator));
  const auto failed = coordinator.wait_for_result();
  REQUIRE(failed);
  CHECK(failed->outcome() == agent::v1::PROPOSAL_OUTCOME_INFRASTRUCTURE);
  CHECK(failed->variants().empty());
  REQUIRE(failed->calls_size() == 1);
  CHECK(failed->calls(0).prompt_tokens() == 700);
  CHECK(failed->calls(0).answer_digest().empty());
  REQUIRE(failed->rejections_size() == 1);
  CHECK(failed->rejections(0).find("the disk is full") != std::string::npos);

  coordinator.fill_disk(false);
  coordinator.offer(make_work(coordinator));
  const auto stored = coordinator.wait_for_result();
  REQUIRE(stored);
  CHECK(stored->outcome() == agent::v1::PROPOSAL_OUTCOME_SUCCESS);
  CHECK(stored->contents().empty());
  CHECK(coordinator.find_content(stored->calls(0).answer_digest()));
}

TEST_CASE("cambrian-codegen: gives the lease back on SIGTERM", "[integration][codegen]") {
  const Folder folder;
  TestCoordinator coordinator;
  FaultServer server([](const Request& request) {
    if (request.method == "GET") return http(404, "");
    return Script{.pieces = {""}, .hold = 60s};
  });
  Program program("cambrian-codegen",
                  {"--coordinator", coordinator.address(), "--base-url", server.url(), "--model",
                   "m", "--slots", "1"},
                  folder.file("codegen.log"));
  coordinator.offer(make_work(coordinator));
  REQUIRE(coordinator.wait_for_phase("call"));
  CHECK(program.end(SIGTERM) == 0);
  const auto release = coordinator.wait_for_release();
  REQUIRE(release);
  CHECK(release->reason() == agent::v1::RELEASE_REASON_SHUTDOWN);
}

TEST_CASE("cambrian-codegen: reports before the coordinator ends the attempt",
          "[integration][codegen]") {
  const Folder folder;
  TestCoordinator coordinator;
  coordinator.limit_attempts(4);
  FaultServer server([](const Request& request) {
    if (request.method == "GET") return http(404, "");
    return Script{.pieces = {""}, .hold = 60s};
  });
  Program program("cambrian-codegen",
                  {"--coordinator", coordinator.address(), "--base-url", server.url(), "--model",
                   "m", "--slots", "1"},
                  folder.file("codegen.log"));
  const auto start = std::chrono::steady_clock::now();
  coordinator.offer(make_work(coordinator));
  const auto result = coordinator.wait_for_result();
  REQUIRE(result);
  CHECK(std::chrono::steady_clock::now() - start < 8s);
  CHECK(result->outcome() == agent::v1::PROPOSAL_OUTCOME_INFRASTRUCTURE);
  REQUIRE(result->calls_size() == 1);
  CHECK(result->calls(0).is_outcome_unknown());
  // It may have been charged in full.
  CHECK(result->calls(0).completion_tokens() == 2000);
  CHECK(program.end(SIGTERM) == 0);
}

TEST_CASE("cambrian-codegen: its memory is closed to others of the same user",
          "[integration][codegen]") {
  const Folder folder;
  TestCoordinator coordinator;
  FaultServer server([](const Request&) { return http(404, ""); });
  const Program program(
      "cambrian-codegen",
      {"--coordinator", coordinator.address(), "--base-url", server.url(), "--model", "m"},
      folder.file("codegen.log"));
  REQUIRE(coordinator.wait_for_agent());
  // The system gives what belongs to a closed process to root; root itself sees no difference.
  struct ::stat owner{};
  REQUIRE(::stat(("/proc/" + std::to_string(program.id()) + "/environ").c_str(), &owner) == 0);
  CHECK(owner.st_uid == 0);
  if (::geteuid() == 0) SKIP("as root there is nothing to be seen");
}

TEST_CASE("cambrian-codegen: probe says what is wrong with each endpoint, without the key",
          "[integration][codegen]") {
  const Folder folder;
  const std::string key_file = folder.write("key", std::string(kCanary) + "\n");
  FaultServer good([](const Request& request) {
    CHECK(request.target == "/v1/models");
    return http(200,
                R"({"object":"list","data":[{"id":"m1","object":"model"},{"id":"m2:latest"}]})");
  });
  FaultServer strict([](const Request& request) {
    const auto key = request.headers.find("authorization");
    return http(401, R"({"error":{"message":"no such key: )" +
                         (key == request.headers.end() ? "none" : key->second) + R"("}})");
  });
  FaultServer without_list([](const Request&) { return http(404, "not here"); });
  const auto endpoint = [](const std::string& name, const std::string& url,
                           const std::string& more) {
    return "  - name: " + name + "\n    base_url: " + url + "\n" + more;
  };
  const std::string key = "    models: [m]\n    key_file: " + key_file + "\n";
  const std::string config = folder.write(
      "c.yaml", "endpoints:\n" + endpoint("good", good.url(), "    models: [m1, m2]\n") +
                    endpoint("other", good.url(), "    models: [m1, m3]\n") +
                    endpoint("wrong", strict.url(), key) +
                    endpoint("keyless", strict.url(), "    models: [m]\n") +
                    endpoint("bare", without_list.url(), "    models: [m]\n") +
                    endpoint("dead", "http://127.0.0.1:9/v1", key));
  Program program("cambrian-codegen", {"probe", "--config", config, "--json"}, folder.file("log"));
  CHECK(program.end(0) == 1);
  const std::string text = folder.read("log");
  INFO(text);
  CHECK(text.find(kCanary) == std::string::npos);
  const auto findings = nlohmann::json::parse(text.substr(text.find('{'))).at("endpoints");
  REQUIRE(findings.size() == 6);
  const auto expect = [&](std::size_t i, const char* verdict, const char* detail, const char* fix) {
    CHECK(findings[i].at("verdict") == verdict);
    CHECK(findings[i].at("detail").get<std::string>().find(detail) != std::string::npos);
    CHECK(findings[i].at("fix").get<std::string>().find(fix) != std::string::npos);
  };
  expect(0, "ok", "lists m1, m2", "");
  expect(1, "failure", "does not list m3; it lists: m1, m2:latest", "under models");
  expect(2, "failure", "does not take the key", "key_file");
  expect(3, "failure", "wants a key", "key_file");
  expect(4, "warning", "not with a list", "base_url");
  expect(5, "failure", "does not answer", "start the server");
}

TEST_CASE("cambrian-codegen: says what is wrong with its configuration", "[integration][codegen]") {
  const Folder folder;
  const auto run = [&folder](const std::string& yaml) {
    std::filesystem::remove(folder.file("log"));
    Program program("cambrian-codegen", {"--config", folder.write("c.yaml", yaml)},
                    folder.file("log"));
    CHECK(program.end(0) == 1);
    return folder.read("log");
  };
  CHECK(run("").find("endpoints is empty") != std::string::npos);
  const std::string all =
      run("endpoints:\n  - base_url: localhost:8000\n    retries: 11\n    extra_body: '[]'\n"
          "    key_environment: CAMBRIAN_NO_SUCH_KEY\n  - base_url: http://a/v1\n    models: [m]\n"
          "    key_file: /nonexistent/key\n");
  for (const char* problem :
       {"endpoints[0]: base_url must begin", "endpoints[0]: models is empty",
        "endpoints[0]: retries must be 0 to 10", "endpoints[0]: extra_body is not",
        "CAMBRIAN_NO_SUCH_KEY", "/nonexistent/key"}) {
    INFO(all);
    CHECK(all.find(problem) != std::string::npos);
  }
  CHECK(run("endpoint:\n  - name: x\n").find("endpoints") != std::string::npos);
}
