#include <cmath>
#include <cstdint>
#include <string>

#include "cambrian/spec/v1/campaign.pb.h"
#include "common/task/campaign.hpp"
#include "common/task/names.hpp"
#include "tests/fuzz/file_check.hpp"

using namespace cambrian;
using spec::v1::CampaignSpec;

namespace {

constexpr std::size_t kInputBytesMax = 64 << 10;

spec::v1::TaskManifest make_task() {
  spec::v1::TaskManifest manifest;
  manifest.set_name("task");
  (*manifest.mutable_parameters())["train_seconds"] = 5;
  return manifest;
}

void check_accepted(const CampaignSpec& spec) {
  CAMBRIAN_ASSERT(task::is_resource_name(spec.name()));
  CAMBRIAN_ASSERT(!spec.task().source().empty() || !spec.task().digest().empty());
  const auto& search = spec.search();
  CAMBRIAN_ASSERT(search.migration_fraction() >= 0 && search.migration_fraction() <= 1);
  CAMBRIAN_ASSERT(search.exploitation() >= 0 && search.exploitation() <= 1);
  for (const auto& share : search.operators()) {
    CAMBRIAN_ASSERT(share.weight() > 0 && std::isfinite(share.weight()));
  }
  for (const auto& feature : search.features()) {
    CAMBRIAN_ASSERT(std::isfinite(feature.maximum() - feature.minimum()));
    CAMBRIAN_ASSERT(!feature.logarithmic() || feature.minimum() > 0);
  }
  for (const auto& [name, value] : spec.task().parameters()) CAMBRIAN_ASSERT(std::isfinite(value));
  CAMBRIAN_ASSERT(spec.budget().evaluations() >= 0 && spec.budget().tokens() >= 0);
  CAMBRIAN_ASSERT(std::isfinite(spec.budget().cost_usd()) && spec.budget().cost_usd() >= 0);
}

void check(const CampaignSpec& spec, const config::Document& document, std::string_view text) {
  static const spec::v1::TaskManifest manifest = make_task();
  fuzz::check_problems(task::check_campaign_against(spec, manifest), document, text);
  const auto problems = task::check_campaign(spec);
  fuzz::check_problems(problems, document, text);
  if (problems.empty()) check_accepted(spec);
}

}  // namespace

/// campaign.yaml as a person writes it, and as it comes over the wire: whatever is accepted keeps
/// every bound, and whatever is not is explained.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > kInputBytesMax) return 0;
  fuzz::silence_protobuf();
  const std::string input(reinterpret_cast<const char*>(data), size);
  CampaignSpec spec;
  const config::Document document = config::read_yaml("campaign.yaml", input, spec);
  fuzz::check_document(document, input);
  if (document.is_ok()) check(spec, document, input);
  if (CampaignSpec wire; wire.ParseFromString(input)) check(wire, {}, "");
  return 0;
}
