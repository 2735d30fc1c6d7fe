#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "cambrian/user/v1/campaign_service.grpc.pb.h"
#include "cli/session.hpp"
#include "common/config/reader.hpp"
#include "common/task/task_folder.hpp"

namespace cambrian::cli {

/// A campaign file and the task folder that it names.
struct CampaignFile {
  config::Document document;
  spec::v1::CampaignSpec spec;  ///< With the digest of the task, without its folder.
  std::optional<task::LoadedTask> task;
  /// The task folder has problems of its own; they are in this document.
  std::optional<config::Document> task_document;

  bool is_ok() const { return document.is_ok() && (!task_document || task_document->is_ok()); }
};

/// Reads and checks a campaign file and its task folder, without any server. `name` replaces the
/// name in the file where it is not empty. An error only when the file cannot be read.
Result<CampaignFile> read_campaign_file(const std::filesystem::path& path,
                                        const std::string& name = "");

/// Prints all problems and returns the exit code for them.
int report_problems(const Session& session, const CampaignFile& file);

/// Uploads what the server lacks, registers the task, creates the campaign. Problems that the
/// server finds are added to `file.document`, and the error is an invalid_argument then.
Result<user::v1::Campaign> submit(Session& session, CampaignFile& file,
                                  const std::string& request_id);

/// The same for the same spec and user: repeating a submit whose answer was lost makes no second
/// campaign.
std::string default_request_id(const spec::v1::CampaignSpec& spec);

/// Asks the server to check the spec, in the same way.
Result<spec::v1::CampaignSpec> validate_on_server(Session& session, CampaignFile& file);

}  // namespace cambrian::cli
