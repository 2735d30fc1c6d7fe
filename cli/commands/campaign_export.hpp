#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "cambrian/user/v1/campaign_service.pb.h"
#include "cli/session.hpp"

namespace cambrian::cli {

/// The evolvable files of a variant, by path.
Result<std::map<std::string, std::string>> download_sources(Session& session,
                                                            const user::v1::Variant& variant);

/// One variant with its evaluations.
Result<user::v1::Variant> get_variant(Session& session, const std::string& campaign,
                                      std::int64_t number);

/// Every variant of a campaign, without evaluations.
Result<std::vector<user::v1::Variant>> list_variants(Session& session, const std::string& campaign,
                                                     user::v1::VariantOrder order, int limit);

/// Writes campaign.json, campaign.yaml (can be submitted again), events.jsonl, the task and
/// variants/NUMBER/{variant.json, source}. The number of variants. The folder appears when all of
/// it is there. Errors: also already_exists for a folder that is not empty, and unavailable when it
/// cannot be written.
Result<int> export_campaign(Session& session, const std::string& name,
                            const std::filesystem::path& folder);

/// Writes a file whose name came from a server: relative, inside of `folder`, nothing is followed.
Status write_inside(const std::filesystem::path& folder, const std::string& path,
                    const std::string& content);

}  // namespace cambrian::cli
