#include <CLI/CLI.hpp>
#include <memory>

#include "cambrian/user/v1/campaign_service.grpc.pb.h"
#include "cli/cli.hpp"
#include "cli/commands/campaign_file.hpp"
#include "cli/paths.hpp"

namespace cambrian::cli {
namespace {

using user::v1::CampaignService;

struct CloneOptions {
  std::string source;
  std::uint64_t seed = 0;
  std::string name;
};

/// The resolved settings of a campaign under another name and seed: whatever the defaults of this
/// release are, the clone has those of its source.
Result<user::v1::Campaign> clone(Session& session, const CloneOptions& options) {
  user::v1::GetCampaignRequest wanted;
  wanted.set_name(options.source);
  CAMBRIAN_TRY(const auto source, session.call(&CampaignService::Stub::GetCampaign, wanted));
  user::v1::CreateCampaignRequest request;
  *request.mutable_spec() = source.campaign().spec();
  request.mutable_spec()->set_seed(options.seed);
  request.mutable_spec()->set_name(options.name);
  request.set_request_id(default_request_id(request.spec()));
  CAMBRIAN_TRY(auto response, session.call(&CampaignService::Stub::CreateCampaign, request));
  return std::move(*response.mutable_campaign());
}

int run_clone(Session& session, CloneOptions options) {
  if (options.name.empty()) options.name = options.source + "-" + std::to_string(options.seed);
  const auto campaign = clone(session, options);
  if (!campaign) {
    const bool is_taken = campaign.error().code == Errc::already_exists;
    const bool is_unknown = campaign.error().code == Errc::not_found;
    return session.fail(campaign.error(),
                        is_taken     ? "choose another name with --name NAME"
                        : is_unknown ? "list them with: " + program_call() + " campaign list"
                                     : "");
  }
  if (session.format() == Format::name) {
    session.print(campaign->name() + "\n");
  } else if (!session.is_for_people()) {
    session.print_document(*campaign);
  } else {
    session.print("campaign " + campaign->name() + " is " + options.source + " with seed " +
                  std::to_string(campaign->spec().seed()) + "\n");
    session.note("compare them: " + program_call() + " compare a=" + options.source +
                 " b=" + campaign->name());
  }
  return to_int(ExitCode::ok);
}

}  // namespace

void add_campaign_clone_command(Cli& cli, CLI::App* campaign) {
  auto options = std::make_shared<CloneOptions>();
  CLI::App* command = cli.add(campaign, "clone", "the same search once more with another seed",
                              "cambrian campaign clone NAME --seed 2");
  command->add_option("CAMPAIGN", options->source, "name of the campaign")->required();
  command->add_option("--seed", options->seed, "seed of the clone")
      ->required()
      ->check(CLI::PositiveNumber);
  command->add_option("--name", options->name, "name of the clone; default: NAME-SEED");
  cli.on(command, [options](Session& session) { return run_clone(session, *options); });
}

}  // namespace cambrian::cli
