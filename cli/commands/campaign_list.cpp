#include "cli/commands/campaign_list.hpp"

#include <algorithm>

#include "cambrian/user/v1/campaign_service.grpc.pb.h"

namespace cambrian::cli {

using user::v1::CampaignService;

Result<user::v1::ListCampaignsResponse> list_campaigns(Session& session, int limit) {
  constexpr int kPageSizeMax = 1000;
  user::v1::ListCampaignsResponse all;
  user::v1::ListCampaignsRequest request;
  do {
    request.set_page_size(std::min(limit - all.campaigns_size(), kPageSizeMax));
    CAMBRIAN_TRY(auto page, session.call(&CampaignService::Stub::ListCampaigns, request));
    all.mutable_campaigns()->MergeFrom(page.campaigns());
    all.set_next_page_token(page.next_page_token());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && all.campaigns_size() < limit);
  return all;
}

}  // namespace cambrian::cli
