#include "cli/commands/campaign_view.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "cli/output/table.hpp"
#include "cli/output/text.hpp"
#include "cli/paths.hpp"
#include "common/statistics/statistics.hpp"

namespace cambrian::cli {
namespace {

using user::v1::Campaign;
using user::v1::Variant;

std::optional<double> best_score(const Campaign& campaign) {
  return campaign.has_best_score() ? std::optional(campaign.best_score()) : std::nullopt;
}

/// What the best variant is better by, in the direction of the objective.
std::string delta_text(const Campaign& campaign) {
  if (!campaign.has_best_score() || !campaign.has_seed_score()) return "-";
  return format_delta(campaign.best_score() - campaign.seed_score());
}

/// Half of the 95 % interval of a mean with this standard error, by Student's t.
double half_of(double standard_error, std::size_t freedom) {
  const auto degrees = static_cast<double>(std::max<std::size_t>(freedom, 1));
  return standard_error * statistics::student_quantile(0.975, degrees);
}

const user::v1::Estimate* fresh_estimate(const Campaign& campaign,
                                         const user::v1::FinalScore& score) {
  const auto found = score.validation().find(campaign.objective_metric());
  return found == score.validation().end() ? nullptr : &found->second;
}

/// What the final evaluations say of the gain, pair by pair: seed and best had the same draws.
std::optional<bool> is_fresh_gain_shown(const Campaign& campaign) {
  const auto* seed = fresh_estimate(campaign, campaign.final_seed());
  const auto* best = fresh_estimate(campaign, campaign.final_best());
  if (seed == nullptr || best == nullptr || seed->values_size() < 2 ||
      seed->values_size() != best->values_size()) {
    return std::nullopt;
  }
  std::vector<double> gains;
  for (int i = 0; i < seed->values_size(); ++i) {
    gains.push_back((best->values(i) - seed->values(i)) * (campaign.is_maximized() ? 1 : -1));
  }
  const double error = statistics::standard_error(gains).value_or(0);
  return statistics::mean(gains) > half_of(error, gains.size() - 1);
}

/// Before there are fresh values: no larger than a difference of two scores may be by luck, in 95
/// of 100 pairs. That the best was chosen out of many is not in it, nor that seed and best had the
/// same draws.
bool is_within_noise(const Campaign& campaign) {
  if (!campaign.has_noise_deviation() || !campaign.has_best_score()) return false;
  const auto& evaluation = campaign.spec().evaluation();
  const double error =
      campaign.noise_deviation() * std::sqrt(2.0 / std::max(1, evaluation.repeats()));
  const auto freedom = static_cast<std::size_t>(std::max(2, evaluation.noise_repeats()) - 1);
  return std::abs(campaign.best_score() - campaign.seed_score()) <= half_of(error, freedom);
}

std::string doubt_text(const Campaign& campaign) {
  if (!campaign.has_best_variant() || campaign.best_variant() == 0) return "";
  if (const auto shown = is_fresh_gain_shown(campaign)) {
    return *shown ? "" : ", not shown with fresh seeds";
  }
  return is_within_noise(campaign) ? ", within the noise" : "";
}

std::string gain_text(const Campaign& campaign) {
  return delta_text(campaign) + " against the seed" + doubt_text(campaign);
}

/// What the winner was chosen by beside what it is with fresh seeds: the best of many is flattered.
std::string selection_text(const Campaign& campaign) {
  const auto* fresh = fresh_estimate(campaign, campaign.final_best());
  if (!campaign.has_best_score() || fresh == nullptr) return "";
  return format_number(campaign.best_score()) + " in the search, " + estimate_text(*fresh) +
         " with fresh seeds";
}

std::string noise_text(const Campaign& campaign) {
  if (!campaign.has_noise_deviation()) return "";
  return "one evaluation of the seed varies by " + format_number(campaign.noise_deviation()) +
         " (standard deviation)";
}

std::string jumps_text(const user::v1::Jumps& jumps) {
  if (jumps.confirmed() + jumps.disputed() + jumps.unconfirmed() == 0) return "";
  return std::to_string(jumps.confirmed()) + " confirmed by another evaluation, " +
         std::to_string(jumps.disputed()) + " disputed, " + std::to_string(jumps.unconfirmed()) +
         " unconfirmed";
}

/// What does not count says so, whatever its score.
std::string state_text(const Variant& variant) {
  const auto confirmation = variant.confirmation();
  return confirmation == user::v1::CONFIRMATION_DISPUTED ||
                 confirmation == user::v1::CONFIRMATION_UNCONFIRMED
             ? short_enum(user::v1::Confirmation_Name(confirmation), "CONFIRMATION_")
             : variant_state_name(variant.state());
}

std::string jump_text(const Variant& variant) {
  if (!variant.has_jump_score()) return "";
  std::string text =
      format_number(variant.jump_score()) + ", " +
      short_enum(user::v1::Confirmation_Name(variant.confirmation()), "CONFIRMATION_");
  if (variant.confirmation() == user::v1::CONFIRMATION_UNCONFIRMED) {
    return text + ": the search ended before another evaluation";
  }
  return text + " by another evaluation: " +
         (variant.has_second_score() ? format_number(variant.second_score())
                                     : outcome_name(variant.outcome()));
}

std::string of_budget(std::int64_t used, std::int64_t limit) {
  return limit > 0 ? std::to_string(used) + "/" + std::to_string(limit) : std::to_string(used);
}

std::string line(const std::string& name, const std::string& value) {
  constexpr std::size_t kNameColumns = 14;
  const std::size_t blanks = name.size() < kNameColumns ? kNameColumns - name.size() : 1;
  return value.empty() ? "" : name + std::string(blanks, ' ') + value + "\n";
}

}  // namespace

std::string state_name(user::v1::CampaignState state) {
  return short_enum(user::v1::CampaignState_Name(state), "CAMPAIGN_STATE_");
}

bool has_ended(user::v1::CampaignState state) {
  return state == user::v1::CAMPAIGN_STATE_SUCCEEDED || state == user::v1::CAMPAIGN_STATE_STOPPED ||
         state == user::v1::CAMPAIGN_STATE_FAILED;
}

std::string outcome_name(agent::v1::EvaluationOutcome outcome) {
  return short_enum(agent::v1::EvaluationOutcome_Name(outcome), "EVALUATION_OUTCOME_");
}

std::string variant_state_name(user::v1::VariantState state) {
  return short_enum(user::v1::VariantState_Name(state), "VARIANT_STATE_");
}

std::string operator_name(const Variant& variant) {
  return variant.number() == 0
             ? "seed"
             : short_enum(spec::v1::Operator_Name(variant.operator_()), "OPERATOR_");
}

std::string campaign_table(const user::v1::ListCampaignsResponse& response,
                           const Session& session) {
  Table table({{.title = "NAME"},
               {.title = "TASK"},
               {.title = "STATE"},
               {.title = "EVALUATIONS", .is_right = true},
               {.title = "FAILED", .is_right = true},
               {.title = "BEST", .is_right = true},
               {.title = "DELTA", .is_right = true},
               {.title = "AGE", .is_right = true},
               {.title = "TOKENS", .is_right = true, .is_wide = true},
               {.title = "COST", .is_right = true, .is_wide = true},
               {.title = "VARIANT", .is_right = true, .is_wide = true},
               {.title = "REASON", .is_wide = true}});
  const auto now = std::chrono::system_clock::now();
  for (const Campaign& one : response.campaigns()) {
    const auto& used = one.consumption();
    table.add({one.name(), one.task_name(), state_name(one.state()),
               of_budget(used.evaluations(), one.spec().budget().evaluations()),
               std::to_string(used.evaluations_failed()), format_optional(best_score(one)),
               delta_text(one), format_age(one.create_time(), now), format_count(used.tokens()),
               format_cost(used.cost_micro_usd()),
               one.has_best_variant() ? std::to_string(one.best_variant()) : "-",
               one.waiting().empty() ? one.reason() : "waits: " + one.waiting()});
  }
  return table.render(session.table_style());
}

std::string campaign_details(const Campaign& campaign) {
  const auto& used = campaign.consumption();
  const auto& budget = campaign.spec().budget();
  const std::string end =
      short_enum(user::v1::EndReason_Name(campaign.end_reason()), "END_REASON_");
  std::string text = line("name", campaign.name());
  text += line("description", printable(campaign.spec().description()));
  text += line("task", campaign.task_name() + " " + campaign.spec().task().digest().substr(0, 12));
  text += line("state", state_name(campaign.state()) + (end == "-" ? "" : ", ended by " + end));
  text += line("reason", printable(campaign.reason()));
  if (campaign.state() == user::v1::CAMPAIGN_STATE_FAILED && !campaign.has_best_variant()) {
    text += line("see", program_call() + " variant get " + campaign.name() + " seed");
  }
  text += line("waits", printable(campaign.waiting()));
  text += line("hint", printable(campaign.hint()));
  text += line("objective",
               campaign.objective_metric() +
                   (campaign.is_maximized() ? ", larger is better" : ", smaller is better"));
  if (campaign.has_best_variant()) {
    text += line("best", format_number(campaign.best_score()) + " by variant " +
                             std::to_string(campaign.best_variant()) + " (" + gain_text(campaign) +
                             ")");
  }
  text += line("selection", selection_text(campaign));
  text += line("noise", noise_text(campaign));
  text += line("jumps", jumps_text(campaign.jumps()));
  text += line("evaluations", of_budget(used.evaluations(), budget.evaluations()) + ", " +
                                  std::to_string(used.evaluations_failed()) + " failed, " +
                                  std::to_string(used.evaluations_reused()) + " known before, " +
                                  std::to_string(campaign.evaluations_open()) + " open");
  if (used.evaluations_stopped_early() > 0) {
    text +=
        line("stopped early", std::to_string(used.evaluations_stopped_early()) + " evaluations, " +
                                  format_duration(to_milliseconds(used.training_time_saved())) +
                                  " of training saved");
  }
  text += line("proposals", std::to_string(used.proposals()) + ", " +
                                std::to_string(used.proposals_failed()) + " failed, " +
                                std::to_string(used.duplicates()) + " duplicates, " +
                                std::to_string(campaign.proposals_open()) + " open");
  text += line("tokens", of_budget(used.tokens(), budget.tokens()));
  text +=
      line("cost", format_cost(used.cost_micro_usd()) +
                       (budget.cost_usd() > 0 ? " of $" + format_number(budget.cost_usd()) : ""));
  text += line("time", format_duration(to_milliseconds(used.wall_time())) + " running, " +
                           format_duration(to_milliseconds(used.cpu_time())) + " cpu" +
                           (used.has_gpu_time() && to_seconds(used.gpu_time()) > 0
                                ? ", " + format_duration(to_milliseconds(used.gpu_time())) + " gpu"
                                : ""));
  const std::string finals = final_table(campaign);
  return finals.empty() ? text : text + "\n" + finals;
}

std::string campaign_headline(const Campaign& campaign, const EtaEstimator& eta) {
  const auto& used = campaign.consumption();
  std::string text = campaign.name() + " · " + state_name(campaign.state()) + " · " +
                     of_budget(used.evaluations(), campaign.spec().budget().evaluations()) +
                     " evaluations (" + std::to_string(used.evaluations_failed()) + " failed)";
  if (const auto end = eta.estimate()) {
    text += " · ETA " + format_duration(end->remaining);
    if (end->budget != "evaluations") text += " (" + end->budget + ")";
  }
  // What is cut off first on a narrow terminal comes last.
  text += " · queue " + std::to_string(campaign.evaluations_open()) + "+" +
          std::to_string(campaign.proposals_open()) + " · " + format_count(used.tokens()) +
          " tokens";
  if (used.cost_micro_usd() > 0) text += " · " + format_cost(used.cost_micro_usd());
  text += "\n";
  if (!campaign.has_best_score()) return text + "best -\n";
  return text + "best " + campaign.objective_metric() + " " + format_number(campaign.best_score()) +
         " by variant " + std::to_string(campaign.best_variant()) + " (" + gain_text(campaign) +
         ")\n";
}

std::string progress_line(const Campaign& campaign, const EtaEstimator& eta) {
  const auto& used = campaign.consumption();
  std::string text = of_budget(used.evaluations(), campaign.spec().budget().evaluations()) +
                     " evaluations, " + std::to_string(used.evaluations_failed()) + " failed";
  if (campaign.has_best_score()) {
    text += " · " + campaign.objective_metric() + " " + format_number(campaign.best_score()) +
            " (" + delta_text(campaign) + doubt_text(campaign) + ")";
  }
  if (campaign.state() == user::v1::CAMPAIGN_STATE_FINALIZING) {
    text += " · scoring seed and best anew";
  } else if (campaign.state() != user::v1::CAMPAIGN_STATE_RUNNING) {
    text += " · " + state_name(campaign.state());
  } else if (const auto end = eta.estimate()) {
    text += " · ETA " + format_duration(end->remaining);
  }
  return text;
}

std::optional<double> half_interval(const user::v1::Estimate& estimate) {
  if (!estimate.has_standard_error() || estimate.values_size() < 2) return std::nullopt;
  return half_of(estimate.standard_error(), static_cast<std::size_t>(estimate.values_size() - 1));
}

std::string estimate_text(const user::v1::Estimate& estimate) {
  const auto half = half_interval(estimate);
  return half ? format_estimate(estimate.mean(), *half) : format_number(estimate.mean());
}

std::string final_table(const Campaign& campaign) {
  if (!campaign.has_final_seed() && !campaign.has_final_best()) return "";
  std::set<std::string> metrics;
  for (const auto* score : {&campaign.final_seed(), &campaign.final_best()}) {
    for (const auto& [name, value] : score->validation()) metrics.insert(name);
    for (const auto& [name, value] : score->sealed()) metrics.insert(name);
  }
  Table table({{.title = "FINAL EVALUATION"},
               {.title = "SEED", .is_right = true},
               {.title = "BEST", .is_right = true},
               {.title = "DELTA", .is_right = true}});
  using Values = google::protobuf::Map<std::string, user::v1::Estimate>;
  const auto add = [&](const std::string& name, const std::string& split, const Values& seed,
                       const Values& best) {
    const auto s = seed.find(name);
    const auto b = best.find(name);
    if (s == seed.end() && b == best.end()) return;
    table.add({name + " (" + split + ")", s == seed.end() ? "-" : estimate_text(s->second),
               b == best.end() ? "-" : estimate_text(b->second),
               s == seed.end() || b == best.end()
                   ? "-"
                   : format_delta(b->second.mean() - s->second.mean(),
                                  std::max(half_interval(s->second).value_or(0),
                                           half_interval(b->second).value_or(0)))});
  };
  // The objective first: the others only explain it.
  std::vector<std::string> ordered{campaign.objective_metric()};
  constexpr std::string_view kError = "_standard_error";
  for (const std::string& name : metrics) {
    // A judge's own estimate of the error: the repeats say it better.
    const bool is_error =
        name.ends_with(kError) && metrics.contains(name.substr(0, name.size() - kError.size()));
    if (name != campaign.objective_metric() && !is_error) ordered.push_back(name);
  }
  for (const std::string& name : ordered) {
    add(name, "validation", campaign.final_seed().validation(), campaign.final_best().validation());
    add(name, "sealed", campaign.final_seed().sealed(), campaign.final_best().sealed());
  }
  const auto repeats = campaign.spec().evaluation().final_repeats();
  std::string text = table.render({}) + "means over " + std::to_string(repeats) +
                     " fresh seeds, ± 95 % interval\n";
  if (const auto chosen = selection_text(campaign); !chosen.empty()) {
    text += "the best was chosen by its score: " + chosen + "\n";
  }
  if (const auto noise = noise_text(campaign); !noise.empty()) text += noise + "\n";
  return text;
}

std::string variant_table(const std::vector<Variant>& variants, const std::string& metric,
                          const Session& session) {
  Table table({{.title = "VARIANT", .is_right = true},
               {.title = "STATE"},
               {.title = metric.empty() ? "SCORE" : metric, .is_right = true},
               {.title = "PARENTS"},
               {.title = "OPERATOR"},
               {.title = "GEN", .is_right = true},
               {.title = "ISLAND", .is_right = true, .is_wide = true},
               {.title = "MODEL", .is_wide = true},
               {.title = "AGE", .is_right = true, .is_wide = true},
               {.title = "CHANGE"}});
  constexpr std::size_t kChangeColumns = 60;
  const bool is_wide = session.format() == Format::wide;
  const auto now = std::chrono::system_clock::now();
  for (const Variant& one : variants) {
    std::string parents;
    for (const auto parent : one.parents()) {
      parents += (parents.empty() ? "" : ",") + std::to_string(parent);
    }
    const bool is_failed = one.state() == user::v1::VARIANT_STATE_FAILED;
    table.add({std::to_string(one.number()),
               is_failed ? outcome_name(one.outcome()) : state_text(one),
               one.has_score() ? format_number(one.score()) : "-", parents.empty() ? "-" : parents,
               operator_name(one), std::to_string(one.generation()),
               one.has_island() ? std::to_string(one.island()) : "-", one.model(),
               format_age(one.create_time(), now),
               cut_to_width(one.rationale(), is_wide ? 0 : kChangeColumns)});
  }
  return table.render(session.table_style());
}

std::string variant_details(const Variant& variant) {
  std::string parents;
  for (const auto parent : variant.parents()) parents += " " + std::to_string(parent);
  std::vector<Field> fields;
  fields.push_back({"variant", std::to_string(variant.number()) + " of " + variant.campaign()});
  fields.push_back({"state", variant_state_name(variant.state()) +
                                 (variant.state() == user::v1::VARIANT_STATE_FAILED
                                      ? ", " + outcome_name(variant.outcome())
                                      : "")});
  if (variant.has_duplicate_of()) {
    fields.push_back({"equals", std::to_string(variant.duplicate_of())});
  }
  fields.push_back(
      {"made by", operator_name(variant) + (parents.empty() ? "" : " of" + parents) +
                      (variant.model().empty() ? "" : ", " + printable(variant.model()))});
  fields.push_back({"generation", std::to_string(variant.generation())});
  fields.push_back({"change", printable(variant.rationale())});
  fields.push_back({"jump", jump_text(variant)});
  for (const auto& [name, value] :
       std::map<std::string, double>(variant.metrics().begin(), variant.metrics().end())) {
    fields.push_back({name, format_number(value)});
  }
  for (const auto& file : variant.files()) fields.push_back({"file", printable(file.path())});
  std::string text = format_fields(fields);
  if (!variant.diagnostics().empty()) {
    text += "diagnostics\n" + printable_lines(variant.diagnostics()) + "\n";
  }
  if (variant.evaluations_size() == 0) return text;
  Table table({{.title = "SPLIT"},
               {.title = "SEED"},
               {.title = "FINAL"},
               {.title = "CONFIRMS"},
               {.title = "OUTCOME"},
               {.title = "TIME", .is_right = true},
               {.title = "AGENT"}});
  for (const auto& one : variant.evaluations()) {
    table.add({short_enum(agent::v1::Split_Name(one.split()), "SPLIT_"), std::to_string(one.seed()),
               one.is_final() ? "yes" : "no", one.is_confirmation() ? "yes" : "no",
               (one.has_result() ? outcome_name(one.result().outcome()) : "open") +
                   (one.result().is_resumed() ? ", resumed" : ""),
               format_duration(to_milliseconds(one.result().timings().total())), one.agent()});
  }
  return text + "\n" + table.render({});
}

}  // namespace cambrian::cli
