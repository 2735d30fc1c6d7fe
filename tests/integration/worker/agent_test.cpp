// The program as a coordinator sees it: real processes, real gRPC.
#include <fcntl.h>
#include <grpcpp/server_builder.h>
#include <spawn.h>
#include <sys/wait.h>

#include <catch2/matchers/catch_matchers_string.hpp>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <mutex>
#include <sstream>

#include "cambrian/agent/v1/agent_service.grpc.pb.h"
#include "cambrian/agent/v1/blob_service.grpc.pb.h"
#include "common/task/task_folder.hpp"
#include "support.hpp"

namespace {

namespace fs = std::filesystem;
namespace v1 = cambrian::agent::v1;
namespace spec = cambrian::spec::v1;
using namespace std::chrono_literals;
using cambrian::sha256_hex;
using cambrian::worker::test::test_folder;
using Catch::Matchers::ContainsSubstring;

/// The coordinator's side of the two services, for one worker: hands out what the test gives it and
/// keeps what the worker says.
class Coordinator final : public v1::AgentService::Service, public v1::BlobService::Service {
 public:
  Coordinator() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(static_cast<v1::AgentService::Service*>(this));
    builder.RegisterService(static_cast<v1::BlobService::Service*>(this));
    server_ = builder.BuildAndStart();
  }
  ~Coordinator() override { server_->Shutdown(std::chrono::system_clock::now() + 1s); }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  std::string add_blob(const std::string& content) {
    const std::lock_guard lock(mutex_);
    return blobs_.emplace(sha256_hex(content), content).first->first;
  }

  void assign(std::int64_t item, const v1::EvaluationWork& work) {
    v1::Assignment assignment;
    assignment.mutable_lease()->set_item_id(item);
    assignment.mutable_lease()->set_epoch(1);
    *assignment.mutable_evaluation() = work;
    const std::lock_guard lock(mutex_);
    waiting_.push_back(assignment);
    changed_.notify_all();
  }

  void cancel(std::int64_t item) {
    const std::lock_guard lock(mutex_);
    cancelled_ = item;
    changed_.notify_all();
  }

  /// Trainings that are worth less than this at a rung are to stop.
  void stop_below(double value) {
    const std::lock_guard lock(mutex_);
    stop_below_ = value;
  }

  template <class Condition>
  bool wait_until(Condition condition, std::chrono::seconds longest = 60s) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, longest, [&] { return condition(*this); });
  }

  // Read in conditions and after the worker has ended.
  std::vector<v1::FinishEvaluationRequest> finished;
  std::vector<v1::Release> released;
  std::map<std::int64_t, std::string> phases;
  std::map<std::int64_t, v1::Progress> progress;
  v1::AgentDescription description;
  bool refuses_uploads = false;

 private:
  grpc::Status Sync(grpc::ServerContext* context, const v1::SyncRequest* request,
                    v1::SyncResponse* response) override {
    std::unique_lock lock(mutex_);
    description = request->agent();
    for (const auto& release : request->released()) released.push_back(release);
    for (const auto& running : request->running()) {
      phases[running.lease().item_id()] = running.phase();
      progress[running.lease().item_id()] = running;
    }
    changed_.notify_all();
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::seconds(request->wait_max().seconds());
    const auto has_news = [&] { return !waiting_.empty() || cancelled_ || context->IsCancelled(); };
    while (request->wanted() > 0 && !has_news() && std::chrono::steady_clock::now() < deadline) {
      changed_.wait_for(lock, 50ms);
    }
    if (request->wanted() > 0 && !waiting_.empty() && !context->IsCancelled()) {
      *response->add_assignments() = waiting_.front();
      waiting_.pop_front();
    }
    for (const auto& running : request->running()) {
      if (cancelled_ == running.lease().item_id()) *response->add_cancelled() = running.lease();
      for (const auto& [rung, value] : running.rungs()) {
        if (value < stop_below_) *response->add_stopped() = running.lease();
      }
    }
    response->mutable_next_sync()->set_nanos(200'000'000);
    response->mutable_lease_duration()->set_seconds(60);
    return grpc::Status::OK;
  }

  grpc::Status FinishEvaluation(grpc::ServerContext*, const v1::FinishEvaluationRequest* request,
                                v1::FinishEvaluationResponse*) override {
    const std::lock_guard lock(mutex_);
    finished.push_back(*request);
    changed_.notify_all();
    return grpc::Status::OK;
  }

  grpc::Status DownloadBlob(grpc::ServerContext*, const v1::DownloadBlobRequest* request,
                            grpc::ServerWriter<v1::DownloadBlobResponse>* writer) override {
    std::string content;
    {
      const std::lock_guard lock(mutex_);
      const auto found = blobs_.find(request->sha256());
      if (found == blobs_.end()) return {grpc::StatusCode::NOT_FOUND, "no such blob"};
      content = found->second;
    }
    v1::DownloadBlobResponse response;
    response.set_size_bytes(static_cast<std::int64_t>(content.size()));
    response.set_chunk(content.substr(static_cast<std::size_t>(request->offset_bytes())));
    writer->Write(response);
    return grpc::Status::OK;
  }

  grpc::Status UploadBlob(grpc::ServerContext*, grpc::ServerReader<v1::UploadBlobRequest>* reader,
                          v1::UploadBlobResponse*) override {
    v1::UploadBlobRequest request;
    std::string sha256;
    std::string content;
    while (reader->Read(&request)) {
      if (!request.sha256().empty()) {
        sha256 = request.sha256();
        if (!request.is_checkpoint() || refuses_uploads) {
          return {grpc::StatusCode::PERMISSION_DENIED, "workers store checkpoints only"};
        }
      }
      content += request.chunk();
    }
    if (sha256 != sha256_hex(content)) return {grpc::StatusCode::INVALID_ARGUMENT, "digest"};
    const std::lock_guard lock(mutex_);
    blobs_.emplace(sha256, content);
    return grpc::Status::OK;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::string> blobs_;
  std::deque<v1::Assignment> waiting_;
  std::optional<std::int64_t> cancelled_;
  double stop_below_ = 0;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

/// cambrian-worker as a child, killed with this object.
class Worker {
 public:
  explicit Worker(const Coordinator& coordinator, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {CAMBRIAN_BINARY_DIR "/bin/cambrian-worker",
                                          "--coordinator",
                                          coordinator.address(),
                                          "--slots",
                                          "1",
                                          "--cache",
                                          (test_folder() / "agent-cache").string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    REQUIRE(posix_spawn(&process_, argv[0], nullptr, nullptr, argv.data(), environ) == 0);
  }
  ~Worker() {
    if (process_ > 0) kill_and_wait(SIGKILL);
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  int kill_and_wait(int signal) {
    kill(process_, signal);
    int status = 0;
    waitpid(process_, &status, 0);
    process_ = -1;
    return status;
  }

 private:
  pid_t process_ = -1;
};

constexpr const char* kJudge = R"(
import json, os, socket, struct
s = socket.socket(fileno=int(os.environ["CAMBRIAN_FD"]))
def read(sock, n):
    data = b""
    while len(data) < n: data += sock.recv(n - len(data))
    return data
def receive(sock):
    n, m = struct.unpack("<IQ", read(sock, 16)[4:])
    return json.loads(read(sock, n))
def write(message):
    text = json.dumps(message).encode()
    s.sendall(b"CMB1" + struct.pack("<IQ", len(text), 0) + text)
begin = receive(s)
write({"type": "start_candidate"})
head, fds, _, _ = socket.recv_fds(s, 16, 1)
read(s, struct.unpack("<IQ", head[4:])[0])
write({"type": "event", "name": "ready"})
for rung in range(len(begin.get("rungs", []))):
    write({"type": "event", "name": "rung", "rung": rung, "value": 0.5 - 0.4 * rung})
write({"type": "event", "name": "progress", "step": 3, "loss": 0.5})
candidate = socket.socket(fileno=fds[0])
word = candidate.recv(100).decode()
write({"type": "result", "outcome": "success", "diagnostics": "",
       "metrics": {"length": len(word), "x": begin["parameters"]["x"]}})
)";

// A task that needs no compiler: both sides are Python.
v1::EvaluationWork make_work(Coordinator& coordinator, const std::string& candidate,
                             const std::string& data_hint = "", const std::string& judge = kJudge) {
  spec::TaskBundle bundle;
  auto& manifest = *bundle.mutable_manifest();
  manifest.set_api_version("cambrian/v1");
  manifest.set_kind("Task");
  manifest.set_name("words");
  manifest.set_description("Say a long word.");
  manifest.set_language("python");
  manifest.mutable_candidate()->set_runtime(spec::RUNTIME_PROCESS);
  manifest.mutable_candidate()->add_evolve("main.py");
  for (const char* word : {"python3", "main.py", "cambrian-agent-test"}) {
    manifest.mutable_candidate()->add_run(word);
  }
  manifest.mutable_judge()->add_run("python3");
  manifest.mutable_judge()->add_run("judge/judge.py");
  auto& objective = *manifest.add_objectives();
  objective.set_metric("length");
  objective.set_goal(spec::GOAL_MAXIMIZE);
  (*manifest.mutable_parameters())["x"] = 1;
  if (!data_hint.empty()) {
    auto& data = *manifest.add_data();
    data.set_name("labels");
    data.set_path("/no/such/labels");
    data.set_hint(data_hint);
  }
  for (const auto& [path, content] :
       std::map<std::string, std::string>{{"judge/judge.py", judge}, {"seed/main.py", "pass\n"}}) {
    auto& file = *bundle.add_files();
    file.set_path(path);
    file.set_sha256(coordinator.add_blob(content));
    file.set_size_bytes(static_cast<std::int64_t>(content.size()));
  }
  v1::EvaluationWork work;
  work.set_task_digest(coordinator.add_blob(cambrian::task::serialize_bundle(bundle)));
  auto& file = *work.add_files();
  file.set_path("main.py");
  file.set_sha256(coordinator.add_blob(candidate));
  work.set_split(v1::SPLIT_VALIDATION);
  work.set_seed(7);
  (*work.mutable_parameters())["x"] = 2.5;
  return work;
}

// The same by the SDK: a training of its own.
constexpr const char* kTrainingJudge = R"(
import cambrian_sdk, numpy
def judge(session):
    trainer = session.start_candidate("train")
    trained = trainer.train({"x": numpy.arange(3.0)}, 100, 10)
    return cambrian_sdk.Verdict({"length": float(trained.state["sum"][0]), "steps": trained.steps})
cambrian_sdk.run_judge(judge)
)";

// How it behaves is put in front.
constexpr const char* kTrains = R"(
import cambrian_sdk, numpy, sys, time
class Sum:
    def __init__(self, setup):
        numpy.random.seed(setup.seed % 2**32)
        self.sum = 0.0
    def state_dict(self):
        if mode == "hangs": time.sleep(60)
        return {"sum": self.sum}
    def load_state_dict(self, state):
        self.sum = state["sum"]
    def train(self, data, training):
        if mode != "plain": training.make_resumable(self)
        while training.steps < 1500:
            self.sum += numpy.random.random()
            time.sleep(0.002)
            training.step(self.sum)
        return {"sum": numpy.array([self.sum])}
cambrian_sdk.run_candidate(Sum)
)";

constexpr const char* kSays = "import os\nos.write(3, b'hello')\n";
constexpr const char* kWaits = "import signal\nsignal.pause()\n";

bool is_training(Coordinator& coordinator, std::int64_t item) {
  return coordinator.wait_until([item](auto& state) { return state.phases[item] == "train"; });
}

// Processes of candidates of this test.
int count_candidates() {
  int count = 0;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "cmdline");
    std::stringstream text;
    text << file.rdbuf();
    const std::string line = text.str();
    if (line.starts_with("python3") && line.find("cambrian-agent-test") != std::string::npos) {
      ++count;
    }
  }
  return count;
}

bool wait_for_candidates(bool should_be_there) {
  const auto deadline = std::chrono::steady_clock::now() + 5s;
  while ((count_candidates() > 0) != should_be_there) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    usleep(20'000);
  }
  return true;
}

}  // namespace

TEST_CASE("worker: a wrong command line ends with 2", "[integration][worker]") {
  const std::string program = CAMBRIAN_BINARY_DIR "/bin/cambrian-worker";
  const auto code_of = [&](const std::string& arguments) {
    return WEXITSTATUS(std::system((program + " " + arguments + " >/dev/null 2>&1").c_str()));
  };
  CHECK(code_of("--no-such-option") == 2);
  CHECK(code_of("evaluate") == 2);
  CHECK(code_of("--slots none") == 2);
  CHECK(code_of("--help") == 0);
  CHECK(code_of("--version") == 0);
}

TEST_CASE("agent: fetches, evaluates and reports", "[integration]") {
  Coordinator coordinator;
  Worker worker(coordinator);
  coordinator.assign(5, make_work(coordinator, kSays));
  REQUIRE(coordinator.wait_until([](auto& state) { return !state.finished.empty(); }));
  const auto& report = coordinator.finished[0];
  CHECK(report.lease().item_id() == 5);
  CHECK(report.result().outcome() == v1::EVALUATION_OUTCOME_SUCCESS);
  CHECK(report.result().metrics().at("length") == 5);
  CHECK(report.result().metrics().at("x") == 2.5);
  CHECK(report.result().timings().has_fetch());
  CHECK(report.result().timings().has_start());
  CHECK(report.result().result_key().size() == 64);

  CHECK(coordinator.description.kind() == v1::AGENT_KIND_WORKER);
  CHECK(coordinator.description.sandbox_level() >= spec::SANDBOX_LEVEL_STANDARD);
  CHECK(coordinator.description.slots() == 1);
  CHECK_THAT(coordinator.description.toolchain(), ContainsSubstring("clang"));

  const int status = worker.kill_and_wait(SIGTERM);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("agent: a training that is hopeless by its rungs is ended and reported",
          "[integration]") {
  Coordinator coordinator;
  Worker worker(coordinator);
  auto work = make_work(coordinator, kWaits);
  work.add_rungs(0.25);
  work.add_rungs(0.5);
  coordinator.assign(8, work);
  // Every call says all that is known, rungs beside the step.
  REQUIRE(coordinator.wait_until([](auto& state) {
    const auto& told = state.progress[8];
    return told.step() == 3 && told.rungs_size() == 2 && told.rungs().at(0) == 0.5;
  }));
  CHECK(coordinator.finished.empty());
  coordinator.stop_below(0.2);
  REQUIRE(coordinator.wait_until([](auto& state) { return !state.finished.empty(); }));
  const auto& result = coordinator.finished[0].result();
  CHECK(result.outcome() == v1::EVALUATION_OUTCOME_STOPPED_EARLY);
  CHECK(result.metrics().empty());
  CHECK(result.has_time_saved());
  CHECK(result.timings().has_train());
  CHECK(wait_for_candidates(false));
  CHECK(coordinator.released.empty());

  // One that is better goes on.
  auto better = make_work(coordinator, kSays);
  better.add_rungs(0.25);
  coordinator.assign(9, better);
  REQUIRE(coordinator.wait_until([](auto& state) { return state.finished.size() == 2; }));
  CHECK(coordinator.finished[1].result().outcome() == v1::EVALUATION_OUTCOME_SUCCESS);
  CHECK_FALSE(coordinator.finished[1].result().has_time_saved());
}

TEST_CASE("agent: SIGTERM hands the lease back at once and ends the candidate", "[integration]") {
  Coordinator coordinator;
  Worker worker(coordinator);
  coordinator.assign(6, make_work(coordinator, kWaits));
  REQUIRE(is_training(coordinator, 6));
  CHECK(coordinator.wait_until(
      [](auto& state) { return state.progress[6].step() == 3 && state.progress[6].loss() == 0.5; },
      10s));
  const auto begun = std::chrono::steady_clock::now();
  const int status = worker.kill_and_wait(SIGTERM);
  CHECK(std::chrono::steady_clock::now() - begun < 5s);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  REQUIRE(coordinator.released.size() == 1);
  CHECK(coordinator.released[0].lease().item_id() == 6);
  CHECK(coordinator.released[0].reason() == v1::RELEASE_REASON_SHUTDOWN);
  CHECK(coordinator.finished.empty());
  CHECK(wait_for_candidates(false));
}

TEST_CASE("agent: another worker goes on with a training that SIGTERM interrupted",
          "[integration]") {
  Coordinator coordinator;
  const std::string candidate = std::string("mode = 'saves'\n") + kTrains;
  auto work = make_work(coordinator, candidate, "", kTrainingJudge);
  {
    Worker whole(coordinator);
    coordinator.assign(21, work);
    REQUIRE(coordinator.wait_until([](auto& state) { return !state.finished.empty(); }));
  }
  {
    Worker first(coordinator);
    coordinator.assign(22, work);
    REQUIRE(coordinator.wait_until([](auto& state) { return state.progress[22].step() > 100; }));
    const auto begun = std::chrono::steady_clock::now();
    const int status = first.kill_and_wait(SIGTERM);
    CHECK(std::chrono::steady_clock::now() - begun < 12s);
    CHECK(WEXITSTATUS(status) == 0);
  }
  REQUIRE(coordinator.released.size() == 1);
  CHECK(coordinator.released[0].reason() == v1::RELEASE_REASON_SHUTDOWN);
  REQUIRE(coordinator.released[0].checkpoint().size() == 64);

  Worker second(coordinator);
  work.set_checkpoint(coordinator.released[0].checkpoint());
  coordinator.assign(22, work);
  REQUIRE(coordinator.wait_until([](auto& state) { return state.finished.size() == 2; }));
  const auto& uninterrupted = coordinator.finished[0].result();
  const auto& resumed = coordinator.finished[1].result();
  INFO(uninterrupted.diagnostics() << resumed.diagnostics());
  CHECK(resumed.outcome() == v1::EVALUATION_OUTCOME_SUCCESS);
  CHECK(resumed.is_resumed());
  CHECK_FALSE(uninterrupted.is_resumed());
  CHECK(resumed.metrics().at("steps") == 1500);
  CHECK(resumed.metrics().at("length") == uninterrupted.metrics().at("length"));

  // One that is not there, and one that is something else, cost time and nothing else.
  for (const auto& digest : {std::string(64, 'a'), coordinator.add_blob("int main() {}")}) {
    work.set_checkpoint(digest);
    coordinator.assign(23, work);
    const auto count = coordinator.finished.size() + 1;
    REQUIRE(coordinator.wait_until([&](auto& state) { return state.finished.size() == count; }));
    CHECK_FALSE(coordinator.finished.back().result().is_resumed());
    CHECK(coordinator.finished.back().result().metrics().at("length") ==
          uninterrupted.metrics().at("length"));
  }
}

TEST_CASE("agent: a training that is not saved in time is handed back without", "[integration]") {
  for (const char* mode : {"plain", "hangs", "saves"}) {
    INFO(mode);
    Coordinator coordinator;
    // Whoever cannot be stored is as good as not saved.
    coordinator.refuses_uploads = true;
    Worker worker(coordinator);
    const std::string candidate = "mode = '" + std::string(mode) + "'\n" + kTrains;
    coordinator.assign(24, make_work(coordinator, candidate, "", kTrainingJudge));
    REQUIRE(coordinator.wait_until([](auto& state) { return state.progress[24].step() > 100; }));
    const auto begun = std::chrono::steady_clock::now();
    const int status = worker.kill_and_wait(SIGTERM);
    // A save takes 5 s at most, an upload 4 s.
    CHECK(std::chrono::steady_clock::now() - begun < 12s);
    CHECK(WEXITSTATUS(status) == 0);
    REQUIRE(coordinator.released.size() == 1);
    CHECK(coordinator.released[0].checkpoint().empty());
    CHECK(coordinator.finished.empty());
  }
}

TEST_CASE("agent: a cancelled lease stops, and the next one is worked on", "[integration]") {
  Coordinator coordinator;
  Worker worker(coordinator);
  coordinator.assign(7, make_work(coordinator, kWaits));
  REQUIRE(is_training(coordinator, 7));
  coordinator.cancel(7);
  REQUIRE(coordinator.wait_until([](auto& state) { return !state.released.empty(); }));
  coordinator.assign(8, make_work(coordinator, kSays));
  REQUIRE(coordinator.wait_until([](auto& state) { return !state.finished.empty(); }));
  CHECK(coordinator.finished[0].lease().item_id() == 8);
}

TEST_CASE("agent: kill -9 leaves no candidate behind", "[integration]") {
  Coordinator coordinator;
  Worker worker(coordinator);
  coordinator.assign(9, make_work(coordinator, kWaits));
  REQUIRE(is_training(coordinator, 9));
  // The judge marks the training before the candidate's program has begun.
  REQUIRE(wait_for_candidates(true));
  worker.kill_and_wait(SIGKILL);
  CHECK(wait_for_candidates(false));

  // The next worker clears up what the dead one left on disk.
  Worker next(coordinator);
  coordinator.assign(10, make_work(coordinator, kSays));
  REQUIRE(coordinator.wait_until([](auto& state) { return !state.finished.empty(); }));
  const auto scratch = fs::directory_iterator(test_folder() / "agent-cache/scratch");
  CHECK(std::distance(fs::begin(scratch), fs::end(scratch)) == 1);
}

TEST_CASE("agent: missing data are reported with the hint", "[integration]") {
  Coordinator coordinator;
  Worker worker(coordinator);
  coordinator.assign(11, make_work(coordinator, kSays, "apt-get install labels"));
  REQUIRE(coordinator.wait_until([](auto& state) { return !state.finished.empty(); }));
  const auto& result = coordinator.finished[0].result();
  CHECK(result.outcome() == v1::EVALUATION_OUTCOME_INFRASTRUCTURE);
  CHECK_THAT(result.diagnostics(), ContainsSubstring("apt-get install labels"));
}

TEST_CASE("agent: an idle worker ends when it was told to", "[integration]") {
  Coordinator coordinator;
  Worker worker(coordinator, {"--idle-exit", "0.5"});
  const int status = worker.kill_and_wait(0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}
