#include <grpcpp/create_channel.h>

#include <catch2/catch_test_macros.hpp>
#include <set>

#include "common/blob/blob_client.hpp"
#include "common/digest/sha256.hpp"
#include "common/rpc/channel.hpp"
#include "grpcpp/generic/generic_stub.h"
#include "tests/integration/coordinator/fixture.hpp"
#include "tests/support/postgres.hpp"

using namespace cambrian;
using namespace cambrian::test;

namespace {

grpc::Status upload(agent::v1::BlobService::Stub& stub, const std::string& sha256,
                    std::int64_t size_bytes, const std::vector<std::string>& chunks) {
  grpc::ClientContext context;
  rpc::set_deadline(context, milliseconds(20'000));
  agent::v1::UploadBlobResponse response;
  const auto writer = stub.UploadBlob(&context, &response);
  agent::v1::UploadBlobRequest request;
  request.set_sha256(sha256);
  request.set_size_bytes(size_bytes);
  for (const auto& chunk : chunks) {
    request.set_chunk(chunk);
    if (!writer->Write(request)) break;
    request.Clear();
  }
  writer->WritesDone();
  return writer->Finish();
}

/// Calls a method of a service that this test has no generated code for.
grpc::Status call_raw(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                      std::string* answer) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  rpc::set_deadline(context, milliseconds(10'000));
  const grpc::Slice nothing("");
  grpc::ByteBuffer request(&nothing, 1);
  grpc::ByteBuffer response;
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
  call->StartCall();
  grpc::Status status;
  call->Finish(&response, &status, &queue);
  void* tag = nullptr;
  bool is_ok = false;
  queue.Next(&tag, &is_ok);
  std::vector<grpc::Slice> slices;
  if (response.Dump(&slices).ok()) {
    for (const auto& slice : slices) answer->append(slice.begin(), slice.end());
  }
  queue.Shutdown();
  while (queue.Next(&tag, &is_ok)) {
  }
  return status;
}

/// grpc.health.v1.HealthCheckResponse{status: SERVING} and NOT_SERVING on the wire.
const std::string kServing = {0x08, 0x01};
const std::string kNotServing = {0x08, 0x02};

std::string health_of(const Service& service) {
  std::string answer;
  call_raw(service.coordinator.channel(), "/grpc.health.v1.Health/Check", &answer);
  return answer;
}

}  // namespace

TEST_CASE("blobs: contents come back as they went, whole or from the middle",
          "[integration][coordinator]") {
  Service service;
  std::string content;
  while (content.size() < 3'000'000) content += sha256_hex(content.substr(0, 64)) + "\0x"[0];
  BlobClient client(service.coordinator.channel(), nullptr);
  REQUIRE(client.upload({content, ""}).has_value());
  REQUIRE(client.upload({content}).has_value());
  const auto back = client.download(sha256_hex(content));
  REQUIRE(back.has_value());
  CHECK(*back == content);
  CHECK(client.download(sha256_hex("")).value().empty());
  CHECK(client.download(sha256_hex("other")).error().code == Errc::not_found);
  CHECK(query_number(service.database, "SELECT count(*) FROM blob") == 2);

  const auto stub = agent::v1::BlobService::NewStub(service.coordinator.channel());
  grpc::ClientContext context;
  agent::v1::DownloadBlobRequest request;
  request.set_sha256(sha256_hex(content));
  request.set_offset_bytes(2'999'000);
  const auto reader = stub->DownloadBlob(&context, request);
  agent::v1::DownloadBlobResponse response;
  std::string rest;
  while (reader->Read(&response)) rest += response.chunk();
  CHECK(reader->Finish().ok());
  CHECK(rest == content.substr(2'999'000));
}

TEST_CASE("blobs: a content that does not fit its digest or size is not stored",
          "[integration][coordinator]") {
  Service service;
  const auto stub = agent::v1::BlobService::NewStub(service.coordinator.channel());
  const auto digest = sha256_hex("hello");
  for (const auto& status :
       {upload(*stub, digest, 5, {"hallo"}), upload(*stub, digest, 4, {"hello"}),
        upload(*stub, digest, 6, {"hello"}), upload(*stub, "hello", 5, {"hello"}),
        upload(*stub, digest, 65 << 20, {"hello"}), upload(*stub, digest, 5, {})}) {
    INFO(status.error_message());
    CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  }
  CHECK(query_number(service.database, "SELECT count(*) FROM blob") == 0);
  CHECK(upload(*stub, digest, 5, {"he", "llo"}).ok());
}

TEST_CASE("tasks: a task needs its files and keeps its digest", "[integration][coordinator]") {
  Service service;
  const auto digest = service.user.register_task();
  CHECK(service.user.register_task() == digest);
  grpc::ClientContext get_context;
  user::v1::GetTaskRequest get;
  get.set_digest(digest);
  user::v1::GetTaskResponse got;
  REQUIRE(service.user.tasks().GetTask(&get_context, get, &got).ok());
  CHECK(got.task().bundle().files_size() == 2);
  // The bundle is a blob under the same digest: that is how workers get it.
  BlobClient blobs(service.coordinator.channel(), nullptr);
  spec::v1::TaskBundle bundle;
  REQUIRE(bundle.ParseFromString(blobs.download(digest).value()));
  CHECK(bundle.manifest().name() == "answer");

  user::v1::RegisterTaskRequest request;
  *request.mutable_bundle() = got.task().bundle();
  request.mutable_bundle()->mutable_files(0)->set_sha256(sha256_hex("missing"));
  user::v1::RegisterTaskResponse response;
  grpc::ClientContext missing_context;
  const auto missing = service.user.tasks().RegisterTask(&missing_context, request, &response);
  CHECK(missing.error_code() == grpc::StatusCode::FAILED_PRECONDITION);
  CHECK(rpc::details_of(missing).missing_blobs == std::vector{sha256_hex("missing")});

  request.mutable_bundle()->mutable_files(0)->set_path("../judge.cpp");
  request.mutable_bundle()->mutable_manifest()->clear_objectives();
  grpc::ClientContext wrong_context;
  const auto wrong = service.user.tasks().RegisterTask(&wrong_context, request, &response);
  CHECK(wrong.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  std::set<std::string> fields;
  for (const auto& violation : rpc::details_of(wrong).field_violations) {
    fields.insert(violation.field);
  }
  CHECK(fields.contains("bundle.files[0].path"));
  CHECK(fields.contains("bundle.manifest.objectives"));
  grpc::ClientContext list_context;
  user::v1::ListTasksResponse list;
  REQUIRE(service.user.tasks().ListTasks(&list_context, {}, &list).ok());
  REQUIRE(list.tasks_size() == 1);
  CHECK(list.tasks(0).bundle().files().empty());
}

TEST_CASE("service: problems of any number and length arrive as what they are",
          "[integration][coordinator]") {
  Service service;
  auto spec = service.user.make_spec("long", 5);
  for (int i = 0; i < 500; ++i) {
    (*spec.mutable_task()->mutable_parameters())[std::string(500, 'p') + std::to_string(i)] = 1;
  }
  spec.mutable_codegen()->add_models()->set_model(std::string("a\0b", 3));
  user::v1::Campaign campaign;
  const auto status = service.user.try_create(spec, &campaign);
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  const auto violations = rpc::details_of(status).field_violations;
  REQUIRE(violations.size() >= 3);
  CHECK(violations.back().description.ends_with(" problems more"));
  CHECK(fetch_metrics(service.coordinator.metrics_address()).find("code=\"INTERNAL\"") ==
        std::string::npos);
}

TEST_CASE("service: a worker in trouble is named where no other one can serve a campaign",
          "[integration][coordinator]") {
  Service service;
  service.user.create(service.user.make_spec("full", 3));
  auto request = service.worker.make_sync(0);
  request.mutable_agent()->set_slots(0);
  request.mutable_agent()->set_trouble(std::string("its disk is full\n") + std::string(300, 'x'));
  agent::v1::SyncResponse response;
  REQUIRE(service.worker.sync(request, &response).ok());
  REQUIRE(eventually([&] { return !service.user.get("full").waiting().empty(); },
                     milliseconds(60'000)));
  const std::string waiting = service.user.get("full").waiting();
  CHECK(waiting.starts_with("worker " + request.agent().name()));
  CHECK(waiting.find(" takes no work: its disk is full") != std::string::npos);
  CHECK(waiting.find(std::string(260, 'x')) == std::string::npos);
  request.mutable_agent()->clear_trouble();
  request.mutable_agent()->set_slots(1);
  REQUIRE(service.worker.sync(request, &response).ok());
  CHECK(
      eventually([&] { return service.user.get("full").waiting().empty(); }, milliseconds(30'000)));
}

TEST_CASE("service: a campaign that no agent can serve says so, until one comes",
          "[integration][coordinator]") {
  Service service;
  auto spec = service.user.make_spec("waiting", 3);
  spec.mutable_codegen()->add_models()->set_model("large");
  service.user.create(spec);
  const auto seed = service.worker.claim(1);
  REQUIRE(seed.size() == 1);
  REQUIRE(service.worker.finish(seed.front().lease(), success(1)).ok());
  CHECK(service.user.get("waiting").waiting().empty());
  // A client is there, and does not offer the model.
  CHECK(service.codegen.claim(1, milliseconds(0)).empty());
  REQUIRE(eventually([&] { return !service.user.get("waiting").waiting().empty(); },
                     milliseconds(60'000)));
  const std::string reason = "no connected codegen client offers the model large";
  CHECK(service.user.get("waiting").waiting() == reason);
  const auto count = [&](const std::string& type) {
    int events = 0;
    for (const auto& event : service.user.events("waiting")) events += event.type() == type ? 1 : 0;
    return events;
  };
  CHECK(count("work_waiting") == 1);
  // Another process knows it too, and does not say it again.
  service.crash_and_restart();
  CHECK(eventually([&] { return service.user.get("waiting").waiting() == reason; },
                   milliseconds(60'000)));
  auto request = service.codegen.make_sync(0);
  request.mutable_agent()->add_models("large");
  agent::v1::SyncResponse response;
  REQUIRE(service.codegen.sync(request, &response).ok());
  CHECK(eventually([&] { return service.user.get("waiting").waiting().empty(); },
                   milliseconds(30'000)));
  CHECK(count("work_waiting") == 1);
  CHECK(count("work_served") == 1);
}

TEST_CASE("service: a campaign whose endpoint is away says so, until it answers",
          "[integration][coordinator]") {
  Service service;
  service.user.create(service.user.make_spec("away", 3));
  const auto seed = service.worker.claim(1);
  REQUIRE(seed.size() == 1);
  REQUIRE(service.worker.finish(seed.front().lease(), success(1)).ok());
  const auto claim = [&] {
    std::vector<agent::v1::Assignment> claimed;
    REQUIRE(eventually(
        [&] {
          claimed = service.codegen.claim(1);
          return !claimed.empty();
        },
        milliseconds(60'000)));
    return claimed.front().lease();
  };
  agent::v1::ProposalResult failed;
  failed.set_outcome(agent::v1::PROPOSAL_OUTCOME_INFRASTRUCTURE);
  // Several proposals are open at once, and each is tried five times.
  REQUIRE(eventually(
      [&] {
        if (!service.user.get("away").waiting().empty()) return true;
        CHECK(service.codegen.finish(claim(), failed).ok());
        return false;
      },
      milliseconds(120'000)));
  CHECK(service.user.get("away").waiting().find("endpoint of the model") != std::string::npos);
  CHECK(service.user.get("away").state() == user::v1::CAMPAIGN_STATE_RUNNING);
  REQUIRE(service.codegen.finish(claim(), proposal_of(1)).ok());
  CHECK(
      eventually([&] { return service.user.get("away").waiting().empty(); }, milliseconds(60'000)));
}

TEST_CASE("service: health follows the database, reflection is served only when asked for",
          "[integration][coordinator]") {
  PrivatePostgres postgres;
  Service service({.database = postgres.make_database()});
  CHECK(eventually([&] { return health_of(service) == kServing; }));
  postgres.stop();
  CHECK(eventually([&] { return health_of(service) == kNotServing; }));
  postgres.start();
  CHECK(eventually([&] { return health_of(service) == kServing; }));
  std::string answer;
  const std::string method = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
  CHECK(call_raw(service.coordinator.channel(), method, &answer).error_code() ==
        grpc::StatusCode::UNIMPLEMENTED);
  Service open({.has_reflection = true});
  CHECK(call_raw(open.coordinator.channel(), method, &answer).error_code() !=
        grpc::StatusCode::UNIMPLEMENTED);
}

TEST_CASE("service: an operator drains an agent by name", "[integration][coordinator]") {
  Service service;
  agent::v1::SyncResponse response;
  REQUIRE(service.worker.sync(service.worker.make_sync(0), &response).ok());
  CHECK_FALSE(response.should_drain());
  const auto drain = [&](const std::string& name) {
    grpc::ClientContext context;
    user::v1::DrainWorkerRequest request;
    request.set_worker(name);
    user::v1::DrainWorkerResponse answer;
    return service.user.workers().DrainWorker(&context, request, &answer);
  };
  CHECK(drain("nobody").error_code() == grpc::StatusCode::NOT_FOUND);
  auto twin = service.make_worker("worker");
  REQUIRE(twin.sync(twin.make_sync(0), &response).ok());
  CHECK(drain("worker").error_code() == grpc::StatusCode::FAILED_PRECONDITION);
  CHECK(drain(service.worker.id()).ok());
  service.user.create(service.user.make_spec("drained", 5));
  REQUIRE(eventually([&] { return service.user.get("drained").evaluations_open() == 1; }));
  REQUIRE(service.worker.sync(service.worker.make_sync(1), &response).ok());
  CHECK(response.should_drain());
  CHECK(response.assignments().empty());
  CHECK(twin.claim(1).size() == 1);
}

TEST_CASE("service: usage, metrics and views tell what a campaign did",
          "[integration][coordinator]") {
  Service service;
  service.user.create(service.user.make_spec("counted", 6));
  REQUIRE(work_until_ended(service.user, "counted", service.worker, service.codegen));

  grpc::ClientContext context;
  user::v1::GetUsageRequest request;
  request.set_campaign("counted");
  user::v1::GetUsageResponse usage;
  REQUIRE(service.user.codegen().GetUsage(&context, request, &usage).ok());
  REQUIRE(usage.models_size() == 1);
  CHECK(usage.models(0).model() == "small-1");
  CHECK(usage.models(0).calls() >= 5);
  CHECK(usage.models(0).prompt_tokens() == usage.models(0).calls() * 50);
  CHECK(usage.models(0).cached_prompt_tokens() == usage.models(0).calls() * 25);
  CHECK(usage.models(0).reasoning_tokens() == usage.models(0).calls() * 20);
  CHECK(usage.models(0).calls_unknown() == 0);
  CHECK(usage.models(0).variants() == 5);

  const auto has = [&](const std::string& line) {
    return fetch_metrics(service.coordinator.metrics_address()).find(line + "\n") !=
           std::string::npos;
  };
  CHECK(has("cambrian_coordinator_evaluations_total{outcome=\"success\"} 14"));
  CHECK(has("cambrian_coordinator_evaluations_total{outcome=\"crash\"} 0"));
  CHECK(has("cambrian_coordinator_variants_total{state=\"evaluated\"} 6"));
  CHECK(has("cambrian_coordinator_attempts_total{kind=\"evaluation\",outcome=\"finished\"} 14"));
  CHECK(eventually([&] { return has("cambrian_coordinator_campaigns{state=\"succeeded\"} 1"); }));

  const auto count = [&](const std::string& from) {
    return query_number(service.database, "SELECT count(*) FROM grafana." + from);
  };
  CHECK(count("campaign WHERE state = 'succeeded' AND evaluations = 6") == 1);
  CHECK(count("leaderboard WHERE campaign = 'counted'") == 6);
  CHECK(count("lineage") == 5);
  CHECK(count("usage WHERE calls >= 5 AND cached_prompt_tokens = calls * 25") == 1);
  CHECK(query_number(service.database,
                     "SELECT count(*) FROM model_call WHERE request_id = 'req-1'") >= 5);
  CHECK(count("progress") >= 1);
  CHECK(count("queue_depth WHERE items = 0") == 2);
}
