#include "coordinator/adapters/grpc/operation_service.hpp"

#include <algorithm>
#include <set>

#include "common/digest/sha256.hpp"
#include "common/task/manifest.hpp"
#include "common/task/names.hpp"
#include "common/task/task_folder.hpp"
#include "coordinator/adapters/grpc/paging.hpp"

namespace cambrian::coordinator::wire {
namespace {

void check_files(const spec::v1::TaskBundle& bundle, Problems& problems) {
  const auto require = [&](bool is_good, std::string field, std::string description) {
    if (!is_good) problems.push_back({std::move(field), std::move(description)});
  };
  require(bundle.files_size() >= 1 && bundle.files_size() <= task::kFilesMax, "bundle.files",
          "must be 1 to " + std::to_string(task::kFilesMax));
  std::set<std::string> paths;
  std::int64_t size_bytes = 0;
  for (int i = 0; i < bundle.files_size(); ++i) {
    const auto& file = bundle.files(i);
    const auto field = "bundle.files[" + std::to_string(i) + "]";
    require(task::is_inner_path(file.path()), field + ".path", "is not a path inside the folder");
    require(is_sha256_hex(file.sha256()), field + ".sha256", "must be 64 hex digits");
    require(file.size_bytes() >= 0, field + ".size_bytes", "must not be negative");
    size_bytes += std::max<std::int64_t>(0, file.size_bytes());
    require(i == 0 || bundle.files(i - 1).path() < file.path(), field + ".path",
            "files must be sorted by path, each once");
    paths.insert(file.path());
  }
  require(size_bytes <= static_cast<std::int64_t>(task::kTaskBytesMax), "bundle.files",
          "are larger than 64 MiB together");
  const auto require_file = [&](const std::string& path, const std::string& field) {
    require(paths.contains(path), field, "there is no such file in the bundle: " + path);
  };
  for (const auto& path : bundle.manifest().candidate().evolve()) {
    require_file("seed/" + path, "bundle.manifest.candidate.evolve");
  }
  for (const auto& path : bundle.manifest().judge().sources()) {
    require_file(path, "bundle.manifest.judge.sources");
  }
}

Problems check_bundle(const spec::v1::TaskBundle& bundle) {
  Problems problems;
  for (const auto& problem : task::check_manifest(bundle.manifest())) {
    auto description = problem.message;
    if (!problem.fix.empty()) description += " (" + problem.fix + ")";
    problems.push_back({"bundle.manifest." + problem.field, std::move(description)});
  }
  check_files(bundle, problems);
  return problems;
}

Status task_to_proto(const TaskRecord& record, user::v1::Task* message) {
  message->set_digest(record.digest);
  if (!message->mutable_bundle()->ParseFromString(record.bundle)) {
    return fail(Errc::internal, "stored task is damaged: digest=" + record.digest);
  }
  to_proto(record.created_at, message->mutable_create_time());
  return {};
}

grpc::Status missing_blobs(std::vector<std::string> missing) {
  rpc::Details details;
  const auto message =
      "files of the task were not uploaded: count=" + std::to_string(missing.size()) +
      " first=" + missing.front();
  details.missing_blobs = std::move(missing);
  return rpc::to_status({Errc::conflict, message}, details);
}

/// Takes texts and metrics away from the latest evaluations until the variant fits into a message.
void shrink_to_message(user::v1::Variant* variant) {
  for (int i = variant->evaluations_size() - 1; i >= 0; --i) {
    if (variant->ByteSizeLong() <= kPageBytesMax) return;
    if (!variant->evaluations(i).has_result()) continue;
    auto* result = variant->mutable_evaluations(i)->mutable_result();
    result->clear_log();
    result->clear_diagnostics();
    result->clear_metrics();
  }
}

}  // namespace

awaitable<grpc::Status> VariantService::list(const user::v1::ListVariantsRequest* request,
                                             user::v1::ListVariantsResponse* response) {
  const auto page = page_of(*request);
  if (!page) co_return status_of(page.error());
  const auto order = request->order() == user::v1::VARIANT_ORDER_SCORE ? VariantOrder::score
                                                                       : VariantOrder::number;
  const auto campaign = clean_text(request->campaign(), kNameMax);
  const auto records =
      co_await store_.list(campaign, {.order = order, .offset = page->token, .count = page->size});
  if (!records) co_return status_of(records.error());
  const auto count = fill_page(*records, [&](const VariantRecord& record) {
    auto* added = response->add_variants();
    to_proto(record, campaign, added);
    return added;
  });
  if (has_next_page(count, records->size(), *page)) {
    response->set_next_page_token(std::to_string(page->token + static_cast<std::int64_t>(count)));
  }
  co_return grpc::Status::OK;
}

awaitable<grpc::Status> VariantService::get(const user::v1::GetVariantRequest* request,
                                            user::v1::GetVariantResponse* response) {
  const auto campaign = clean_text(request->campaign(), kNameMax);
  const auto record = co_await store_.get(campaign, request->number());
  if (!record) co_return status_of(record.error());
  to_proto(*record, campaign, response->mutable_variant());
  shrink_to_message(response->mutable_variant());
  co_return grpc::Status::OK;
}

awaitable<grpc::Status> VariantService::lineage(const user::v1::GetLineageRequest* request,
                                                user::v1::GetLineageResponse* response) {
  auto page = page_of(*request);
  if (!page) co_return status_of(page.error());
  if (request->page_size() == 0) page->size = kPageSizeMax;
  const auto campaign = clean_text(request->campaign(), kNameMax);
  // The token is the number of the next ancestor: a line goes on from any of its variants.
  const auto first = request->page_token().empty() ? request->number() : page->token;
  const auto records = co_await store_.lineage(campaign, first, page->size);
  if (!records) co_return status_of(records.error());
  const auto count = fill_page(*records, [&](const VariantRecord& record) {
    auto* added = response->add_variants();
    to_proto(record, campaign, added);
    return added;
  });
  const auto& oldest = (*records)[count - 1];
  if (!oldest.parents.empty()) {
    response->set_next_page_token(std::to_string(oldest.parents.front()));
  }
  co_return grpc::Status::OK;
}

awaitable<grpc::Status> TaskService::add(const user::v1::RegisterTaskRequest* request,
                                         user::v1::RegisterTaskResponse* response) {
  const auto& bundle = request->bundle();
  const auto problems = check_bundle(bundle);
  if (!problems.empty()) co_return status_of(problems);
  std::vector<std::string> digests;
  for (const auto& file : bundle.files()) digests.push_back(file.sha256());
  auto missing = co_await blobs_.find_missing(std::move(digests));
  if (!missing) co_return status_of(missing.error());
  if (!missing->empty()) co_return missing_blobs(std::move(*missing));
  const auto record = co_await tasks_.add(task::bundle_digest(bundle), bundle.manifest().name(),
                                          task::serialize_bundle(bundle));
  if (!record) co_return status_of(record.error());
  const auto status = task_to_proto(*record, response->mutable_task());
  co_return status ? grpc::Status::OK : status_of(status.error());
}

awaitable<grpc::Status> TaskService::get(const user::v1::GetTaskRequest* request,
                                         user::v1::GetTaskResponse* response) {
  const auto record = co_await tasks_.get(clean_text(request->digest(), kNameMax));
  if (!record) co_return status_of(record.error());
  const auto status = task_to_proto(*record, response->mutable_task());
  co_return status ? grpc::Status::OK : status_of(status.error());
}

awaitable<grpc::Status> TaskService::list(const user::v1::ListTasksRequest* request,
                                          user::v1::ListTasksResponse* response) {
  const auto page = page_of(*request);
  if (!page) co_return status_of(page.error());
  const auto records = co_await tasks_.list(page->token, page->size);
  if (!records) co_return status_of(records.error());
  Status status;
  const auto count = fill_page(*records, [&](const TaskRecord& record) {
    auto* added = response->add_tasks();
    if (status) status = task_to_proto(record, added);
    added->mutable_bundle()->clear_files();
    return added;
  });
  if (!status) co_return status_of(status.error());
  if (has_next_page(count, records->size(), *page)) {
    response->set_next_page_token(std::to_string((*records)[count - 1].id));
  }
  co_return grpc::Status::OK;
}

awaitable<grpc::Status> WorkerService::list(const user::v1::ListWorkersRequest* request,
                                            user::v1::ListWorkersResponse* response) {
  const auto records = co_await store_.list(request->with_lost(), lease_);
  if (!records) co_return status_of(records.error());
  // Agents that run a thousand items each: the list is cut before it outgrows a message.
  fill_page(*records, [&](const AgentRecord& record) {
    auto* added = response->add_workers();
    to_proto(record, added);
    return added;
  });
  co_return grpc::Status::OK;
}

awaitable<grpc::Status> WorkerService::drain(const user::v1::DrainWorkerRequest* request,
                                             user::v1::DrainWorkerResponse* response) {
  const auto record = co_await store_.drain(clean_text(request->worker(), kNameMax), lease_);
  if (!record) co_return status_of(record.error());
  to_proto(*record, response->mutable_worker());
  co_return grpc::Status::OK;
}

awaitable<grpc::Status> WorkerService::release(const user::v1::ReleaseWorkerRequest* request,
                                               user::v1::ReleaseWorkerResponse* response) {
  auto evidence = co_await store_.release(clean_text(request->worker(), kNameMax));
  if (!evidence) co_return status_of(evidence.error());
  response->set_quarantine_evidence(std::move(*evidence));
  co_return grpc::Status::OK;
}

awaitable<grpc::Status> CodegenService::usage(const user::v1::GetUsageRequest* request,
                                              user::v1::GetUsageResponse* response) {
  const auto usage = co_await store_.usage(clean_text(request->campaign(), kNameMax));
  if (!usage) co_return status_of(usage.error());
  for (const auto& model : *usage) to_proto(model, response->add_models());
  co_return grpc::Status::OK;
}

}  // namespace cambrian::coordinator::wire
