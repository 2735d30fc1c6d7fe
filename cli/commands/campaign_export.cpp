#include "cli/commands/campaign_export.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>

#include "cambrian/user/v1/campaign_service.grpc.pb.h"
#include "cli/commands/event_stream.hpp"
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
  user::v1::GetCampaignRequest request;
  request.set_name(name);
  CAMBRIAN_TRY(const auto response, session.call(&CampaignService::Stub::GetCampaign, request));
  CAMBRIAN_TRY_STATUS(write_file(folder / "campaign.json", to_json(response.campaign())));
  CAMBRIAN_TRY_STATUS(
      write_file(folder / "campaign.yaml", to_yaml(response.campaign().spec(), false)));
  CAMBRIAN_TRY_STATUS(write_events(session, name, folder / "events.jsonl"));
  CAMBRIAN_TRY(const auto variants, list_variants(session, name, user::v1::VARIANT_ORDER_NUMBER,
                                                  std::numeric_limits<int>::max()));
  for (const auto& one : variants) {
    const fs::path place = folder / "variants" / std::to_string(one.number());
    CAMBRIAN_TRY(const auto full, get_variant(session, name, one.number()));
    CAMBRIAN_TRY_STATUS(write_file(place / "variant.json", to_json(full)));
    CAMBRIAN_TRY(const auto sources, download_sources(session, one));
    for (const auto& [path, content] : sources) {
      CAMBRIAN_TRY_STATUS(write_inside(place / "source", path, content));
    }
  }
  return static_cast<int>(variants.size());
}

}  // namespace cambrian::cli
