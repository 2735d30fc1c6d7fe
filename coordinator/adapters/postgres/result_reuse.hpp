#pragma once

#include "coordinator/adapters/postgres/item_end.hpp"

/// Results that are found again by content instead of being made anew.
///
/// The key is a digest of the task (with its judge and limits), the variant's files, the
/// parameters, the split, the seed, the service's secret and a salt, of which a new value disowns
/// all results so far (`CleanupStore::disown_results`). A result counts for the toolchain of
/// the worker that made it, and is found while a connected worker has the same. Only outcomes that
/// follow from the content are kept: a timeout may be the machine's.
///
/// **Checks.** Until a task has shown that equal contents give equal results, they are made anew,
/// and the second result says which it is. Later one of `kReuseCheckInterval` is made anew
/// nevertheless. A task that was ever seen to differ is noisy: nothing of it is found again.
namespace cambrian::coordinator::postgres {

/// An evaluation whose number it divides is made although its result is known.
inline constexpr std::int64_t kReuseCheckInterval = 64;

/// What an evaluation is, as the key sees it.
struct EvaluationContent {
  std::string task_digest;
  std::string parameters;  ///< JSON with sorted names.
  int gpus = 0;
};

/// Inserts the row of an evaluation. `content` is null for one that must be made anew.
void insert_evaluation(pqxx::work& transaction, CampaignId campaign,
                       const search::RequestEvaluation& command, const EvaluationContent* content);

/// Fills the row with a result that is known and counts it. Gives the event to be appended, or
/// nothing where there is no result that may be used.
std::optional<StoredEvent> reuse_result(pqxx::work& transaction, CampaignId campaign,
                                        const search::RequestEvaluation& command,
                                        const std::string& task_digest);

/// A result that was stored for an evaluation. The result is borrowed.
struct NotedResult {
  CampaignId campaign;
  std::int64_t evaluation = 0;
  std::string agent_id;
  const EvaluationResult* result = nullptr;
};

/// Keeps results that agents reported, or compares each with the one that was kept before.
void note_results(pqxx::work& transaction, const std::vector<NotedResult>& results);

}  // namespace cambrian::coordinator::postgres
