#include "coordinator/adapters/grpc/campaign_service.hpp"

#include "common/digest/sha256.hpp"
#include "common/source/token_digest.hpp"
#include "coordinator/adapters/grpc/access_table.hpp"
#include "coordinator/adapters/grpc/paging.hpp"

namespace cambrian::coordinator::wire {
namespace {

constexpr std::size_t kCreationIdBytesMax = 64;
constexpr std::size_t kHintBytesMax = 4096;
/// A watcher whose caller went away without a word notices after this.
constexpr milliseconds kWatchWait{5'000};

Requester requester_of(const Caller& caller, const std::string& request_id) {
  return {.request_id = request_id,
          .name = caller.name,
          .has_all_rights = !is_bound_to_own(caller.role)};
}

Problems check_request_id(const std::string& request_id) {
  if (request_id.size() <= kCreationIdBytesMax && request_id.find('\0') == std::string::npos) {
    return {};
  }
  return {{"request_id", "must be at most 64 characters"}};
}

}  // namespace

awaitable<Result<SeedFacts>> CampaignService::load_seed(spec::v1::TaskBundle bundle) {
  SeedFacts seed;
  seed.files = seed_files(bundle);
  std::map<std::string, std::string> contents;
  for (const auto& file : seed.files) {
    CAMBRIAN_CO_TRY(auto content, co_await ports_.blobs.get(file.sha256));
    seed.source_bytes += static_cast<std::int64_t>(content.size());
    contents[file.path] = std::move(content);
  }
  const auto language = source::language_from_name(bundle.manifest().language());
  const auto tokens = source::token_digest(contents, language);
  seed.token_digest = tokens.digest;
  seed.source_tokens = tokens.count;
  co_return seed;
}

awaitable<Result<CampaignService::Resolved>> CampaignService::resolve(spec::v1::CampaignSpec spec) {
  Resolved resolved{.spec = std::move(spec), .task = {}, .seed = {}, .problems = {}};
  auto task = co_await ports_.tasks.get(resolved.spec.task().digest());
  if (!task && task.error().code != Errc::not_found) co_return fail(task.error());
  if (task) {
    spec::v1::TaskBundle bundle;
    if (!bundle.ParseFromString(task->bundle)) {
      co_return fail(Errc::internal, "stored task is damaged: digest=" + task->digest);
    }
    resolved.task = bundle.manifest();
    CAMBRIAN_CO_TRY(resolved.seed, co_await load_seed(std::move(bundle)));
  }
  fill_defaults(resolved.task, resolved.seed, resolved.spec);
  if (task) {
    resolved.problems = check_spec(resolved.task, resolved.seed, resolved.spec);
    co_return resolved;
  }
  // Without the task, what depends on it cannot be judged; the rest can.
  for (auto& problem : check_spec(resolved.task, resolved.seed, resolved.spec)) {
    const bool needs_task = problem.field.starts_with("spec.objectives") ||
                            problem.field.starts_with("spec.task") ||
                            problem.field.starts_with("spec.search.features");
    if (!needs_task) resolved.problems.push_back(std::move(problem));
  }
  resolved.problems.push_back(
      {"spec.task.digest", "no such task is registered: digest=" + resolved.spec.task().digest()});
  co_return resolved;
}

awaitable<grpc::Status> CampaignService::validate(const user::v1::ValidateCampaignRequest* request,
                                                  user::v1::ValidateCampaignResponse* response) {
  auto resolved = co_await resolve(request->spec());
  if (!resolved) co_return status_of(resolved.error());
  if (!resolved->problems.empty()) co_return status_of(resolved->problems);
  *response->mutable_spec() = std::move(resolved->spec);
  co_return grpc::Status::OK;
}

awaitable<grpc::Status> CampaignService::create(Caller caller,
                                                const user::v1::CreateCampaignRequest* request,
                                                user::v1::CreateCampaignResponse* response) {
  auto resolved = co_await resolve(request->spec());
  if (!resolved) co_return status_of(resolved.error());
  auto problems = check_request_id(request->request_id());
  problems.insert(problems.end(), resolved->problems.begin(), resolved->problems.end());
  if (!problems.empty()) co_return status_of(problems);
  auto definition = make_definition(resolved->task, resolved->seed, resolved->spec);
  const auto record = co_await ports_.api.create(std::move(definition),
                                                 requester_of(caller, request->request_id()));
  if (!record) co_return status_of(record.error());
  to_proto(*record, response->mutable_campaign());
  co_return grpc::Status::OK;
}

awaitable<grpc::Status> CampaignService::get(const user::v1::GetCampaignRequest* request,
                                             user::v1::GetCampaignResponse* response) {
  const auto record = co_await ports_.campaigns.get(clean_text(request->name(), kNameMax));
  if (!record) co_return status_of(record.error());
  to_proto(*record, response->mutable_campaign());
  response->mutable_campaign()->set_waiting(waiting_of(*record));
  co_return grpc::Status::OK;
}

std::string CampaignService::waiting_of(const CampaignRecord& record) const {
  const bool is_idle = has_ended(record.state) || record.state == CampaignState::paused;
  return is_idle ? std::string() : ports_.api.waiting_of(record.id);
}

awaitable<grpc::Status> CampaignService::list(const user::v1::ListCampaignsRequest* request,
                                              user::v1::ListCampaignsResponse* response) {
  const auto page = page_of(*request);
  if (!page) co_return status_of(page.error());
  const auto records = co_await ports_.campaigns.list({.before = page->token, .count = page->size});
  if (!records) co_return status_of(records.error());
  const auto count = fill_page(*records, [&](const CampaignRecord& record) {
    auto* added = response->add_campaigns();
    to_proto(record, added);
    added->set_waiting(waiting_of(record));
    return added;
  });
  if (has_next_page(count, records->size(), *page)) {
    response->set_next_page_token(std::to_string((*records)[count - 1].id.value));
  }
  co_return grpc::Status::OK;
}

template <class Request, class Response>
awaitable<grpc::Status> CampaignService::act(Caller caller, UserAction action,
                                             const Request* request, Response* response) {
  const auto problems = check_request_id(request->request_id());
  if (!problems.empty()) co_return status_of(problems);
  const auto name = clean_text(request->name(), kNameMax);
  const auto refusal = co_await check_owner(caller, name);
  if (!refusal.ok()) co_return refusal;
  const auto record =
      co_await ports_.api.act(name, action, requester_of(caller, request->request_id()));
  if (!record) co_return status_of(record.error());
  to_proto(*record, response->mutable_campaign());
  co_return grpc::Status::OK;
}

awaitable<grpc::Status> CampaignService::hint(Caller caller,
                                              const user::v1::HintCampaignRequest* request,
                                              user::v1::HintCampaignResponse* response) {
  auto problems = check_request_id(request->request_id());
  if (request->hint().size() > kHintBytesMax || request->hint().find('\0') != std::string::npos) {
    problems.push_back({"hint", "must be at most 4 KiB, without NUL"});
  }
  if (!problems.empty()) co_return status_of(problems);
  const auto name = clean_text(request->name(), kNameMax);
  const auto refusal = co_await check_owner(caller, name);
  if (!refusal.ok()) co_return refusal;
  const auto record = co_await ports_.api.hint(name, clean_text(request->hint(), kHintBytesMax),
                                               requester_of(caller, request->request_id()));
  if (!record) co_return status_of(record.error());
  to_proto(*record, response->mutable_campaign());
  co_return grpc::Status::OK;
}

awaitable<grpc::Status> CampaignService::check_owner(Caller caller, std::string campaign) {
  if (!is_bound_to_own(caller.role)) co_return grpc::Status::OK;
  const auto record = co_await ports_.campaigns.get(campaign);
  // The store looks again, in the transaction of the change; here is where it is said well.
  if (!record || record->owner == caller.name) co_return grpc::Status::OK;
  co_return not_yours(caller, campaign, record->owner);
}

awaitable<grpc::Status> CampaignService::remove(Caller caller,
                                                const user::v1::DeleteCampaignRequest* request,
                                                user::v1::DeleteCampaignResponse* /*response*/) {
  const auto problems = check_request_id(request->request_id());
  if (!problems.empty()) co_return status_of(problems);
  const auto name = clean_text(request->name(), kNameMax);
  const auto refusal = co_await check_owner(caller, name);
  if (!refusal.ok()) co_return refusal;
  const auto status =
      co_await ports_.campaigns.remove(name, requester_of(caller, request->request_id()));
  co_return status ? grpc::Status::OK : status_of(status.error());
}

awaitable<grpc::Status> CampaignService::import_campaign(
    const user::v1::ImportCampaignRequest* request, user::v1::ImportCampaignResponse* response) {
  auto problems = check_request_id(request->request_id());
  if (!is_sha256_hex(request->archive_sha256())) {
    problems.push_back({"archive_sha256", "must be 64 lower case hex digits"});
  }
  if (!problems.empty()) co_return status_of(problems);
  const auto content = co_await ports_.blobs.get(request->archive_sha256());
  if (!content) co_return status_of(content.error());
  user::v1::CampaignArchive message;
  if (!message.ParseFromString(*content)) {
    co_return status_of(Problems{{"archive_sha256", "is the digest of another kind of content"}});
  }
  auto archive = from_proto(message, problems);
  auto& spec = *message.mutable_campaign()->mutable_spec();
  if (!request->name().empty()) spec.set_name(request->name());
  auto resolved = co_await resolve(std::move(spec));
  if (!resolved) co_return status_of(resolved.error());
  problems.insert(problems.end(), resolved->problems.begin(), resolved->problems.end());
  if (!problems.empty()) co_return status_of(problems);
  auto definition = make_definition(resolved->task, resolved->seed, resolved->spec);
  const auto record = co_await ports_.imports.import_campaign(
      std::move(definition), std::move(archive), request->request_id());
  if (!record) co_return status_of(record.error());
  to_proto(*record, response->mutable_campaign());
  co_return grpc::Status::OK;
}

grpc::ServerWriteReactor<user::v1::WatchEventsResponse>* CampaignService::WatchEvents(
    grpc::CallbackServerContext* context, const user::v1::WatchEventsRequest* request) {
  // It deletes itself in OnDone.
  auto* stream = std::make_unique<EventStream>(calls_.executor()).release();
  calls_.serve(stream, arrival_of(*context, "WatchEvents"),
               [this, stream, request = *request](const Caller& caller) {
                 return watch(caller, request, stream);
               });
  return stream;
}

awaitable<grpc::Status> CampaignService::watch(Caller caller, user::v1::WatchEventsRequest request,
                                               EventStream* stream) {
  const auto wait = request.is_history_only() ? milliseconds(0) : kWatchWait;
  EventCursor cursor{.name = clean_text(request.campaign(), kNameMax), .after = request.after()};
  while (ports_.api.is_serving() && !stream->is_cancelled()) {
    const auto batch = co_await ports_.api.next_events(cursor, wait);
    if (!batch) co_return status_of(batch.error());
    if (auto refusal = calls_.check_again(caller, "WatchEvents"); !refusal.ok()) {
      co_return refusal;
    }
    cursor.campaign = batch->campaign;
    for (const auto& event : batch->events) {
      user::v1::WatchEventsResponse response;
      to_proto(event, response.mutable_event());
      if (!co_await stream->write(std::move(response))) co_return grpc::Status::CANCELLED;
      cursor.after = event.sequence;
    }
    if (batch->is_over || (request.is_history_only() && batch->events.empty())) {
      co_return grpc::Status::OK;
    }
  }
  co_return status_of(Error{Errc::unavailable, "the coordinator is shutting down"});
}

}  // namespace cambrian::coordinator::wire
