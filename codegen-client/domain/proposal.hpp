#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "codegen-client/domain/chat.hpp"
#include "codegen-client/domain/program.hpp"

namespace cambrian::codegen {

/// SHA-256 of the content of each file, by path.
using FileDigests = std::map<std::string, std::string>;

/// A variant as a proposal names it: its sources are to be fetched.
struct ProgramReference {
  FileDigests files{};
  Program program{};  ///< Without files.
};

/// One request for new variants.
struct Proposal {
  std::string task_digest{};
  Operator operation = Operator::diff;
  std::vector<ProgramReference> parents{};
  std::vector<ProgramReference> inspirations{};
  std::vector<ProgramReference> failures{};
  std::uint64_t seed = 0;
  int variants = 1;
  std::string model{};  ///< Empty: the client's default.
  std::optional<double> temperature{};
  std::int64_t output_tokens = 0;
  std::string instructions{};
  std::vector<Gain> gains{};  ///< What helped of late, the last one last.
  std::string order{};        ///< What the model is told to do; empty: our words for the operator.
  std::int64_t tokens_reserved = 0;          ///< 0: no limit.
  std::int64_t cost_reserved_micro_usd = 0;  ///< 0: no limit.
  /// How long the attempt may take before the coordinator ends it. Absent: no limit.
  std::optional<std::chrono::milliseconds> time_max{};
};

enum class ProposalOutcome { success, rejected, truncated, refused, no_quota, infrastructure };

constexpr std::string_view to_string(ProposalOutcome outcome) {
  switch (outcome) {
    case ProposalOutcome::success: return "success";
    case ProposalOutcome::rejected: return "rejected";
    case ProposalOutcome::truncated: return "truncated";
    case ProposalOutcome::refused: return "refused";
    case ProposalOutcome::no_quota: return "no_quota";
    case ProposalOutcome::infrastructure: return "infrastructure";
  }
  return "infrastructure";
}

/// A variant that came of it; its files are among the report's contents.
struct NewVariant {
  FileDigests files{};
  std::string token_digest{};
  std::int64_t source_tokens = 0;
  std::string rationale{};
};

/// What one call of a model did and cost, whether or not anything came of it.
struct CallRecord {
  std::string model{};
  std::string endpoint{};
  TokenUsage usage{};  ///< Estimated where the server does not say.
  std::int64_t cost_micro_usd = 0;
  std::chrono::milliseconds latency{0};  ///< Of the last sending.
  std::optional<std::chrono::milliseconds> time_to_first_token{};
  int retries = 0;
  std::string finish_reason{};  ///< "error" when the call failed.
  std::string prompt_digest{};
  std::string answer_digest{};  ///< Empty when there was none.
  std::string request_id{};     ///< The server's name for the last sending; may be empty.
  bool is_outcome_unknown = false;
};

/// Lines of rejections in a report.
inline constexpr std::size_t kRejectionsMax = 16;

/// What came of a proposal.
struct ProposalReport {
  ProposalOutcome outcome = ProposalOutcome::infrastructure;
  std::vector<NewVariant> variants{};
  std::vector<CallRecord> calls{};
  std::vector<std::string> rejections{};
  std::vector<std::string>
      contents{};  ///< Answers and files, to be stored: a replay needs no model.
};

}  // namespace cambrian::codegen
