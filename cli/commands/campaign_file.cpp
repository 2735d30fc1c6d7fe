#include "cli/commands/campaign_file.hpp"

#include <unistd.h>

#include "cambrian/user/v1/operation_service.grpc.pb.h"
#include "common/blob/blob_client.hpp"
#include "common/digest/sha256.hpp"
#include "common/task/campaign.hpp"

namespace cambrian::cli {
namespace {

namespace fs = std::filesystem;

using user::v1::CampaignService;
using user::v1::TaskService;

void add_all(config::Document& document, const std::vector<task::FieldProblem>& problems) {
  for (const auto& problem : problems) {
    document.add_field_problem(problem.field, problem.message, problem.fix);
  }
}

/// The folder in task.source is relative to the campaign file.
void load_task(const fs::path& campaign_path, CampaignFile& file) {
  const std::string source = file.spec.task().source();
  auto reading = task::read_task_folder(campaign_path.parent_path() / source);
  if (!reading) {
    file.document.add_field_problem("task.source", reading.error().message,
                                    "name the folder with the task.yaml, relative to this file");
    return;
  }
  if (!reading->task) {
    file.task_document = std::move(reading->document);
    return;
  }
  if (!file.spec.task().digest().empty() && file.spec.task().digest() != reading->task->digest) {
    file.document.add_field_problem("task.digest",
                                    "task.digest is not the digest of the folder task.source",
                                    "remove one of the two");
    return;
  }
  file.task = std::move(reading->task);
  file.spec.mutable_task()->set_digest(file.task->digest);
  file.spec.mutable_task()->clear_source();
  add_all(file.document, task::check_campaign_against(file.spec, file.task->bundle.manifest()));
}

/// The files that codegen.prompts names are relative to the campaign file.
void load_prompts(const fs::path& campaign_path, CampaignFile& file) {
  for (int i = 0; i < file.spec.codegen().prompts_size(); ++i) {
    auto& prompt = *file.spec.mutable_codegen()->mutable_prompts(i);
    if (prompt.file().empty()) continue;
    const fs::path path = campaign_path.parent_path() / prompt.file();
    const auto text = config::read_text_file(path, task::kPromptBytesMax);
    if (!text || text->empty() || text->find('\0') != std::string::npos) {
      file.document.add_field_problem(
          "codegen.prompts[" + std::to_string(i) + "].file",
          text ? "the file is empty or no text: " + path.string() : text.error().message,
          "name a text file of at most 8 KiB, relative to this file");
      continue;
    }
    prompt.set_text(*text);
    prompt.clear_file();
  }
}

/// Field problems of the server go to the lines of the file.
Error take_problems(const Error& error, const rpc::Details& details, CampaignFile& file) {
  for (const auto& violation : details.field_violations) {
    file.document.add_field_problem(violation.field, violation.description);
  }
  return error;
}

Status upload_task(Session& session, const task::LoadedTask& loaded) {
  CAMBRIAN_TRY(const auto channel, session.channel());
  std::vector<std::string_view> contents;
  for (const auto& [path, content] : loaded.contents) contents.push_back(content);
  BlobClient blobs(channel, nullptr);
  CAMBRIAN_TRY_STATUS(blobs.upload(contents));
  user::v1::RegisterTaskRequest request;
  *request.mutable_bundle() = loaded.bundle;
  CAMBRIAN_TRY(const auto response, session.call(&TaskService::Stub::RegisterTask, request));
  if (response.task().digest() == loaded.digest) return {};
  return fail(Errc::internal, "the server names the task differently: ours=" + loaded.digest +
                                  " theirs=" + response.task().digest());
}

}  // namespace

Result<CampaignFile> read_campaign_file(const fs::path& path, const std::string& name) {
  CAMBRIAN_TRY(auto read, config::read_yaml_file<spec::v1::CampaignSpec>(path));
  CampaignFile file{std::move(read.document), std::move(read.message), std::nullopt, std::nullopt};
  if (!file.document.is_ok()) return file;
  if (!name.empty()) file.spec.set_name(name);
  add_all(file.document, task::check_campaign(file.spec));
  load_prompts(path, file);
  if (!file.spec.task().source().empty()) load_task(path, file);
  return file;
}

int report_problems(const Session& session, const CampaignFile& file) {
  const config::RenderOptions style{.color = session.terminal().err.has_color};
  std::size_t count = file.document.problems().size();
  std::string text = file.document.render(style);
  if (file.task_document) {
    text += file.task_document->render(style);
    count += file.task_document->problems().size();
  }
  session.note(text + std::to_string(count) + (count == 1 ? " error" : " errors") +
               ", nothing was submitted");
  return to_int(ExitCode::invalid_spec);
}

Result<user::v1::Campaign> submit(Session& session, CampaignFile& file,
                                  const std::string& request_id) {
  if (file.task) CAMBRIAN_TRY_STATUS(upload_task(session, *file.task));
  user::v1::CreateCampaignRequest request;
  *request.mutable_spec() = file.spec;
  request.set_request_id(request_id);
  rpc::Details details;
  auto response = session.call(&CampaignService::Stub::CreateCampaign, request, &details);
  if (!response) return fail(take_problems(response.error(), details, file));
  return response->campaign();
}

std::string default_request_id(const spec::v1::CampaignSpec& spec) {
  constexpr std::size_t kDigits = 40;
  return KeyDigest()
      .add("spec", task::serialize(spec))
      .add("user", std::to_string(getuid()))
      .finish_hex()
      .substr(0, kDigits);
}

Result<spec::v1::CampaignSpec> validate_on_server(Session& session, CampaignFile& file) {
  if (file.task) CAMBRIAN_TRY_STATUS(upload_task(session, *file.task));
  user::v1::ValidateCampaignRequest request;
  *request.mutable_spec() = file.spec;
  rpc::Details details;
  auto response = session.call(&CampaignService::Stub::ValidateCampaign, request, &details);
  if (!response) return fail(take_problems(response.error(), details, file));
  return response->spec();
}

}  // namespace cambrian::cli
