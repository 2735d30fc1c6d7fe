#include "cli/commands/campaign_export.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>

#include "cambrian/user/v1/campaign_service.grpc.pb.h"
#include "cambrian/user/v1/operation_service.grpc.pb.h"
#include "cli/commands/event_stream.hpp"
#include "cli/commands/progress_line.hpp"
#include "cli/output/document.hpp"
#include "common/blob/blob_client.hpp"
#include "common/task/names.hpp"

namespace cambrian::cli {
namespace {

namespace fs = std::filesystem;

using user::v1::CampaignService;
using user::v1::VariantService;

Status write_file(const fs::path& path, const std::string& content) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  std::ofstream output(path, std::ios::binary | std::ios::trunc);
  output << content;
  output.close();
  if (output) return {};
  return fail(Errc::internal, "cannot write " + path.string() + ": " + std::strerror(errno));
}

Status write_events(Session& session, const std::string& name, const fs::path& path) {
  std::string lines;
  CAMBRIAN_TRY_STATUS(read_history(
      session, name, [&](const user::v1::Event& event) { lines += to_json(event, false); }));
  return write_file(path, lines);
}

/// A folder that stands under another name until it is complete, and goes away if it never is.
class PartialFolder {
 public:
  explicit PartialFolder(const fs::path& target)
      : target_(target.has_filename() ? target : target.parent_path()),
        path_(target_.string() + ".partial-" + std::to_string(getpid())) {}
  ~PartialFolder() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  PartialFolder(const PartialFolder&) = delete;
  PartialFolder& operator=(const PartialFolder&) = delete;

  const fs::path& path() const { return path_; }

  Status commit() const {
    std::error_code error;
    fs::rename(path_, target_, error);  // Also in place of an empty folder.
    if (!error) return {};
    return fail(Errc::unavailable,
                "cannot write the folder: " + target_.string() + ": " + error.message());
  }

 private:
  fs::path target_;
  fs::path path_;
};

/// The task as task.json and task/: another installation may not have it.
Status write_task(Session& session, const std::string& digest, const fs::path& folder) {
  user::v1::GetTaskRequest request;
  request.set_digest(digest);
  CAMBRIAN_TRY(const auto response, session.call(&user::v1::TaskService::Stub::GetTask, request));
  const auto& bundle = response.task().bundle();
  CAMBRIAN_TRY_STATUS(write_file(folder / "task.json", to_json(bundle)));
  CAMBRIAN_TRY(const auto channel, session.channel());
  BlobClient blobs(channel, nullptr);
  for (const auto& file : bundle.files()) {
    CAMBRIAN_TRY(const auto content, blobs.download(file.sha256()));
    CAMBRIAN_TRY_STATUS(write_inside(folder / "task", file.path(), content));
  }
  return {};
}

}  // namespace

Status write_inside(const fs::path& folder, const std::string& path, const std::string& content) {
  if (!task::is_inner_path(path)) {
    return fail(Errc::internal, "the server sent a file name that is not accepted");
  }
  return write_file(folder / path, content);
}

Result<std::map<std::string, std::string>> download_sources(Session& session,
                                                            const user::v1::Variant& variant) {
  CAMBRIAN_TRY(const auto channel, session.channel());
  BlobClient blobs(channel, nullptr);
  std::map<std::string, std::string> files;
  for (const auto& file : variant.files()) {
    CAMBRIAN_TRY(files[file.path()], blobs.download(file.sha256()));
  }
  return files;
}

Result<user::v1::Variant> get_variant(Session& session, const std::string& campaign,
                                      std::int64_t number) {
  user::v1::GetVariantRequest request;
  request.set_campaign(campaign);
  request.set_number(number);
  CAMBRIAN_TRY(auto response, session.call(&VariantService::Stub::GetVariant, request));
  return response.variant();
}

Result<std::vector<user::v1::Variant>> list_variants(Session& session, const std::string& campaign,
                                                     user::v1::VariantOrder order, int limit) {
  constexpr int kPageSizeMax = 1000;
  std::vector<user::v1::Variant> all;
  user::v1::ListVariantsRequest request;
  request.set_campaign(campaign);
  request.set_order(order);
  do {
    request.set_page_size(std::min(limit - static_cast<int>(all.size()), kPageSizeMax));
    CAMBRIAN_TRY(auto page, session.call(&VariantService::Stub::ListVariants, request));
    all.insert(all.end(), page.variants().begin(), page.variants().end());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && static_cast<int>(all.size()) < limit);
  return all;
}

Result<int> export_campaign(Session& session, const std::string& name, const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder, error) && !fs::is_empty(folder, error)) {
    return fail(Errc::already_exists, "the folder is not empty: " + folder.string());
  }
  PartialFolder partial(folder);
  user::v1::GetCampaignRequest request;
  request.set_name(name);
  CAMBRIAN_TRY(const auto response, session.call(&CampaignService::Stub::GetCampaign, request));
  const auto& campaign = response.campaign();
  CAMBRIAN_TRY_STATUS(write_file(partial.path() / "campaign.json", to_json(campaign)));
  CAMBRIAN_TRY_STATUS(
      write_file(partial.path() / "campaign.yaml", to_yaml(campaign.spec(), false)));
  CAMBRIAN_TRY_STATUS(write_events(session, name, partial.path() / "events.jsonl"));
  CAMBRIAN_TRY_STATUS(write_task(session, campaign.spec().task().digest(), partial.path()));
  CAMBRIAN_TRY(const auto variants, list_variants(session, name, user::v1::VARIANT_ORDER_NUMBER,
                                                  std::numeric_limits<int>::max()));
  CountProgress progress(session, "exporting variants", static_cast<std::int64_t>(variants.size()));
  std::int64_t done = 0;
  for (const auto& one : variants) {
    progress.show(done++);
    const fs::path place = partial.path() / "variants" / std::to_string(one.number());
    CAMBRIAN_TRY(const auto full, get_variant(session, name, one.number()));
    CAMBRIAN_TRY_STATUS(write_file(place / "variant.json", to_json(full)));
    CAMBRIAN_TRY(const auto sources, download_sources(session, one));
    for (const auto& [path, content] : sources) {
      CAMBRIAN_TRY_STATUS(write_inside(place / "source", path, content));
    }
  }
  CAMBRIAN_TRY_STATUS(partial.commit());
  return static_cast<int>(variants.size());
}

}  // namespace cambrian::cli
