#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>

#include "cambrian/user/v1/campaign_service.grpc.pb.h"
#include "cambrian/user/v1/operation_service.grpc.pb.h"
#include "cli/cli.hpp"
#include "cli/paths.hpp"
#include "common/blob/blob_client.hpp"
#include "common/digest/sha256.hpp"
#include "common/rpc/channel.hpp"
#include "common/task/names.hpp"
#include "common/task/task_folder.hpp"

namespace cambrian::cli {
namespace {

namespace fs = std::filesystem;

using user::v1::CampaignService;
using user::v1::TaskService;

struct ImportOptions {
  std::string folder;
  std::string name;
  std::string request_id;
};

/// A folder of `campaign export`.
struct Exported {
  user::v1::CampaignArchive archive;
  spec::v1::TaskBundle task;
  std::map<std::string, std::string> contents;  ///< Of task and variants, by digest.
};

Result<std::string> read_file(const fs::path& path) {
  std::ifstream input(path, std::ios::binary);
  std::ostringstream content;
  if (!input || !(content << input.rdbuf())) {
    return fail(Errc::not_found, "cannot read " + path.string());
  }
  return std::move(content).str();
}

Status parse(const std::string& text, const fs::path& path, google::protobuf::Message* message) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // Of a newer version.
  const auto status = google::protobuf::util::JsonStringToMessage(text, message, options);
  if (status.ok()) return {};
  return fail(Errc::invalid_argument,
              "not what an export has: " + path.string() + ": " + status.message().ToString());
}

Status read_message(const fs::path& path, google::protobuf::Message* message) {
  CAMBRIAN_TRY(const auto text, read_file(path));
  return parse(text, path, message);
}

/// The files of `folder` that a message names with their digests.
template <class Files>
Status read_contents(const Files& files, const fs::path& folder, Exported& exported) {
  for (const auto& file : files) {
    if (!task::is_inner_path(file.path())) {
      return fail(Errc::invalid_argument, "not a path inside the export: " + file.path());
    }
    CAMBRIAN_TRY(auto content, read_file(folder / file.path()));
    if (sha256_hex(content) != file.sha256()) {
      return fail(Errc::invalid_argument,
                  "a file does not fit its digest: " + (folder / file.path()).string());
    }
    exported.contents[file.sha256()] = std::move(content);
  }
  return {};
}

Status read_events(const fs::path& path, user::v1::CampaignArchive& archive) {
  CAMBRIAN_TRY(const auto text, read_file(path));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    CAMBRIAN_TRY_STATUS(parse(line, path, archive.add_events()));
  }
  return {};
}

Result<Exported> read_export(const fs::path& folder) {
  Exported exported;
  CAMBRIAN_TRY_STATUS(read_message(folder / "campaign.json", exported.archive.mutable_campaign()));
  CAMBRIAN_TRY_STATUS(read_events(folder / "events.jsonl", exported.archive));
  CAMBRIAN_TRY_STATUS(read_message(folder / "task.json", &exported.task));
  CAMBRIAN_TRY_STATUS(read_contents(exported.task.files(), folder / "task", exported));
  for (int number = 0;; ++number) {
    const fs::path place = folder / "variants" / std::to_string(number);
    std::error_code error;
    if (!fs::exists(place, error)) break;  // The server counts them.
    auto* variant = exported.archive.add_variants();
    CAMBRIAN_TRY_STATUS(read_message(place / "variant.json", variant));
    CAMBRIAN_TRY_STATUS(read_contents(variant->files(), place / "source", exported));
  }
  return exported;
}

Status register_task(Session& session, const Exported& exported) {
  const auto& digest = exported.archive.campaign().spec().task().digest();
  if (task::bundle_digest(exported.task) != digest) {
    return fail(Errc::invalid_argument, "task.json is not the campaign's task: digest=" + digest);
  }
  user::v1::RegisterTaskRequest request;
  *request.mutable_bundle() = exported.task;
  const auto response = session.call(&TaskService::Stub::RegisterTask, request);
  if (!response) return fail(response.error());
  return {};
}

Result<user::v1::Campaign> import_campaign(Session& session, const ImportOptions& options) {
  CAMBRIAN_TRY(const auto exported, read_export(options.folder));
  const std::string archive = task::serialize(exported.archive);
  if (static_cast<std::int64_t>(archive.size()) > rpc::kBlobBytesMax) {
    return fail(Errc::exhausted, "the campaign is too large to be imported: bytes=" +
                                     std::to_string(archive.size()) +
                                     " limit=" + std::to_string(rpc::kBlobBytesMax));
  }
  std::vector<std::string_view> contents{archive};
  for (const auto& [digest, content] : exported.contents) contents.push_back(content);
  CAMBRIAN_TRY(const auto channel, session.channel());
  CAMBRIAN_TRY_STATUS(BlobClient(channel, nullptr).upload(contents));
  CAMBRIAN_TRY_STATUS(register_task(session, exported));
  user::v1::ImportCampaignRequest request;
  request.set_archive_sha256(sha256_hex(archive));
  request.set_name(options.name);
  request.set_request_id(options.request_id);
  if (options.request_id.empty()) {
    constexpr std::size_t kDigits = 40;
    request.set_request_id(KeyDigest()
                               .add("archive", request.archive_sha256())
                               .add("name", options.name)
                               .add("user", std::to_string(getuid()))
                               .finish_hex()
                               .substr(0, kDigits));
  }
  CAMBRIAN_TRY(auto response, session.call(&CampaignService::Stub::ImportCampaign, request));
  return std::move(*response.mutable_campaign());
}

int run_import(Session& session, const ImportOptions& options) {
  const auto campaign = import_campaign(session, options);
  if (!campaign) {
    const bool is_taken = campaign.error().code == Errc::already_exists;
    return session.fail(campaign.error(), is_taken ? "choose another name with --name NAME" : "");
  }
  if (session.format() == Format::name) {
    session.print(campaign->name() + "\n");
  } else if (!session.is_for_people()) {
    session.print_document(*campaign);
  } else {
    session.print("imported campaign " + campaign->name() + ": " +
                  std::to_string(campaign->last_sequence()) + " events\n");
    session.note("prove it: " + program_call() + " campaign replay " + campaign->name());
  }
  return to_int(ExitCode::ok);
}

}  // namespace

void add_campaign_import_command(Cli& cli, CLI::App* campaign) {
  auto options = std::make_shared<ImportOptions>();
  CLI::App* command = cli.add(campaign, "import", "take in what another installation exported",
                              "cambrian campaign import FOLDER");
  command->add_option("FOLDER", options->folder, "folder of campaign export")->required();
  command->add_option("--name", options->name, "name here; default: the one that it had");
  command->add_option("--request-id", options->request_id,
                      "makes the request repeatable; default: from the content of the folder");
  cli.on(command, [options](Session& session) { return run_import(session, *options); });
}

}  // namespace cambrian::cli
