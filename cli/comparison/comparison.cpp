#include "cli/comparison/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "cli/output/text.hpp"

namespace cambrian::cli {
namespace {

using statistics::Interval;

/// Each purpose draws from a generator of its own, so that one more arm changes no other interval.
Rng generator(const CompareOptions& options, const std::string& purpose, const std::string& label) {
  return Rng(options.seed).split(purpose).split(label);
}

Status check(const Arms& arms) {
  if (arms.arms.size() < 2) return fail(Errc::invalid_argument, "at least two arms are needed");
  std::set<std::string> labels;
  for (const Arm& arm : arms.arms) {
    if (!labels.insert(arm.label).second) {
      return fail(Errc::invalid_argument, "an arm is named twice: " + arm.label);
    }
    if (arm.runs.empty()) return fail(Errc::invalid_argument, "no runs of arm " + arm.label);
    for (const Run& run : arm.runs) {
      const bool is_finite =
          std::ranges::all_of(run.curve, [](double x) { return std::isfinite(x); });
      if (run.curve.empty() || !is_finite) {
        return fail(Errc::invalid_argument, "no score in run " + run.name + " of " + arm.label);
      }
    }
  }
  return {};
}

std::vector<double> best_of(const Arm& arm, std::size_t evaluations) {
  std::vector<double> values;
  for (const Run& run : arm.runs) values.push_back(run.curve[evaluations - 1]);
  return values;
}

/// Empty unless every run has one: a median of those that happen to be there would mislead.
std::vector<double> sealed_of(const Arm& arm) {
  std::vector<double> values;
  for (const Run& run : arm.runs) {
    if (!run.sealed) return {};
    values.push_back(*run.sealed);
  }
  return values;
}

ArmSummary summarize(const Arm& arm, std::size_t evaluations, bool is_maximized,
                     const CompareOptions& options) {
  std::vector<std::vector<double>> curves;
  std::vector<double> areas;
  std::size_t reached = 0;
  for (const Run& run : arm.runs) {
    curves.emplace_back(run.curve.begin(),
                        run.curve.begin() + static_cast<std::ptrdiff_t>(evaluations));
    areas.push_back(statistics::area_under(curves.back()));
    if (options.target &&
        statistics::evaluations_to(curves.back(), *options.target, is_maximized)) {
      ++reached;
    }
  }
  ArmSummary summary;
  const std::vector<double> best = best_of(arm, evaluations);
  summary.median = statistics::median(best);
  summary.interval = statistics::median_interval(best, generator(options, "median", arm.label));
  summary.area = statistics::median(areas);
  if (const std::vector<double> sealed = sealed_of(arm); !sealed.empty()) {
    summary.sealed = statistics::median(sealed);
    summary.sealed_interval =
        statistics::median_interval(sealed, generator(options, "sealed", arm.label));
  }
  if (options.target) {
    summary.target =
        TargetSummary{statistics::success_rate(reached, curves.size()),
                      statistics::expected_evaluations(curves, *options.target, is_maximized)};
  }
  summary.curve = statistics::median_curve(curves, statistics::curve_places(evaluations),
                                           generator(options, "curve", arm.label));
  return summary;
}

struct Sample {
  std::string label;
  std::vector<double> values;
};

Contrast contrast_of(const Sample& a, const Sample& b, bool is_maximized) {
  Contrast contrast;
  contrast.test = statistics::mann_whitney(a.values, b.values);
  contrast.probability_better = is_maximized ? contrast.test.share : 1 - contrast.test.share;
  contrast.interval = statistics::probability_interval(contrast.probability_better, a.values.size(),
                                                       b.values.size());
  return contrast;
}

void judge(Contrast& contrast, const std::vector<Sample>& samples, double significance) {
  contrast.is_shown = contrast.p_adjusted < significance;
  const std::string& first = samples[contrast.first].label;
  const std::string& second = samples[contrast.second].label;
  if (!contrast.is_shown) {
    contrast.verdict = "no difference shown between " + first + " and " + second;
    return;
  }
  const bool is_first = contrast.probability_better > 0.5;
  contrast.verdict = (is_first ? first : second) + " is better than " + (is_first ? second : first);
}

std::vector<Contrast> contrast_all(const std::vector<Sample>& samples, const Arms& arms,
                                   bool is_sealed, const CompareOptions& options) {
  std::vector<Contrast> contrasts;
  std::vector<double> p_values;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    for (std::size_t j = i + 1; j < samples.size(); ++j) {
      contrasts.push_back(contrast_of(samples[i], samples[j], arms.is_maximized));
      contrasts.back().first = i;
      contrasts.back().second = j;
      contrasts.back().is_sealed = is_sealed;
      p_values.push_back(contrasts.back().test.p);
    }
  }
  const std::vector<double> adjusted = statistics::holm(p_values);
  for (std::size_t k = 0; k < contrasts.size(); ++k) {
    contrasts[k].p_adjusted = adjusted[k];
    judge(contrasts[k], samples, options.significance);
  }
  return contrasts;
}

std::vector<std::string> notes_on(const Arms& arms, const Comparison& comparison,
                                  const CompareOptions& options) {
  std::vector<std::string> notes;
  std::size_t longest = 0;
  std::size_t fewest = arms.arms.front().runs.size();
  bool has_all_sealed = true;
  for (const Arm& arm : arms.arms) {
    fewest = std::min(fewest, arm.runs.size());
    for (const Run& run : arm.runs) longest = std::max(longest, run.curve.size());
    has_all_sealed = has_all_sealed && !sealed_of(arm).empty();
  }
  if (longest > comparison.evaluations) {
    notes.push_back("budgets differ: runs of up to " + std::to_string(longest) +
                    " evaluations are compared after " + std::to_string(comparison.evaluations));
  }
  const double smallest = statistics::smallest_p(fewest, fewest);
  const auto pairs = static_cast<double>(arms.arms.size() * (arms.arms.size() - 1) / 2);
  if (smallest * pairs >= options.significance) {
    notes.push_back("too few runs to show any difference: with " + std::to_string(fewest) +
                    " runs of an arm and " + format_number(pairs) + " pairs no p can be below " +
                    format_number(std::min(1.0, smallest * pairs)));
  }
  if (!has_all_sealed) {
    notes.push_back(
        "the scores are the best of many, and flattering; not every run has a sealed one");
  }
  return notes;
}

}  // namespace

Result<Comparison> compare(const Arms& arms, const CompareOptions& options) {
  CAMBRIAN_TRY_STATUS(check(arms));
  Comparison comparison;
  comparison.evaluations = arms.arms.front().runs.front().curve.size();
  for (const Arm& arm : arms.arms) {
    for (const Run& run : arm.runs) {
      comparison.evaluations = std::min(comparison.evaluations, run.curve.size());
    }
  }
  std::vector<Sample> best;
  std::vector<Sample> sealed;
  for (const Arm& arm : arms.arms) {
    comparison.arms.push_back(summarize(arm, comparison.evaluations, arms.is_maximized, options));
    best.push_back({arm.label, best_of(arm, comparison.evaluations)});
    if (comparison.arms.back().sealed) sealed.push_back({arm.label, sealed_of(arm)});
  }
  comparison.contrasts = contrast_all(best, arms, false, options);
  if (sealed.size() == best.size()) {
    std::ranges::move(contrast_all(sealed, arms, true, options),
                      std::back_inserter(comparison.contrasts));
  }
  comparison.notes = notes_on(arms, comparison, options);
  return comparison;
}

}  // namespace cambrian::cli
