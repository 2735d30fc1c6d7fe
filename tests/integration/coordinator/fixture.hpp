#pragma once

#include <grpcpp/channel.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cambrian/agent/v1/agent_service.grpc.pb.h"
#include "cambrian/user/v1/campaign_service.grpc.pb.h"
#include "cambrian/user/v1/operation_service.grpc.pb.h"
#include "common/rpc/status.hpp"

/// A real coordinator process on a real PostgreSQL, and agents whose every call is scripted.
namespace cambrian::test {

using std::chrono::milliseconds;

struct CoordinatorOptions {
  std::string database{};
  milliseconds lease{60'000};
  milliseconds evaluation_attempt{1'800'000};
  milliseconds shutdown_grace{10'000};
  bool has_reflection = false;
  bool listens_on_unix_socket = false;
  std::string more_config{};  ///< Lines of YAML.
};

/// Starts the program and waits until it is ready. Ends it when it goes.
class CoordinatorProcess {
 public:
  explicit CoordinatorProcess(CoordinatorOptions options);
  ~CoordinatorProcess();
  CoordinatorProcess(const CoordinatorProcess&) = delete;
  CoordinatorProcess& operator=(const CoordinatorProcess&) = delete;

  const std::string& address() const { return address_; }
  const std::string& metrics_address() const { return metrics_address_; }
  std::shared_ptr<grpc::Channel> channel() const { return channel_; }
  pid_t pid() const { return pid_; }
  /// What it wrote so far.
  std::string log() const;

  /// Ends it at once, as a power cut does.
  void crash();
  void start();
  /// Sends SIGTERM and waits. Returns the exit code; -1 when it took longer than `patience`.
  int terminate(milliseconds patience);

 private:
  CoordinatorOptions options_;
  std::string folder_;
  std::string address_;
  std::string metrics_address_;
  pid_t pid_ = -1;
  std::shared_ptr<grpc::Channel> channel_;
};

/// The output and exit code of a coordinator that is expected to end by itself.
struct Ended {
  int exit_code = -1;
  std::string output;
};
Ended run_coordinator(const std::vector<std::string>& arguments);

/// A user: registers a task, makes campaigns, asks and watches.
class User {
 public:
  explicit User(std::shared_ptr<grpc::Channel> channel);
  void use(std::shared_ptr<grpc::Channel> channel);

  /// Uploads and registers a small task and returns its digest.
  std::string register_task(const std::string& body = "int answer() { return 1; }\n",
                            const std::string& rung_metric = "");
  /// A spec that is good as it is: `evaluations` of budget, one at a time in flight.
  spec::v1::CampaignSpec make_spec(const std::string& name, int evaluations);
  user::v1::Campaign create(const spec::v1::CampaignSpec& spec, const std::string& request_id = "");
  grpc::Status try_create(const spec::v1::CampaignSpec& spec, user::v1::Campaign* campaign,
                          const std::string& request_id = "");
  user::v1::Campaign get(const std::string& name);
  user::v1::Campaign pause(const std::string& name);
  user::v1::Campaign resume(const std::string& name);
  user::v1::Campaign stop(const std::string& name);
  grpc::Status try_hint(const std::string& name, const std::string& hint,
                        const std::string& request_id = "");
  grpc::Status remove(const std::string& name, const std::string& request_id = "");
  std::vector<user::v1::Event> events(const std::string& name, std::int64_t after = 0);
  std::vector<user::v1::Variant> variants(const std::string& name);
  user::v1::Variant variant(const std::string& name, std::int64_t number);

  user::v1::CampaignService::Stub& campaigns() { return *campaigns_; }
  user::v1::VariantService::Stub& variant_stub() { return *variants_; }
  user::v1::TaskService::Stub& tasks() { return *tasks_; }
  user::v1::WorkerService::Stub& workers() { return *workers_; }
  user::v1::CodegenService::Stub& codegen() { return *codegen_; }

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<user::v1::CampaignService::Stub> campaigns_;
  std::unique_ptr<user::v1::VariantService::Stub> variants_;
  std::unique_ptr<user::v1::TaskService::Stub> tasks_;
  std::unique_ptr<user::v1::WorkerService::Stub> workers_;
  std::unique_ptr<user::v1::CodegenService::Stub> codegen_;
  std::string task_digest_;
};

/// A channel with a token (empty: none) and, with `ca_file`, over TLS.
std::shared_ptr<grpc::Channel> secure_channel(const std::string& address, const std::string& token,
                                              const std::string& ca_file = "");

/// Makes the first token, as an operator does, and returns it.
std::string make_first_token(const std::string& database, const std::string& role = "admin");

/// An agent without any logic: it does what the test says.
class ScriptedAgent {
 public:
  ScriptedAgent(std::shared_ptr<grpc::Channel> channel, agent::v1::AgentKind kind,
                std::string name);

  agent::v1::SyncRequest make_sync(int wanted, milliseconds wait = milliseconds(0)) const;
  grpc::Status sync(const agent::v1::SyncRequest& request, agent::v1::SyncResponse* response);
  /// Waits for work, at most so long. Empty when there was none.
  std::vector<agent::v1::Assignment> claim(int wanted, milliseconds wait = milliseconds(20'000));
  grpc::Status release(const agent::v1::Lease& lease, agent::v1::ReleaseReason reason,
                       const std::string& checkpoint = "");

  grpc::Status finish(const agent::v1::Lease& lease, const agent::v1::EvaluationResult& result);
  grpc::Status finish(const agent::v1::Lease& lease, const agent::v1::ProposalResult& result);

  const std::string& id() const { return id_; }
  agent::v1::AgentService::Stub& stub() { return *stub_; }

  void use(std::shared_ptr<grpc::Channel> channel);

 private:
  std::string id_;
  std::string name_;
  agent::v1::AgentKind kind_;
  std::unique_ptr<agent::v1::AgentService::Stub> stub_;
};

/// A coordinator with an empty database, and everybody who talks to it.
struct Service {
  explicit Service(CoordinatorOptions options = {});

  std::string database;
  CoordinatorProcess coordinator;
  User user;
  ScriptedAgent worker;
  ScriptedAgent codegen;

  /// Starts the coordinator anew after a crash; everybody talks to the new one.
  void crash_and_restart();
  ScriptedAgent make_worker(const std::string& name) {
    return {coordinator.channel(), agent::v1::AGENT_KIND_WORKER, name};
  }
  /// Creates a campaign and waits for its first item: the evaluation of the seed.
  agent::v1::Assignment start_and_claim_seed(const std::string& name, int evaluations = 5);
};

agent::v1::EvaluationResult success(double score);
agent::v1::EvaluationResult failure(agent::v1::EvaluationOutcome outcome,
                                    const std::string& diagnostics = "it broke");
/// Variants with sources that nobody had before.
agent::v1::ProposalResult proposal_of(int variants, std::int64_t tokens = 100);

/// The score that scripted workers give: depends on seed and files only.
double score_of(const agent::v1::EvaluationWork& work);

/// One look of a worker and of a codegen client: each takes what there is and finishes it. Returns
/// the number of items finished. Errors of the transport are left to the next look.
int work_once(ScriptedAgent& worker, ScriptedAgent& codegen, milliseconds wait = milliseconds(300));

/// Works until the campaign has ended. False when it took longer than the patience.
bool work_until_ended(User& user, const std::string& campaign, ScriptedAgent& worker,
                      ScriptedAgent& codegen, milliseconds patience = milliseconds(240'000));

bool has_ended(user::v1::CampaignState state);

/// Looks until it holds, for at most so long: longer than any machine needs, for only a failure
/// waits until then.
bool eventually(const std::function<bool()>& condition,
                milliseconds patience = milliseconds(60'000));

/// The reason and the item of a LEASE_LOST status; empty for any other.
bool is_lease_lost(const grpc::Status& status);

/// The page of metrics.
std::string fetch_metrics(const std::string& address);

/// One number of one row.
std::int64_t query_number(const std::string& database, const std::string& sql);

}  // namespace cambrian::test
