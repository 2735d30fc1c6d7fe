#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "tests/unit/coordinator/search_driver.hpp"

namespace cambrian::search {

/// Settings of any kind: small, so that every limit is met.
Settings random_settings(Rng& rng);

/// What the commands say, kept apart from the search.
struct Shadow {
  std::map<ProposalNumber, RequestProposal> proposals;
  std::map<EvaluationNumber, RequestEvaluation> evaluations;
  std::set<ProposalNumber> cancelled_proposals;
  std::set<EvaluationNumber> cancelled_evaluations;
  std::map<VariantNumber, AddVariant> variants;
  std::map<VariantNumber, SettleVariant> settled;
  std::map<ProposalNumber, int> asked;
  std::map<VariantNumber, int> tuned_on;  ///< Islands of the variants that are tuned.
  std::vector<VariantNumber> constants_wanted;
  std::map<VariantNumber, std::vector<Constant>> constants;
  std::map<ProposalNumber, std::optional<int>> island_of;
  std::map<VariantNumber, int> requested;    ///< Search evaluations, by variant.
  std::map<VariantNumber, int> results;      ///< Those of them that finished.
  std::vector<std::vector<Member>> members;  ///< Before the event.
  std::optional<Scored> best;
  bool has_noise = false;
  Phase phase = Phase::running;
  EndReason reason = EndReason::none;
  std::int64_t last_proposal = 0;
  std::int64_t last_evaluation = 0;
  std::int64_t finished = 0;  ///< Search evaluations.
  std::int64_t finals_requested = 0;
};

}  // namespace cambrian::search
