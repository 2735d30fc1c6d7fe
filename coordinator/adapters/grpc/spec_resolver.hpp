#pragma once

#include "cambrian/spec/v1/campaign.pb.h"
#include "cambrian/spec/v1/task.pb.h"
#include "coordinator/adapters/grpc/convert.hpp"

namespace cambrian::coordinator::wire {

/// What the seed is, as far as a campaign needs it.
struct SeedFacts {
  std::vector<SourceFile> files;  ///< The evolvable files, paths below the seed folder.
  std::string token_digest;
  std::int64_t source_tokens = 0;
  std::int64_t source_bytes = 0;
};

/// The evolvable files of a bundle's seed, without their contents.
std::vector<SourceFile> seed_files(const spec::v1::TaskBundle& bundle);

/// Fills in every default that the comments of campaign.proto name. The seed's length sets the
/// default axis of the MAP-Elites grid.
void fill_defaults(const spec::v1::TaskManifest& task, const SeedFacts& seed,
                   spec::v1::CampaignSpec& spec);

/// Checks a spec whose defaults are filled in: all problems, by the paths of CreateCampaign's
/// request (`spec.budget.evaluations`).
Problems check_spec(const spec::v1::TaskManifest& task, const SeedFacts& seed,
                    const spec::v1::CampaignSpec& spec);

/// The campaign of a checked spec.
CampaignDefinition make_definition(const spec::v1::TaskManifest& task, const SeedFacts& seed,
                                   const spec::v1::CampaignSpec& spec);

}  // namespace cambrian::coordinator::wire
