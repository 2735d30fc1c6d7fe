#include "tests/integration/coordinator/fixture.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <pqxx/pqxx>
#include <random>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "common/blob/blob_client.hpp"
#include "common/digest/sha256.hpp"
#include "common/rpc/channel.hpp"
#include "common/rpc/security.hpp"
#include "tests/support/postgres.hpp"

namespace cambrian::test {
namespace {

namespace fs = std::filesystem;

constexpr milliseconds kCallTimeout{20'000};
constexpr milliseconds kStartPatience{30'000};

std::string coordinator_program() {
  return std::string(CAMBRIAN_BINARY_DIR) + "/bin/cambrian-coordinator";
}

pid_t spawn(const std::vector<std::string>& command, const std::string& log_path) {
  std::vector<char*> arguments;
  for (const auto& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child > 0) return child;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

std::string read_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::string make_folder() {
  auto pattern = (fs::temp_directory_path() / "cambrian-coordinator-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  return pattern;
}

void check(const grpc::Status& status, const char* what) {
  if (!status.ok()) {
    throw std::runtime_error(std::string(what) + ": " + std::to_string(status.error_code()) + " " +
                             status.error_message());
  }
}

template <class Call>
void call(const char* what, Call body) {
  grpc::ClientContext context;
  rpc::set_deadline(context, kCallTimeout);
  check(body(&context), what);
}

/// Agents are made by many threads at once, and two of one id would be one agent.
std::string unique_text() {
  static std::mutex mutex;
  static std::mt19937_64 random(std::random_device{}());  // tidy: allow(random) only a name
  const std::lock_guard lock(mutex);
  return std::to_string(random());
}

}  // namespace

CoordinatorProcess::CoordinatorProcess(CoordinatorOptions options)
    : options_(std::move(options)), folder_(make_folder()) {
  std::ofstream config(folder_ + "/config.yaml");
  const auto listen =
      options_.listens_on_unix_socket ? "unix:" + folder_ + "/socket" : std::string("127.0.0.1:0");
  config << "listen: " << listen << "\nmetrics_listen: 127.0.0.1:0\n"
         << "database: " << options_.database << "\n"
         << "lease_duration: " << options_.lease.count() << "ms\n"
         << "sync_interval: " << options_.lease.count() / 3 << "ms\n"
         << "evaluation_attempt_budget: " << options_.evaluation_attempt.count() << "ms\n"
         << "shutdown_grace: " << options_.shutdown_grace.count() << "ms\n"
         << "reflection: " << (options_.has_reflection ? "true" : "false") << "\n"
         << options_.more_config;
  config.close();
  start();
}

CoordinatorProcess::~CoordinatorProcess() {
  crash();
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void CoordinatorProcess::start() {
  const auto address_file = folder_ + "/address.json";
  fs::remove(address_file);
  pid_ = spawn(
      {coordinator_program(), "--config", folder_ + "/config.yaml", "--address-file", address_file},
      folder_ + "/log");
  const bool is_ready = eventually(
      [&] { return fs::exists(address_file) || ::waitpid(pid_, nullptr, WNOHANG) == pid_; },
      kStartPatience);
  if (!is_ready || !fs::exists(address_file)) {
    throw std::runtime_error("the coordinator does not start:\n" + read_file(folder_ + "/log"));
  }
  const auto addresses = nlohmann::json::parse(read_file(address_file));
  address_ = addresses.at("grpc");
  metrics_address_ = addresses.at("metrics");
  channel_ = rpc::make_channel(address_);
}

void CoordinatorProcess::crash() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
  if (std::getenv("CAMBRIAN_TEST_LOG") != nullptr) {
    std::fprintf(stderr, "%s\n", read_file(folder_ + "/log").c_str());
  }
}

int CoordinatorProcess::terminate(milliseconds patience) {
  ::kill(pid_, SIGTERM);
  int status = 0;
  if (!eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; }, patience)) return -1;
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -2;
}

Ended run_coordinator(const std::vector<std::string>& arguments) {
  const auto folder = make_folder();
  std::vector<std::string> command = {coordinator_program()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const pid_t pid = spawn(command, folder + "/log");
  int status = 0;
  Ended ended;
  if (eventually([&] { return ::waitpid(pid, &status, WNOHANG) == pid; }, milliseconds(45'000))) {
    ended.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -2;
  } else {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  ended.output = read_file(folder + "/log");
  fs::remove_all(folder);
  return ended;
}

std::string CoordinatorProcess::log() const { return read_file(folder_ + "/log"); }

std::shared_ptr<grpc::Channel> secure_channel(const std::string& address, const std::string& token,
                                              const std::string& ca_file) {
  rpc::ChannelSecurity security;
  security.token = Secret(token);
  if (!ca_file.empty()) security.tls.emplace().set_ca_file(ca_file);
  auto channel = rpc::make_channel(address, std::move(security));
  if (!channel) throw std::runtime_error(channel.error().message);
  return *channel;
}

std::string make_first_token(const std::string& database, const std::string& role) {
  const auto ended = run_coordinator(
      {"token", "create", "--name", "first-" + role, "--role", role, "--database", database});
  const auto begin = ended.output.find("cbt_");
  if (ended.exit_code != 0 || begin == std::string::npos) {
    throw std::runtime_error("token create: " + ended.output);
  }
  return ended.output.substr(begin, ended.output.find('\n', begin) - begin);
}

User::User(std::shared_ptr<grpc::Channel> channel) { use(std::move(channel)); }

void User::use(std::shared_ptr<grpc::Channel> channel) {
  channel_ = std::move(channel);
  campaigns_ = user::v1::CampaignService::NewStub(channel_);
  variants_ = user::v1::VariantService::NewStub(channel_);
  tasks_ = user::v1::TaskService::NewStub(channel_);
  workers_ = user::v1::WorkerService::NewStub(channel_);
  codegen_ = user::v1::CodegenService::NewStub(channel_);
}

std::string User::register_task(const std::string& body, const std::string& rung_metric) {
  const std::string seed = "// EVOLVE-BLOCK-START\n" + body + "// EVOLVE-BLOCK-END\n";
  const std::string judge = "int main() {}\n";
  user::v1::RegisterTaskRequest request;
  auto* manifest = request.mutable_bundle()->mutable_manifest();
  manifest->set_api_version("cambrian/v1");
  manifest->set_kind("Task");
  manifest->set_name("answer");
  manifest->set_description("Return a large number.");
  manifest->mutable_candidate()->set_runtime(spec::v1::RUNTIME_CPP);
  manifest->mutable_candidate()->add_evolve("answer.cpp");
  manifest->mutable_judge()->add_sources("judge/judge.cpp");
  manifest->mutable_judge()->set_rung_metric(rung_metric);
  manifest->set_language("cpp");
  auto* objective = manifest->add_objectives();
  objective->set_metric("score");
  objective->set_goal(spec::v1::GOAL_MAXIMIZE);
  (*manifest->mutable_parameters())["rounds"] = 10;
  for (const auto& [path, content] :
       std::map<std::string, std::string>{{"judge/judge.cpp", judge}, {"seed/answer.cpp", seed}}) {
    auto* file = request.mutable_bundle()->add_files();
    file->set_path(path);
    file->set_sha256(sha256_hex(content));
    file->set_size_bytes(static_cast<std::int64_t>(content.size()));
  }
  BlobClient blobs(channel_, nullptr);
  const auto uploaded = blobs.upload({seed, judge});
  if (!uploaded) throw std::runtime_error("upload: " + uploaded.error().message);
  user::v1::RegisterTaskResponse response;
  call("RegisterTask",
       [&](auto* context) { return tasks_->RegisterTask(context, request, &response); });
  task_digest_ = response.task().digest();
  return task_digest_;
}

spec::v1::CampaignSpec User::make_spec(const std::string& name, int evaluations) {
  if (task_digest_.empty()) register_task();
  spec::v1::CampaignSpec spec;
  spec.set_api_version("cambrian/v1");
  spec.set_kind("Campaign");
  spec.set_name(name);
  spec.mutable_task()->set_digest(task_digest_);
  spec.mutable_search()->set_policy(spec::v1::POLICY_HILL_CLIMB);
  spec.mutable_search()->set_children(4);
  spec.mutable_evaluation()->set_final_repeats(2);
  spec.mutable_evaluation()->set_parallel(4);
  // Scripted scores jump all the time: tests of that ask for it.
  spec.mutable_evaluation()->set_confirm_sigma(0);
  spec.mutable_codegen()->set_parallel(2);
  spec.mutable_budget()->set_evaluations(evaluations);
  return spec;
}

grpc::Status User::try_create(const spec::v1::CampaignSpec& spec, user::v1::Campaign* campaign,
                              const std::string& request_id) {
  user::v1::CreateCampaignRequest request;
  *request.mutable_spec() = spec;
  request.set_request_id(request_id);
  user::v1::CreateCampaignResponse response;
  grpc::ClientContext context;
  rpc::set_deadline(context, kCallTimeout);
  auto status = campaigns_->CreateCampaign(&context, request, &response);
  *campaign = response.campaign();
  return status;
}

user::v1::Campaign User::create(const spec::v1::CampaignSpec& spec, const std::string& request_id) {
  user::v1::Campaign campaign;
  check(try_create(spec, &campaign, request_id), "CreateCampaign");
  return campaign;
}

user::v1::Campaign User::get(const std::string& name) {
  user::v1::GetCampaignRequest request;
  request.set_name(name);
  user::v1::GetCampaignResponse response;
  call("GetCampaign",
       [&](auto* context) { return campaigns_->GetCampaign(context, request, &response); });
  return response.campaign();
}

user::v1::Campaign User::pause(const std::string& name) {
  user::v1::PauseCampaignRequest request;
  request.set_name(name);
  user::v1::PauseCampaignResponse response;
  call("PauseCampaign",
       [&](auto* context) { return campaigns_->PauseCampaign(context, request, &response); });
  return response.campaign();
}

user::v1::Campaign User::resume(const std::string& name) {
  user::v1::ResumeCampaignRequest request;
  request.set_name(name);
  user::v1::ResumeCampaignResponse response;
  call("ResumeCampaign",
       [&](auto* context) { return campaigns_->ResumeCampaign(context, request, &response); });
  return response.campaign();
}

grpc::Status User::try_hint(const std::string& name, const std::string& hint,
                            const std::string& request_id) {
  user::v1::HintCampaignRequest request;
  request.set_name(name);
  request.set_hint(hint);
  request.set_request_id(request_id);
  user::v1::HintCampaignResponse response;
  grpc::ClientContext context;
  rpc::set_deadline(context, kCallTimeout);
  return campaigns_->HintCampaign(&context, request, &response);
}

user::v1::Campaign User::stop(const std::string& name) {
  user::v1::StopCampaignRequest request;
  request.set_name(name);
  user::v1::StopCampaignResponse response;
  call("StopCampaign",
       [&](auto* context) { return campaigns_->StopCampaign(context, request, &response); });
  return response.campaign();
}

grpc::Status User::remove(const std::string& name, const std::string& request_id) {
  user::v1::DeleteCampaignRequest request;
  request.set_name(name);
  request.set_request_id(request_id);
  user::v1::DeleteCampaignResponse response;
  grpc::ClientContext context;
  rpc::set_deadline(context, kCallTimeout);
  return campaigns_->DeleteCampaign(&context, request, &response);
}

std::vector<user::v1::Event> User::events(const std::string& name, std::int64_t after) {
  user::v1::WatchEventsRequest request;
  request.set_campaign(name);
  request.set_after(after);
  request.set_is_history_only(true);
  grpc::ClientContext context;
  rpc::set_deadline(context, kCallTimeout);
  const auto reader = campaigns_->WatchEvents(&context, request);
  std::vector<user::v1::Event> events;
  user::v1::WatchEventsResponse response;
  while (reader->Read(&response)) events.push_back(response.event());
  check(reader->Finish(), "WatchEvents");
  return events;
}

std::vector<user::v1::Variant> User::variants(const std::string& name) {
  user::v1::ListVariantsRequest request;
  request.set_campaign(name);
  request.set_page_size(1000);
  user::v1::ListVariantsResponse response;
  call("ListVariants",
       [&](auto* context) { return variants_->ListVariants(context, request, &response); });
  return {response.variants().begin(), response.variants().end()};
}

user::v1::Variant User::variant(const std::string& name, std::int64_t number) {
  user::v1::GetVariantRequest request;
  request.set_campaign(name);
  request.set_number(number);
  user::v1::GetVariantResponse response;
  call("GetVariant",
       [&](auto* context) { return variants_->GetVariant(context, request, &response); });
  return response.variant();
}

ScriptedAgent::ScriptedAgent(std::shared_ptr<grpc::Channel> channel, agent::v1::AgentKind kind,
                             std::string name)
    : id_("agent-" + unique_text()),
      name_(std::move(name)),
      kind_(kind),
      stub_(agent::v1::AgentService::NewStub(std::move(channel))) {}

void ScriptedAgent::use(std::shared_ptr<grpc::Channel> channel) {
  stub_ = agent::v1::AgentService::NewStub(std::move(channel));
}

agent::v1::SyncRequest ScriptedAgent::make_sync(int wanted, milliseconds wait) const {
  agent::v1::SyncRequest request;
  auto* agent = request.mutable_agent();
  agent->set_agent_id(id_);
  agent->set_name(name_);
  agent->set_kind(kind_);
  agent->set_version("test");
  agent->set_protocol_version(1);
  agent->set_slots(4);
  agent->add_runtimes(spec::v1::RUNTIME_CPP);
  agent->set_sandbox_level(spec::v1::SANDBOX_LEVEL_STANDARD);
  agent->add_models("small");
  request.set_wanted(wanted);
  request.mutable_wait_max()->set_seconds(wait.count() / 1000);
  request.mutable_wait_max()->set_nanos(static_cast<int>(wait.count() % 1000) * 1'000'000);
  return request;
}

grpc::Status ScriptedAgent::sync(const agent::v1::SyncRequest& request,
                                 agent::v1::SyncResponse* response) {
  grpc::ClientContext context;
  rpc::set_deadline(context, milliseconds(40'000));
  return stub_->Sync(&context, request, response);
}

std::vector<agent::v1::Assignment> ScriptedAgent::claim(int wanted, milliseconds wait) {
  agent::v1::SyncResponse response;
  const auto status = sync(make_sync(wanted, wait), &response);
  if (!status.ok()) return {};
  return {response.assignments().begin(), response.assignments().end()};
}

grpc::Status ScriptedAgent::release(const agent::v1::Lease& lease, agent::v1::ReleaseReason reason,
                                    const std::string& checkpoint) {
  auto request = make_sync(0);
  auto* release = request.add_released();
  *release->mutable_lease() = lease;
  release->set_reason(reason);
  release->set_checkpoint(checkpoint);
  agent::v1::SyncResponse response;
  return sync(request, &response);
}

grpc::Status ScriptedAgent::finish(const agent::v1::Lease& lease,
                                   const agent::v1::EvaluationResult& result) {
  agent::v1::FinishEvaluationRequest request;
  request.set_agent_id(id_);
  *request.mutable_lease() = lease;
  *request.mutable_result() = result;
  agent::v1::FinishEvaluationResponse response;
  grpc::ClientContext context;
  rpc::set_deadline(context, kCallTimeout);
  return stub_->FinishEvaluation(&context, request, &response);
}

grpc::Status ScriptedAgent::finish(const agent::v1::Lease& lease,
                                   const agent::v1::ProposalResult& result) {
  agent::v1::FinishProposalRequest request;
  request.set_agent_id(id_);
  *request.mutable_lease() = lease;
  *request.mutable_result() = result;
  agent::v1::FinishProposalResponse response;
  grpc::ClientContext context;
  rpc::set_deadline(context, kCallTimeout);
  return stub_->FinishProposal(&context, request, &response);
}

Service::Service(CoordinatorOptions options)
    : database(options.database.empty() ? PrivatePostgres::shared().make_database()
                                        : options.database),
      coordinator([&] {
        options.database = database;
        return options;
      }()),
      user(coordinator.channel()),
      worker(coordinator.channel(), agent::v1::AGENT_KIND_WORKER, "worker"),
      codegen(coordinator.channel(), agent::v1::AGENT_KIND_CODEGEN, "codegen") {}

void Service::crash_and_restart() {
  coordinator.crash();
  coordinator.start();
  user.use(coordinator.channel());
  worker.use(coordinator.channel());
  codegen.use(coordinator.channel());
}

agent::v1::Assignment Service::start_and_claim_seed(const std::string& name, int evaluations) {
  user.create(user.make_spec(name, evaluations));
  std::vector<agent::v1::Assignment> assignments;
  eventually([&] {
    assignments = worker.claim(1);
    return !assignments.empty();
  });
  if (assignments.size() != 1) throw std::runtime_error("the seed was not given out");
  return assignments.front();
}

agent::v1::EvaluationResult success(double score) {
  agent::v1::EvaluationResult result;
  result.set_outcome(agent::v1::EVALUATION_OUTCOME_SUCCESS);
  (*result.mutable_metrics())["score"] = score;
  result.set_log("hello");
  result.mutable_timings()->mutable_total()->set_nanos(5'000'000);
  result.mutable_usage()->mutable_cpu_time()->set_nanos(4'000'000);
  return result;
}

agent::v1::EvaluationResult failure(agent::v1::EvaluationOutcome outcome,
                                    const std::string& diagnostics) {
  agent::v1::EvaluationResult result;
  result.set_outcome(outcome);
  result.set_diagnostics(diagnostics);
  return result;
}

agent::v1::ProposalResult proposal_of(int variants, std::int64_t tokens) {
  agent::v1::ProposalResult result;
  result.set_outcome(variants > 0 ? agent::v1::PROPOSAL_OUTCOME_SUCCESS
                                  : agent::v1::PROPOSAL_OUTCOME_REJECTED);
  for (int i = 0; i < variants; ++i) {
    const auto text = unique_text();
    auto* variant = result.add_variants();
    auto* file = variant->add_files();
    file->set_path("answer.cpp");
    file->set_sha256(sha256_hex("source " + text));
    variant->set_token_digest(sha256_hex("tokens " + text));
    variant->set_source_tokens(20);
    variant->set_rationale("why not");
  }
  auto* one = result.add_calls();
  one->set_model("small-1");
  one->set_endpoint("test");
  one->set_prompt_tokens(tokens / 2);
  one->set_completion_tokens(tokens - tokens / 2);
  one->set_cost_micro_usd(7);
  one->set_finish_reason("stop");
  one->set_cached_prompt_tokens(tokens / 4);
  one->set_reasoning_tokens(tokens / 5);
  one->set_request_id("req-1");
  return result;
}

double score_of(const agent::v1::EvaluationWork& work) {
  const auto digest = sha256_hex(work.files(0).sha256() + std::to_string(work.seed()));
  return static_cast<double>(std::stoul(digest.substr(0, 6), nullptr, 16)) / 1e6;
}

int work_once(ScriptedAgent& worker, ScriptedAgent& codegen, milliseconds wait) {
  int finished = 0;
  for (const auto& assignment : codegen.claim(4, milliseconds(0))) {
    const auto result = proposal_of(assignment.proposal().variants());
    if (codegen.finish(assignment.lease(), result).ok()) ++finished;
  }
  const auto work = worker.claim(4, finished > 0 ? milliseconds(0) : wait);
  for (const auto& assignment : work) {
    if (worker.finish(assignment.lease(), success(score_of(assignment.evaluation()))).ok()) {
      ++finished;
    }
  }
  return finished;
}

bool has_ended(user::v1::CampaignState state) {
  return state == user::v1::CAMPAIGN_STATE_SUCCEEDED || state == user::v1::CAMPAIGN_STATE_STOPPED ||
         state == user::v1::CAMPAIGN_STATE_FAILED;
}

bool work_until_ended(User& user, const std::string& campaign, ScriptedAgent& worker,
                      ScriptedAgent& codegen, milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (std::chrono::steady_clock::now() < deadline) {
    if (work_once(worker, codegen) == 0 && has_ended(user.get(campaign).state())) return true;
  }
  return false;
}

bool eventually(const std::function<bool()>& condition, milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(milliseconds(20));
  }
  return true;
}

bool is_lease_lost(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::FAILED_PRECONDITION &&
         rpc::details_of(status).reason == rpc::kLeaseLost;
}

std::string fetch_metrics(const std::string& address) {
  boost::asio::ip::tcp::iostream stream;
  stream.expires_after(std::chrono::seconds(10));
  const auto colon = address.rfind(':');
  stream.connect(address.substr(0, colon), address.substr(colon + 1));
  stream << "GET /metrics HTTP/1.0\r\nHost: test\r\n\r\n" << std::flush;
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

std::int64_t query_number(const std::string& database, const std::string& sql) {
  pqxx::connection connection(database);
  return pqxx::nontransaction(connection).exec(sql).one_row()[0].as<std::int64_t>();
}

}  // namespace cambrian::test
