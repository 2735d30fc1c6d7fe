#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/search/types.hpp"

namespace cambrian::search {

/// The bounds of a campaign's settings, in the words of campaign.yaml.
inline constexpr int kIslandsMax = 64;
inline constexpr int kIslandSizeMax = 100'000;
inline constexpr int kMigrationIntervalMax = 1'000'000;
inline constexpr int kResetIntervalMax = 1'000'000;
inline constexpr double kClimbFromMax = 1000;
inline constexpr double kClimbFromDefault = 0.1;
inline constexpr int kFeaturesMax = 6;
inline constexpr int kBinsMin = 2;
inline constexpr int kBinsMax = 64;
/// Sorting fronts takes time in proportion to the members.
inline constexpr int kParetoSizeMax = 10'000;
inline constexpr int kChildrenMax = 10'000;
inline constexpr int kGenerationsMax = 1'000'000;
inline constexpr int kConstraintsMax = 8;
inline constexpr int kTuneEvaluationsMin = 4;
inline constexpr int kTuneEvaluationsMax = 10'000;
inline constexpr int kContextProgramsMax = 8;  ///< Inspirations, and failures, of one proposal.
inline constexpr int kRepeatsMax = 100;
inline constexpr double kConfirmSigmaMax = 1000;
inline constexpr double kConfirmSigmaDefault = 3;
inline constexpr int kEvaluationsParallelMax = 100'000;
inline constexpr int kProposalsParallelMax = 10'000;
inline constexpr int kVariantsPerProposalMax = 16;
inline constexpr int kObjectivesMax = 8;
inline constexpr int kModelsMax = 64;
inline constexpr double kTemperatureMax = 2;

/// One thing that is wrong with the settings.
struct Problem {
  std::string field;        ///< Path in campaign.yaml: `search.islands`, `budget.tokens`.
  std::string description;  ///< What is wrong, with the value and the bounds.
  friend bool operator==(const Problem&, const Problem&) = default;
};

/// Islands of a campaign that names no number: 1 to 4, by `budget.evaluations` (0: no such budget).
/// One for each `kEvaluationsOfIsland`: whether a hill is worth anything shows only when it was
/// climbed, and with less than that for each, several islands are several beginnings of a search.
int default_islands(std::int64_t evaluations);
/// Evaluations between two resets of a campaign that names no number: a quarter of the budget, so
/// that what is left suffices to go on from what the better half found. Without such a budget as
/// many as the islands need for a climb each.
int default_reset_interval(std::int64_t evaluations, int islands);

/// The operator `repair` is for policies that do not promise from which parents variants come.
bool may_repair(PolicyKind policy);

/// Checks every bound that the search relies on and reports all problems at once, in the order of
/// the fields. Empty: `Search` accepts the settings. Objectives and features come from the task or
/// the campaign; their paths are `objectives[i]` and `search.features[i]`.
std::vector<Problem> validate(const Settings& settings);

}  // namespace cambrian::search
