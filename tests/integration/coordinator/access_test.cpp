#include <grpcpp/generic/generic_stub.h>

#include <catch2/catch_test_macros.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <set>

#include "cambrian/agent/v1/blob_service.grpc.pb.h"
#include "cambrian/user/v1/admin_service.grpc.pb.h"
#include "common/digest/sha256.hpp"
#include "common/digest/token.hpp"
#include "common/rpc/channel.hpp"
#include "common/rpc/security.hpp"
#include "tests/integration/coordinator/guarded.hpp"

using namespace cambrian;
using namespace cambrian::test;
using google::protobuf::DescriptorPool;
using grpc::StatusCode;
using user::v1::AdminService;

namespace {

grpc::Status stop_campaign(const std::shared_ptr<grpc::Channel>& channel, const std::string& name) {
  grpc::ClientContext context;
  rpc::set_deadline(context, kCallTimeout);
  user::v1::StopCampaignRequest request;
  request.set_name(name);
  user::v1::StopCampaignResponse response;
  return user::v1::CampaignService::NewStub(channel)->StopCampaign(&context, request, &response);
}

grpc::Status import_archive(const std::shared_ptr<grpc::Channel>& channel,
                            const std::string& sha256) {
  grpc::ClientContext context;
  rpc::set_deadline(context, kCallTimeout);
  user::v1::ImportCampaignRequest request;
  request.set_archive_sha256(sha256);
  user::v1::ImportCampaignResponse response;
  return user::v1::CampaignService::NewStub(channel)->ImportCampaign(&context, request, &response);
}

grpc::Status upload(const std::shared_ptr<grpc::Channel>& channel, bool is_checkpoint = false) {
  grpc::ClientContext context;
  rpc::set_deadline(context, kCallTimeout);
  agent::v1::UploadBlobResponse response;
  const auto stub = agent::v1::BlobService::NewStub(channel);
  const auto writer = stub->UploadBlob(&context, &response);
  agent::v1::UploadBlobRequest request;
  request.set_sha256(sha256_hex("content"));
  request.set_size_bytes(7);
  request.set_is_checkpoint(is_checkpoint);
  request.set_chunk("content");
  writer->Write(request);
  writer->WritesDone();
  return writer->Finish();
}

constexpr const char* kServices[] = {
    "cambrian.agent.v1.AgentService",  "cambrian.agent.v1.BlobService",
    "cambrian.user.v1.AdminService",   "cambrian.user.v1.CampaignService",
    "cambrian.user.v1.CodegenService", "cambrian.user.v1.TaskService",
    "cambrian.user.v1.VariantService", "cambrian.user.v1.WorkerService"};

/// Calls any method, streams as well, with one empty message.
grpc::Status call_empty(const std::shared_ptr<grpc::Channel>& channel, const std::string& path) {
  grpc::ClientContext context;
  rpc::set_deadline(context, kCallTimeout);
  grpc::CompletionQueue queue;
  grpc::GenericStub stub(channel);
  const auto call = stub.PrepareCall(&context, path, &queue);
  const auto wait = [&] {
    void* tag = nullptr;
    bool is_ok = false;
    REQUIRE(queue.Next(&tag, &is_ok));
  };
  call->StartCall(nullptr);
  wait();
  grpc::Slice nothing;
  call->WriteLast(grpc::ByteBuffer(&nothing, 1), {}, nullptr);
  wait();
  for (bool has_more = true; has_more;) {  // What is answered must be read before the status.
    grpc::ByteBuffer answer;
    call->Read(&answer, nullptr);
    void* tag = nullptr;
    REQUIRE(queue.Next(&tag, &has_more));
  }
  grpc::Status status;
  call->Finish(&status, nullptr);
  wait();
  return status;
}

std::string reason_of(const grpc::Status& status) { return rpc::details_of(status).reason; }

grpc::Status sync_of(ScriptedAgent& agent, int wanted = 0, milliseconds wait = milliseconds(0)) {
  agent::v1::SyncResponse response;
  return agent.sync(agent.make_sync(wanted, wait), &response);
}

/// What a program says on stdout.
std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), &::pclose);
  REQUIRE(pipe);
  std::string text;
  char buffer[65'536];
  for (std::size_t size = 0; (size = std::fread(buffer, 1, sizeof buffer, pipe.get())) > 0;) {
    text.append(buffer, size);
  }
  return text;
}

}  // namespace

TEST_CASE("access: a call needs a token, and says what is wrong with it",
          "[integration][coordinator]") {
  const Guarded guarded;
  CHECK(list_campaigns(guarded.as(guarded.root)).ok());

  auto status = list_campaigns(rpc::make_channel(guarded.coordinator.address()));
  CHECK(status.error_code() == StatusCode::UNAUTHENTICATED);
  CHECK(reason_of(status) == "TOKEN_MISSING");
  CHECK(status.error_message().find("CAMBRIAN_TOKEN") != std::string::npos);
  CHECK(rpc::details_of(status).metadata.at("method") == "ListCampaigns");

  grpc::ClientContext context;
  context.AddMetadata("authorization", "Basic YWxpY2U6c2VjcmV0");
  user::v1::ListCampaignsResponse response;
  status = user::v1::CampaignService::NewStub(rpc::make_channel(guarded.coordinator.address()))
               ->ListCampaigns(&context, {}, &response);
  CHECK(status.error_code() == StatusCode::UNAUTHENTICATED);
  CHECK(reason_of(status) == "TOKEN_MALFORMED");

  status = list_campaigns(guarded.as(make_token().text.reveal()));
  CHECK(status.error_code() == StatusCode::UNAUTHENTICATED);
  CHECK(reason_of(status) == "TOKEN_UNKNOWN");

  const auto short_lived = guarded.make("alice", user::v1::ROLE_USER, milliseconds(3'000));
  const auto channel = guarded.as(short_lived);
  CHECK(list_campaigns(channel).ok());
  CHECK(eventually([&] { return reason_of(list_campaigns(channel)) == "TOKEN_EXPIRED"; }));

  const auto token = guarded.make("bob", user::v1::ROLE_USER);
  CHECK(list_campaigns(guarded.as(token)).ok());
  CHECK(guarded.revoke("bob").tokens_size() == 1);
  status = list_campaigns(guarded.as(token));
  CHECK(status.error_code() == StatusCode::UNAUTHENTICATED);
  CHECK(reason_of(status) == "TOKEN_REVOKED");
  CHECK(guarded.revoke("bob").tokens_size() == 1);  // Again: no change.

  // Nothing is read of an upload without a token.
  CHECK(upload(rpc::make_channel(guarded.coordinator.address())).error_code() ==
        StatusCode::UNAUTHENTICATED);
  CHECK(query_number(guarded.database, "SELECT count(*) FROM blob") == 0);
  CHECK(upload(guarded.as(guarded.root)).ok());
  const auto worker = guarded.as(guarded.make("gpu-1", user::v1::ROLE_WORKER));
  CHECK(reason_of(upload(worker)) == "ROLE_NOT_ALLOWED");
  CHECK(upload(worker, true).ok());
  CHECK(query_number(guarded.database, "SELECT count(*) FROM blob") == 1);
  const auto metrics = fetch_metrics(guarded.coordinator.metrics_address());
  CHECK(metrics.find("cambrian_coordinator_calls_refused_total{reason=\"revoked\"} 1") !=
        std::string::npos);
}

TEST_CASE("access: each role may do what it needs and nothing else", "[integration][coordinator]") {
  const Guarded guarded;
  const auto viewer = guarded.as(guarded.make("screen", user::v1::ROLE_VIEWER));
  const auto worker = guarded.as(guarded.make("gpu-1", user::v1::ROLE_WORKER));
  const auto codegen = guarded.as(guarded.make("llm", user::v1::ROLE_CODEGEN));
  CHECK(list_campaigns(viewer).ok());
  User looks(viewer);
  CHECK_THROWS(looks.register_task());

  const auto denied = list_campaigns(worker);
  CHECK(denied.error_code() == StatusCode::PERMISSION_DENIED);
  CHECK(reason_of(denied) == "ROLE_NOT_ALLOWED");
  CHECK(rpc::details_of(denied).metadata.at("role") == "worker");
  CHECK(rpc::details_of(denied).metadata.at("allowed") == "admin, user, viewer");

  ScriptedAgent evaluates(worker, agent::v1::AGENT_KIND_WORKER, "evaluates");
  ScriptedAgent proposes(codegen, agent::v1::AGENT_KIND_CODEGEN, "proposes");
  CHECK(sync_of(evaluates).ok());
  CHECK(sync_of(proposes).ok());
  // A worker that takes proposals would see other campaigns' prompts, and could put code in.
  ScriptedAgent pretends(worker, agent::v1::AGENT_KIND_CODEGEN, "pretends");
  CHECK(sync_of(pretends).error_code() == StatusCode::PERMISSION_DENIED);
  CHECK(evaluates.finish({}, proposal_of(0)).error_code() == StatusCode::PERMISSION_DENIED);
  CHECK(proposes.finish({}, success(1)).error_code() == StatusCode::PERMISSION_DENIED);
  ScriptedAgent reads(viewer, agent::v1::AGENT_KIND_WORKER, "reads");
  CHECK(sync_of(reads).error_code() == StatusCode::PERMISSION_DENIED);

  // Nobody but an administrator makes tokens.
  for (const auto& channel : {viewer, worker, codegen}) {
    const auto token = make_token();
    user::v1::CreateTokenRequest request;
    request.set_id(token.id);
    request.set_sha256(token.sha256);
    request.set_name("mallory");
    request.set_role(user::v1::ROLE_ADMIN);
    user::v1::CreateTokenResponse response;
    grpc::ClientContext context;
    CHECK(AdminService::NewStub(channel)->CreateToken(&context, request, &response).error_code() ==
          StatusCode::PERMISSION_DENIED);
  }
  CHECK(query_number(guarded.database,
                     "SELECT count(*) FROM access_token WHERE name = 'mallory'") == 0);
}

TEST_CASE("access: no method of any service answers who may not call it",
          "[integration][coordinator]") {
  const Guarded guarded;
  const auto nobody = rpc::make_channel(guarded.coordinator.address());
  const std::map<std::string, std::set<std::string>> allowed = {
      {"screen",
       {"DownloadBlob", "ValidateCampaign", "GetCampaign", "ListCampaigns", "WatchEvents",
        "ListVariants", "GetVariant", "GetLineage", "GetTask", "ListTasks", "ListWorkers",
        "GetUsage"}},
      {"gpu-1", {"Sync", "FinishEvaluation", "UploadBlob", "DownloadBlob"}},
      {"llm",
       {"Sync", "FinishProposal", "BeginCall", "EndCall", "FindMissingBlobs", "UploadBlob",
        "DownloadBlob"}}};
  const std::map<std::string, std::shared_ptr<grpc::Channel>> channels = {
      {"screen", guarded.as(guarded.make("screen", user::v1::ROLE_VIEWER))},
      {"gpu-1", guarded.as(guarded.make("gpu-1", user::v1::ROLE_WORKER))},
      {"llm", guarded.as(guarded.make("llm", user::v1::ROLE_CODEGEN))}};
  int methods = 0;
  for (const char* name : kServices) {
    const auto* service = DescriptorPool::generated_pool()->FindServiceByName(name);
    REQUIRE(service != nullptr);
    for (int i = 0; i < service->method_count(); ++i, ++methods) {
      const std::string method = service->method(i)->name();
      const std::string path = std::string("/") + name + "/" + method;
      INFO(path);
      CHECK(call_empty(nobody, path).error_code() == StatusCode::UNAUTHENTICATED);
      for (const auto& [who, channel] : channels) {
        INFO(who);
        const auto status = call_empty(channel, path);
        CHECK((reason_of(status) == "ROLE_NOT_ALLOWED") == !allowed.at(who).contains(method));
      }
    }
  }
  CHECK(methods > 25);
  CHECK(query_number(guarded.database, "SELECT count(*) FROM campaign") == 0);
}

TEST_CASE("access: nobody speaks for the agent of another token", "[integration][coordinator]") {
  const Guarded guarded;
  const auto mine = guarded.as(guarded.make("gpu-1", user::v1::ROLE_WORKER));
  const auto other = guarded.as(guarded.make("gpu-2", user::v1::ROLE_WORKER));
  User root(guarded.as(guarded.root));
  root.create(root.make_spec("one", 3));
  ScriptedAgent worker(mine, agent::v1::AGENT_KIND_WORKER, "worker");
  const auto assignments = worker.claim(1);
  REQUIRE(assignments.size() == 1);
  const auto& lease = assignments.front().lease();

  worker.use(other);  // The same agent_id and lease, which everybody may have read.
  const auto stolen = worker.finish(lease, success(1e9));
  CHECK(stolen.error_code() == StatusCode::FAILED_PRECONDITION);
  CHECK(reason_of(stolen) == rpc::kLeaseLost);
  auto renews = worker.make_sync(0);
  *renews.add_running()->mutable_lease() = lease;
  agent::v1::SyncResponse response;
  CHECK(worker.sync(renews, &response).ok());
  CHECK(response.cancelled_size() == 1);
  CHECK(worker.release(lease, agent::v1::RELEASE_REASON_UNABLE).ok());

  worker.use(mine);
  CHECK(worker.finish(lease, success(0.5)).ok());
  CHECK(eventually([&] { return root.get("one").best_score() == 0.5; }));
  CHECK(query_number(guarded.database, "SELECT count(*) FROM agent WHERE agent_id = 'gpu-1/" +
                                           worker.id() + "' OR agent_id = 'gpu-2/" + worker.id() +
                                           "'") == 2);
}

TEST_CASE("access: changes that are refused again and again do not fill the audit log",
          "[integration][coordinator]") {
  const Guarded guarded;
  const auto viewer = guarded.as(guarded.make("screen", user::v1::ROLE_VIEWER));
  for (int i = 0; i < 50; ++i) {
    CHECK(stop_campaign(viewer, "any").error_code() == StatusCode::PERMISSION_DENIED);
  }
  // A minute may end in the middle.
  const auto noted =
      query_number(guarded.database, "SELECT count(*) FROM audit_entry WHERE who = 'screen'");
  CHECK(noted >= 20);
  CHECK(noted <= 40);
  const auto metrics = fetch_metrics(guarded.coordinator.metrics_address());
  CHECK(metrics.find("cambrian_coordinator_calls_refused_total{reason=\"role\"} 50") !=
        std::string::npos);
}

TEST_CASE("access: a token is made once, and only as a good one", "[integration][coordinator]") {
  const Guarded guarded;
  const auto token = make_token();
  CHECK(guarded.create(token, "alice", user::v1::ROLE_USER).ok());
  CHECK(guarded.create(token, "alice", user::v1::ROLE_USER).ok());
  CHECK(guarded.create(token, "alice", user::v1::ROLE_ADMIN).error_code() ==
        StatusCode::ALREADY_EXISTS);
  CHECK(query_number(guarded.database, "SELECT count(*) FROM access_token WHERE name = 'alice'") ==
        1);
  CHECK(guarded.create(make_token(), "Alice Liddell", user::v1::ROLE_USER).error_code() ==
        StatusCode::INVALID_ARGUMENT);
  CHECK(guarded.create(make_token(), "alice", user::v1::ROLE_UNSPECIFIED).error_code() ==
        StatusCode::INVALID_ARGUMENT);
  NewToken bad = make_token();
  bad.sha256 = "0";
  CHECK(guarded.create(bad, "alice", user::v1::ROLE_USER).error_code() ==
        StatusCode::INVALID_ARGUMENT);
}

TEST_CASE("access: users change campaigns of their own only, and read all",
          "[integration][coordinator]") {
  const Guarded guarded;
  User alice(guarded.as(guarded.make("alice", user::v1::ROLE_USER)));
  User bob(guarded.as(guarded.make("bob", user::v1::ROLE_USER)));
  const auto hers = guarded.as(guarded.make("alice", user::v1::ROLE_USER));  // Another token.
  const auto bobs = guarded.as(guarded.make("bob", user::v1::ROLE_USER));
  const auto spec = alice.make_spec("hers", 3);
  CHECK(alice.create(spec, "request-1").owner() == "alice");
  CHECK(bob.get("hers").owner() == "alice");

  const auto refused = stop_campaign(bobs, "hers");
  CHECK(refused.error_code() == StatusCode::PERMISSION_DENIED);
  CHECK(reason_of(refused) == "NOT_YOURS");
  CHECK(rpc::details_of(refused).metadata.at("owner") == "alice");
  CHECK_THROWS(bob.pause("hers"));
  CHECK_THROWS(bob.resume("hers"));
  CHECK(bob.remove("hers").error_code() == StatusCode::PERMISSION_DENIED);
  user::v1::Campaign campaign;
  CHECK(bob.try_create(spec, &campaign).error_code() == StatusCode::ALREADY_EXISTS);
  CHECK(bob.try_create(spec, &campaign, "request-1").error_code() == StatusCode::ALREADY_EXISTS);
  CHECK(bob.get("hers").state() == user::v1::CAMPAIGN_STATE_RUNNING);

  CHECK(alice.create(spec).name() == "hers");  // The same again is hers.
  CHECK(stop_campaign(hers, "hers").ok());
  CHECK(eventually([&] { return has_ended(alice.get("hers").state()); }));
  CHECK(alice.remove("hers", "remove-1").ok());
  CHECK(alice.remove("hers", "remove-1").ok());  // Repeatable, though it is gone.

  User root(guarded.as(guarded.root));
  bob.create(bob.make_spec("his", 3));
  CHECK(stop_campaign(guarded.as(guarded.root), "his").ok());
  // What was made before there were tokens is nobody's.
  CHECK(eventually([&] { return has_ended(root.get("his").state()); }));
  query_number(guarded.database, "UPDATE campaign SET owner = '' WHERE name = 'his' RETURNING 1");
  CHECK(bob.remove("his").error_code() == StatusCode::PERMISSION_DENIED);
  CHECK(root.remove("his").ok());
}

TEST_CASE("access: a token that is revoked during a long poll ends it, and gets no work",
          "[integration][coordinator]") {
  const Guarded guarded;
  const auto token = guarded.make("gpu-1", user::v1::ROLE_WORKER);
  ScriptedAgent worker(guarded.as(token), agent::v1::AGENT_KIND_WORKER, "worker");
  REQUIRE(sync_of(worker).ok());
  auto poll =
      std::async(std::launch::async, [&] { return sync_of(worker, 1, milliseconds(25'000)); });
  CHECK(poll.wait_for(milliseconds(700)) == std::future_status::timeout);
  const auto begin = std::chrono::steady_clock::now();
  guarded.revoke(token_id(token).value());
  const auto status = poll.get();
  CHECK(std::chrono::steady_clock::now() - begin < milliseconds(8'000));
  CHECK(status.error_code() == StatusCode::UNAUTHENTICATED);
  CHECK(reason_of(status) == "TOKEN_REVOKED");
  User root(guarded.as(guarded.root));
  root.create(root.make_spec("waits", 3));
  REQUIRE(eventually([&] { return root.get("waits").evaluations_open() == 1; }));
  CHECK(sync_of(worker, 1).error_code() == StatusCode::UNAUTHENTICATED);
  CHECK(query_number(guarded.database, "SELECT count(*) FROM attempt") == 0);
  // A watcher's stream ends likewise.
  const auto viewer = guarded.make("screen", user::v1::ROLE_VIEWER);
  auto watch = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    rpc::set_deadline(context, milliseconds(30'000));
    user::v1::WatchEventsRequest request;
    request.set_campaign("waits");
    const auto stub = user::v1::CampaignService::NewStub(guarded.as(viewer));
    const auto reader = stub->WatchEvents(&context, request);
    user::v1::WatchEventsResponse response;
    while (reader->Read(&response)) {
    }
    return reader->Finish();
  });
  CHECK(watch.wait_for(milliseconds(700)) == std::future_status::timeout);
  guarded.revoke("screen");
  CHECK(watch.get().error_code() == StatusCode::UNAUTHENTICATED);
}

TEST_CASE("access: tokens are known through an outage of the database",
          "[integration][coordinator]") {
  PrivatePostgres postgres;
  const auto database = postgres.make_database();
  const auto token = make_first_token(database, "worker");
  CoordinatorProcess coordinator({.database = database, .more_config = "require_tokens: true\n"});
  ScriptedAgent worker(secure_channel(coordinator.address(), token), agent::v1::AGENT_KIND_WORKER,
                       "worker");
  REQUIRE(sync_of(worker).ok());
  postgres.stop();
  // An agent that hears UNAUTHENTICATED ends; UNAVAILABLE lets it come again.
  CHECK(sync_of(worker, 1).error_code() == StatusCode::UNAVAILABLE);
  ScriptedAgent stranger(secure_channel(coordinator.address(), make_token().text.reveal()),
                         agent::v1::AGENT_KIND_WORKER, "stranger");
  CHECK(sync_of(stranger).error_code() == StatusCode::UNAVAILABLE);
  postgres.start();
  CHECK(eventually([&] { return sync_of(worker, 1).ok(); }, kCallTimeout));
  CHECK(eventually([&] { return sync_of(stranger).error_code() == StatusCode::UNAUTHENTICATED; },
                   kCallTimeout));
}

TEST_CASE("access: every change is in the audit log with who, where, what and how it ended",
          "[integration][coordinator]") {
  const Guarded guarded;
  User alice(guarded.as(guarded.make("alice", user::v1::ROLE_USER)));
  const auto bobs = guarded.as(guarded.make("bob", user::v1::ROLE_USER));
  const auto viewer = guarded.as(guarded.make("screen", user::v1::ROLE_VIEWER));
  alice.create(alice.make_spec("hers", 3));
  alice.get("hers");
  CHECK_FALSE(stop_campaign(bobs, "hers").ok());
  CHECK_FALSE(stop_campaign(viewer, "hers").ok());
  CHECK_FALSE(list_campaigns(rpc::make_channel(guarded.coordinator.address())).ok());
  CHECK(stop_campaign(guarded.as(guarded.root), "hers").ok());
  const auto archive = sha256_hex("an archive that nobody uploaded");
  CHECK(import_archive(bobs, archive).error_code() == StatusCode::PERMISSION_DENIED);
  CHECK(import_archive(guarded.as(guarded.root), archive).error_code() == StatusCode::NOT_FOUND);
  std::vector<std::string> found;
  for (const auto& entry : guarded.audit(2)) {
    found.insert(found.begin(), entry.who() + " " + entry.method() + " " +
                                    entry.object().substr(0, entry.object().find(" id=")) + " " +
                                    entry.outcome());
    const bool is_local = entry.who() == "cambrian-coordinator";
    CHECK(entry.peer().starts_with(is_local ? "command line" : "ipv4:127.0.0.1:"));
    CHECK(entry.token_id().size() == (is_local ? 0U : 16U));
    CHECK(entry.has_create_time());
  }
  CHECK(found ==
        std::vector<std::string>{
            "cambrian-coordinator CreateToken first-admin role=admin OK",
            "first-admin CreateToken alice role=user OK",
            "first-admin CreateToken bob role=user OK",
            "first-admin CreateToken screen role=viewer OK", "alice RegisterTask answer OK",
            "alice CreateCampaign hers OK", "bob StopCampaign hers PERMISSION_DENIED",
            "screen StopCampaign hers PERMISSION_DENIED", "first-admin StopCampaign hers OK",
            "bob ImportCampaign " + archive + " PERMISSION_DENIED",
            "first-admin ImportCampaign " + archive + " NOT_FOUND"});
}

TEST_CASE("access: a change without tokens is in the audit log, too",
          "[integration][coordinator]") {
  Service service;
  service.user.create(service.user.make_spec("open", 3));
  CHECK(query_number(service.database,
                     "SELECT count(*) FROM audit_entry WHERE method = 'CreateCampaign'"
                     " AND object = 'open' AND who = '' AND outcome = 'OK'") == 1);
  CHECK(service.user.get("open").owner().empty());
}

TEST_CASE("access: a token file is read again when it changes", "[integration][coordinator]") {
  const Guarded guarded;
  const auto path =
      (std::filesystem::temp_directory_path() / ("cambrian-token-" + make_token().id)).string();
  const auto write = [&](const std::string& text) {
    std::ofstream(path + ".new") << text << "\n";
    std::filesystem::rename(path + ".new", path);
  };
  write(guarded.make("alice", user::v1::ROLE_USER));
  rpc::ChannelSecurity security;
  security.token_file = path;
  const auto channel = rpc::make_channel(guarded.coordinator.address(), std::move(security));
  REQUIRE(channel.has_value());
  CHECK(list_campaigns(*channel).ok());
  guarded.revoke("alice");
  CHECK(list_campaigns(*channel).error_code() == StatusCode::UNAUTHENTICATED);
  write("nothing that helps");  // Half of an update: what was there before counts.
  CHECK(list_campaigns(*channel).error_code() == StatusCode::UNAUTHENTICATED);
  write(guarded.make("bob", user::v1::ROLE_USER));
  CHECK(eventually([&] { return list_campaigns(*channel).ok(); }));
  std::filesystem::remove(path);

  rpc::ChannelSecurity missing;
  missing.token_file = path;
  CHECK(rpc::make_channel("127.0.0.1:1", std::move(missing)).error().code == Errc::not_found);
  rpc::ChannelSecurity in_the_clear;
  in_the_clear.token = Secret(guarded.root);
  CHECK(rpc::make_channel("coordinator.example:7070", std::move(in_the_clear)).error().code ==
        Errc::invalid_argument);
}

TEST_CASE("access: an open coordinator does not start where others reach it",
          "[integration][coordinator]") {
  const auto start = [](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"--database", "dbname=x", "--listen", "0.0.0.0:0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_coordinator(arguments);
  };
  const auto config = [](const std::string& text) {
    const auto path =
        (std::filesystem::temp_directory_path() / ("cambrian-config-" + make_token().id)).string();
    std::ofstream(path) << text;
    return path;
  };
  const auto tokens = config("require_tokens: true\n");
  const auto tls = config("tls: {certificate_file: a.pem, key_file: b.pem}\n");
  const auto reflection = config("require_tokens: true\nreflection: true\nlisten: 127.0.0.1:0\n");
  const auto half = config("tls: {certificate_file: a.pem}\nlisten: 127.0.0.1:0\n");
  CHECK(start({}).output.find("neither tls nor require_tokens") != std::string::npos);
  CHECK(start({"--config", tokens}).output.find("there is no tls") != std::string::npos);
  CHECK(start({"--config", tls}).output.find("require_tokens is not set") != std::string::npos);
  CHECK(start({"--config", reflection}).output.find("reflection") != std::string::npos);
  CHECK(start({"--config", half}).output.find("certificate_file and key_file") !=
        std::string::npos);
  for (const auto& path : {tokens, tls, reflection, half}) {
    CHECK(start({"--config", path}).exit_code == 2);
    std::filesystem::remove(path);
  }
}

TEST_CASE("access: no token is in logs, metrics, the database or an error",
          "[integration][coordinator][canary]") {
  const Guarded guarded;
  std::vector<std::string> tokens = {guarded.root, guarded.make("alice", user::v1::ROLE_USER),
                                     guarded.make("gpu-1", user::v1::ROLE_WORKER),
                                     guarded.make("gone", user::v1::ROLE_USER),
                                     make_token().text.reveal()};
  guarded.revoke("gone");
  User alice(guarded.as(tokens[1]));
  alice.create(alice.make_spec("hers", 3));
  ScriptedAgent worker(guarded.as(tokens[2]), agent::v1::AGENT_KIND_WORKER, "worker");
  REQUIRE(sync_of(worker, 1).ok());
  std::string said;
  for (const auto& token : tokens) {
    const auto channel = guarded.as(token);
    for (const auto& status :
         {list_campaigns(channel), stop_campaign(channel, "nothing"), sync_of(worker)}) {
      said += status.error_message() + status.error_details();
    }
  }
  // A token where a name belongs is refused, and must not be quoted.
  CHECK_FALSE(guarded.create(make_token(), tokens[1], user::v1::ROLE_USER).ok());
  CHECK(guarded.audit(1000).front().object().find("_[redacted] role=user") != std::string::npos);
  said += guarded.coordinator.log();
  said += fetch_metrics(guarded.coordinator.metrics_address());
  const auto dump = output_of("pg_dump --dbname='" + guarded.database + "'");
  CHECK(dump.find("COPY public.access_token") != std::string::npos);
  CHECK(dump.find(sha256_hex(guarded.root)) != std::string::npos);
  CHECK(said.find("coordinator_started") != std::string::npos);
  CHECK(said.find("cambrian_coordinator_calls_refused_total") != std::string::npos);
  for (const auto& token : tokens) {
    const auto secret = token.substr(token.size() - 64);
    CHECK(said.find(secret) == std::string::npos);
    CHECK(dump.find(secret) == std::string::npos);
  }
}
