#include "coordinator/adapters/postgres/work_store.hpp"

#include <chrono>

namespace cambrian::coordinator::postgres {
namespace {

/// A batch of renewals names at most so many leases of so many agents.
constexpr std::size_t kSyncsTogether = 64;
constexpr std::size_t kClaimsTogether = 32;
/// Results carry logs of up to 64 KiB.
constexpr std::size_t kFinishesTogether = 32;
/// A campaign that somebody holds does not keep the results of all others waiting; while nobody
/// does, two transactions would only wait for each other at the row of the campaign.
constexpr std::size_t kFinishesParallel = 2;
constexpr std::chrono::milliseconds kFinishPatience(250);
/// Reports and steps of the search take turns at a campaign's row: fewer, fuller transactions make
/// both faster where there is much to do.
constexpr double kFinishRest = 1;

}  // namespace

PostgresWorkStore::PostgresWorkStore(Database& database, NotedAgents& noted)
    : database_(database),
      noted_(noted),
      syncs_({.parallel = 1, .together = kSyncsTogether},
             [this](std::vector<Report> reports) { return sync_all(std::move(reports)); }),
      evaluations_({.parallel = 1, .together = kClaimsTogether},
                   [this](std::vector<ClaimCall> calls) { return claim_all(std::move(calls)); }),
      proposals_({.parallel = 1, .together = kClaimsTogether},
                 [this](std::vector<ClaimCall> calls) { return claim_all(std::move(calls)); }),
      finishes_(
          {.parallel = kFinishesParallel,
           .together = kFinishesTogether,
           .patience = kFinishPatience,
           .rest = kFinishRest},
          [this](std::vector<WorkReport> reports) { return finish_all(std::move(reports)); }) {}

}  // namespace cambrian::coordinator::postgres
