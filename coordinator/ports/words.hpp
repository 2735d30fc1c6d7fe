#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/assert.hpp"
#include "coordinator/ports/access.hpp"
#include "coordinator/ports/campaign.hpp"

/// One word for each enumerator: the same in the database, events, logs and metrics.
namespace cambrian::coordinator {

template <class Enum>
inline constexpr std::array<std::string_view, 0> kWords = {};

template <>
inline constexpr std::array<std::string_view, 10> kWords<search::Outcome> = {
    "success",        "compile_error", "crash",      "timeout",
    "out_of_memory",  "bad_output",    "not_finite", "resource_exceeded",
    "infrastructure", "stopped_early"};
template <>
inline constexpr std::array<std::string_view, 2> kWords<search::EarlyStopRule> = {"median",
                                                                                  "halving"};
template <>
inline constexpr std::array<std::string_view, 7> kWords<search::Operator> = {
    "diff", "rewrite", "crossover", "tune", "repair", "simplify", "explain"};
template <>
inline constexpr std::array<std::string_view, 2> kWords<search::Split> = {"validation", "sealed"};
template <>
inline constexpr std::array<std::string_view, 4> kWords<search::VariantState> = {
    "pending", "evaluated", "failed", "duplicate"};
template <>
inline constexpr std::array<std::string_view, 4> kWords<search::Confirmation> = {
    "none", "confirmed", "disputed", "unconfirmed"};
template <>
inline constexpr std::array<std::string_view, 5> kWords<search::Phase> = {
    "running", "paused", "draining", "finalizing", "ended"};
template <>
inline constexpr std::array<std::string_view, 9> kWords<search::EndReason> = {
    "none", "evaluations", "tokens", "cost", "gpu_time", "wall_time", "target", "user", "failure"};
template <>
inline constexpr std::array<std::string_view, 2> kWords<search::Goal> = {"maximize", "minimize"};
template <>
inline constexpr std::array<std::string_view, 4> kWords<search::Selection> = {
    "rank", "tournament", "novelty", "upper_bound"};
template <>
inline constexpr std::array<std::string_view, 6> kWords<search::PolicyKind> = {
    "random", "hill_climb", "islands", "sequential", "pareto", "clade"};
template <>
inline constexpr std::array<std::string_view, 7> kWords<CampaignState> = {
    "running", "paused", "draining", "finalizing", "succeeded", "stopped", "failed"};
template <>
inline constexpr std::array<std::string_view, 2> kWords<WorkKind> = {"evaluation", "proposal"};
template <>
inline constexpr std::array<std::string_view, 2> kWords<AgentKind> = {"worker", "codegen"};
template <>
inline constexpr std::array<std::string_view, 6> kWords<ProposalOutcome> = {
    "success", "rejected", "truncated", "refused", "no_quota", "infrastructure"};

template <>
inline constexpr std::array<std::string_view, 5> kWords<Role> = {"admin", "user", "worker",
                                                                 "codegen", "viewer"};
template <>
inline constexpr std::array<std::string_view, 6> kWords<TokenProblem> = {
    "none", "missing", "malformed", "unknown", "expired", "revoked"};

template <class Enum>
std::string word(Enum value) {
  const auto index = static_cast<std::size_t>(value);
  CAMBRIAN_ASSERT(index < kWords<Enum>.size());
  return std::string(kWords<Enum>[index]);
}

/// The enumerator of a word; empty for an unknown word.
template <class Enum>
std::optional<Enum> parse_word(std::string_view text) {
  for (std::size_t i = 0; i < kWords<Enum>.size(); ++i) {
    if (kWords<Enum>[i] == text) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

/// For words that we wrote ourselves: another word is a broken database.
template <class Enum>
Enum known_word(std::string_view text) {
  const auto value = parse_word<Enum>(text);
  CAMBRIAN_ASSERT(value.has_value());
  return *value;
}

}  // namespace cambrian::coordinator
