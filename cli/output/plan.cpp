#include "cli/output/plan.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "cli/output/text.hpp"

namespace cambrian::cli {
namespace {

/// Of fewer, most was spent on what is built once.
constexpr std::int64_t kEvaluationsOfLike = 3;

bool has_same_parameters(const spec::v1::CampaignSpec& a, const spec::v1::CampaignSpec& b) {
  const auto values = [](const spec::v1::CampaignSpec& spec) {
    const auto& all = spec.task().parameters();
    return std::map<std::string, double>(all.begin(), all.end());
  };
  return values(a) == values(b);
}

std::set<std::string> models_of(const spec::v1::CampaignSpec& spec) {
  std::set<std::string> models;
  for (const auto& share : spec.codegen().models()) models.insert(share.model());
  return models;
}

}  // namespace

const user::v1::Campaign* find_like(const spec::v1::CampaignSpec& spec,
                                    const std::string& task_name,
                                    const user::v1::ListCampaignsResponse& campaigns) {
  const user::v1::Campaign* found = nullptr;
  int found_rank = 0;
  for (const auto& one : campaigns.campaigns()) {
    const bool is_same_task = one.spec().task().digest() == spec.task().digest();
    if (!is_same_task && one.task_name() != task_name) continue;
    if (one.consumption().evaluations() < kEvaluationsOfLike) continue;
    const int rank = 1 + (is_same_task ? 4 : 0) + (has_same_parameters(one.spec(), spec) ? 2 : 0) +
                     (models_of(one.spec()) == models_of(spec) ? 1 : 0);
    if (rank <= found_rank) continue;
    found = &one;
    found_rank = rank;
  }
  return found;
}

Plan make_plan(const spec::v1::CampaignSpec& spec, const user::v1::Campaign& like) {
  const auto& used = like.consumption();
  const auto& budget = spec.budget();
  Plan plan{.based_on = like.name(),
            .is_same_task = like.spec().task().digest() == spec.task().digest(),
            .has_same_parameters = has_same_parameters(like.spec(), spec),
            .has_same_models = models_of(like.spec()) == models_of(spec),
            .uses = {},
            .end = {}};
  const auto count = static_cast<double>(used.evaluations());
  const auto add = [&](const char* name, double whole, double limit) {
    plan.uses.push_back({.name = name, .each = whole / count, .all = {}, .limit = limit});
  };
  add("evaluations", count, static_cast<double>(budget.evaluations()));
  add("wall_time", to_seconds(used.wall_time()), to_seconds(budget.wall_time()));
  add("tokens", static_cast<double>(used.tokens()), static_cast<double>(budget.tokens()));
  add("cost_usd", static_cast<double>(used.cost_micro_usd()) / 1e6, budget.cost_usd());
  add("gpu_time", to_seconds(used.gpu_time()), to_seconds(budget.gpu_time()));
  double evaluations = 0;
  for (const auto& use : plan.uses) {
    if (use.limit <= 0 || use.each <= 0) continue;
    const double possible = use.limit / use.each;
    if (plan.end && possible >= evaluations) continue;
    evaluations = possible;
    plan.end = use.name;
  }
  if (!plan.end) return plan;
  evaluations = std::floor(evaluations);
  for (auto& use : plan.uses) use.all = evaluations * use.each;
  return plan;
}

}  // namespace cambrian::cli
