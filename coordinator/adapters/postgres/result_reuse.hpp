#pragma once

#include <map>

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

/// An evaluation that the search asks for.
struct NewEvaluation {
  search::RequestEvaluation request;
  bool may_reuse = false;  ///< A result that is known would do.
};

/// Inserts the rows of evaluations whose variants are stored.
void insert_evaluations(pqxx::work& transaction, CampaignId campaign,
                        const CampaignDefinition& definition,
                        const std::vector<NewEvaluation>& evaluations);

/// A result that was found.
struct ReusedResult {
  StoredEvent event;  ///< To be appended.
  bool has_failed = false;
};

/// Fills the rows of those evaluations whose results are known and may be used. They are not
/// counted yet.
std::map<search::EvaluationNumber, ReusedResult> reuse_results(
    pqxx::work& transaction, CampaignId campaign, const std::string& task_digest,
    const std::vector<search::RequestEvaluation>& evaluations);

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
