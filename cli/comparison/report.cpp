#include "cli/comparison/report.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/output/table.hpp"
#include "cli/output/text.hpp"

namespace cambrian::cli {
namespace {

using Json = nlohmann::ordered_json;
using statistics::Interval;

/// Two significant digits: enough for a p value or a probability.
std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g", value);
  return text;
}

std::string range_text(const std::optional<Interval>& interval) {
  if (!interval) return "-";
  return format_number(interval->low) + " to " + format_number(interval->high);
}

std::string arm_table(const Arms& arms, const Comparison& comparison, bool has_color) {
  const bool has_target = comparison.arms.front().target.has_value();
  std::vector<Table::Column> columns = {{.title = "ARM"},
                                        {.title = "RUNS", .is_right = true},
                                        {.title = "MEDIAN", .is_right = true},
                                        {.title = "95 % INTERVAL"},
                                        {.title = "AREA", .is_right = true},
                                        {.title = "SEALED", .is_right = true},
                                        {.title = "95 % INTERVAL"}};
  if (has_target) {
    columns.push_back({.title = "REACHED"});
    columns.push_back({.title = "EXPECTED", .is_right = true});
  }
  Table table(columns);
  for (std::size_t i = 0; i < arms.arms.size(); ++i) {
    const ArmSummary& arm = comparison.arms[i];
    std::vector<std::string> cells = {arms.arms[i].label,
                                      std::to_string(arms.arms[i].runs.size()),
                                      format_number(arm.median),
                                      range_text(arm.interval),
                                      format_number(arm.area),
                                      format_optional(arm.sealed),
                                      range_text(arm.sealed_interval)};
    if (has_target) {
      cells.push_back(format_number(arm.target->rate.ratio) + " (" +
                      range_text(arm.target->rate.interval) + ")");
      cells.push_back(format_optional(arm.target->expected_evaluations));
    }
    table.add(std::move(cells));
  }
  return table.render({.wide = true, .color = has_color});
}

std::string pair_table(const Arms& arms, const Comparison& comparison, bool has_color) {
  Table table({{.title = "FIRST"},
               {.title = "SECOND"},
               {.title = "MEASURE"},
               {.title = "P", .is_right = true},
               {.title = "ADJUSTED", .is_right = true},
               {.title = "FIRST BETTER", .is_right = true},
               {.title = "95 % INTERVAL"},
               {.title = "EFFECT"},
               {.title = "RESULT"}});
  for (const Contrast& contrast : comparison.contrasts) {
    table.add({arms.arms[contrast.first].label, arms.arms[contrast.second].label,
               contrast.is_sealed ? "sealed" : "search", short_number(contrast.test.p),
               short_number(contrast.p_adjusted), short_number(contrast.probability_better),
               range_text(contrast.interval), statistics::effect_word(contrast.test.share),
               contrast.is_shown ? contrast.verdict : "no difference shown"});
  }
  return table.render({.wide = true, .color = has_color});
}

Json json_of(const std::optional<Interval>& interval) {
  if (!interval) return nullptr;
  return Json::array({interval->low, interval->high});
}

Json json_of(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json runs_json(const Arm& arm, std::size_t evaluations) {
  Json runs = Json::array();
  for (const Run& run : arm.runs) {
    runs.push_back({{"name", run.name},
                    {"seed", run.seed},
                    {"best", run.curve[evaluations - 1]},
                    {"sealed", json_of(run.sealed)},
                    {"curve", run.curve}});
  }
  return runs;
}

Json arm_json(const Arm& arm, const ArmSummary& summary, std::size_t evaluations) {
  Json json{{"label", arm.label},
            {"median", summary.median},
            {"interval", json_of(summary.interval)},
            {"area", summary.area},
            {"sealed", json_of(summary.sealed)},
            {"sealed_interval", json_of(summary.sealed_interval)}};
  if (summary.target) {
    json["target"] = {{"success_rate", summary.target->rate.ratio},
                      {"interval", json_of(summary.target->rate.interval)},
                      {"expected_evaluations", json_of(summary.target->expected_evaluations)}};
  }
  Json curve = Json::array();
  for (const auto& point : summary.curve) {
    curve.push_back({{"evaluations", point.evaluations},
                     {"median", point.median},
                     {"interval", json_of(point.interval)}});
  }
  json["curve"] = std::move(curve);
  json["runs"] = runs_json(arm, evaluations);
  return json;
}

Run run_from(const nlohmann::json& json) {
  Run run;
  run.name = json.value("name", "");
  run.seed = json.value("seed", std::uint64_t{0});
  if (json.contains("curve")) {
    run.curve = json.at("curve").get<std::vector<double>>();
  } else {
    run.curve = {json.at("best").get<double>()};
  }
  if (json.contains("sealed") && !json.at("sealed").is_null()) run.sealed = json.at("sealed");
  return run;
}

}  // namespace

std::string comparison_text(const Arms& arms, const Comparison& comparison, bool has_color) {
  std::string text =
      arms.task + ": " + arms.metric + ", " + (arms.is_maximized ? "higher" : "lower") +
      " is better, after " + std::to_string(comparison.evaluations) + " evaluations\n\n" +
      arm_table(arms, comparison, has_color) + "\n" + pair_table(arms, comparison, has_color);
  for (const std::string& note : comparison.notes) text += "\nnote: " + note;
  return text + (comparison.notes.empty() ? "" : "\n");
}

Json comparison_json(const Arms& arms, const Comparison& comparison,
                     const CompareOptions& options) {
  Json json{{"task", arms.task},
            {"metric", arms.metric},
            {"is_maximized", arms.is_maximized},
            {"evaluations", comparison.evaluations},
            {"significance", options.significance},
            {"arms", Json::array()},
            {"comparisons", Json::array()},
            {"notes", comparison.notes}};
  for (std::size_t i = 0; i < arms.arms.size(); ++i) {
    json["arms"].push_back(arm_json(arms.arms[i], comparison.arms[i], comparison.evaluations));
  }
  for (const Contrast& contrast : comparison.contrasts) {
    json["comparisons"].push_back({{"first", arms.arms[contrast.first].label},
                                   {"second", arms.arms[contrast.second].label},
                                   {"measure", contrast.is_sealed ? "sealed" : "search"},
                                   {"u", contrast.test.u},
                                   {"p", contrast.test.p},
                                   {"p_adjusted", contrast.p_adjusted},
                                   {"is_exact", contrast.test.is_exact},
                                   {"a12", contrast.test.share},
                                   {"effect", statistics::effect_word(contrast.test.share)},
                                   {"probability_better", contrast.probability_better},
                                   {"interval", json_of(contrast.interval)},
                                   {"is_shown", contrast.is_shown},
                                   {"verdict", contrast.verdict}});
  }
  return json;
}

Result<Arms> read_arms(const std::string& json) {
  try {
    const auto document = nlohmann::json::parse(json);
    Arms arms;
    arms.task = document.value("task", "runs");
    arms.metric = document.value("metric", "score");
    arms.is_maximized = document.at("is_maximized");
    for (const auto& arm : document.at("arms")) {
      arms.arms.push_back({arm.at("label"), {}});
      for (const auto& run : arm.at("runs")) arms.arms.back().runs.push_back(run_from(run));
    }
    return arms;
  } catch (const nlohmann::json::exception& error) {
    return fail(Errc::invalid_argument, std::string("not a file of runs: ") + error.what());
  }
}

}  // namespace cambrian::cli
