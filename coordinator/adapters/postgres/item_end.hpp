#pragma once

#include "coordinator/adapters/postgres/events.hpp"

/// How attempts and items end: the rules of blame are here and nowhere else.
namespace cambrian::coordinator::postgres {

/// A work item whose row, and whose campaign's row before it, is locked until the commit. Always
/// taken in this order: campaign, then item.
struct LockedItem {
  ItemId id;
  CampaignId campaign;
  WorkKind kind = WorkKind::evaluation;
  std::int64_t number = 0;
  std::string state;
  std::int64_t epoch = 0;
  std::string agent_id;
  int worker_faults = 0;
  int losses = 0;
  bool has_campaign_ended = false;

  bool is_leased_as(const Lease& lease, const std::string& agent) const {
    return state == "leased" && epoch == lease.epoch && agent_id == agent;
  }
};

/// Empty when the item is gone with its campaign.
std::optional<LockedItem> lock_item(pqxx::work& transaction, ItemId item);

/// How an attempt can end without a result that counts.
enum class AttemptEnd {
  released,        ///< Handed back: nobody's fault, not even counted.
  unable,          ///< The agent cannot do it: its fault.
  infrastructure,  ///< The agent failed: its fault.
  lost,            ///< The agent fell silent: the item may have killed it.
  dropped,         ///< The agent lives and never knew of it: nobody's fault.
  overrun,         ///< The attempt took longer than its budget: the item may be to blame.
};

std::string word_of(AttemptEnd end);

enum class AfterEnd {
  ready,     ///< It will be tried again.
  finished,  ///< Tries are used up: it ended as an infrastructure failure.
  poisoned,  ///< It took two agents down: it ended as a failure of the candidate.
};

/// What an attempt used.
struct Cost {
  std::int64_t cpu_time_ms = 0;
  std::int64_t gpu_time_ms = 0;
  std::int64_t tokens = 0;
  std::int64_t cost_micro_usd = 0;
};

/// What the calls of a model took.
Cost cost_of(const ProposalResult& result);

/// Tells the search what an attempt took that gave it no result.
StoredEvent charge_event(const LockedItem& item, const Cost& cost, const std::string& why,
                         const std::string& agent_name);

/// Counts what an attempt without a result used: in the campaign's consumption and, while that
/// goes on, in what the search knows of its budgets. `why` and `agent` are for people.
void charge(pqxx::work& transaction, const LockedItem& item, const Cost& cost,
            const std::string& why, const std::string& agent_name);

/// Takes the calls of a model off record that an attempt has begun and not reported, stores them as
/// spent, and returns what they may have cost.
Cost take_open_calls(pqxx::work& transaction, const LockedItem& item, std::int64_t epoch);

/// Ends the attempt of the item's present epoch and decides what becomes of the item. An attempt
/// that ends without a report is charged the time in which its agent was known to hold the GPUs.
AfterEnd end_attempt(pqxx::work& transaction, LockedItem& item, AttemptEnd end,
                     const std::string& evidence);

/// Of an evaluation that is to confirm a jump.
struct Confirming {
  bool is_same_worker = false;  ///< As one that evaluated the variant before: no other came.
};

/// The inputs that counted results are, with what people want to know of them.
StoredEvent evaluation_event(const search::RequestEvaluation& request,
                             const EvaluationResult& result, const std::string& agent_name,
                             std::optional<Confirming> confirming = {});

/// Stores the final result of an evaluation, marks the item done, counts, appends the event.
void conclude_evaluation(pqxx::work& transaction, const LockedItem& item,
                         const EvaluationResult& result, const std::string& agent_name);

StoredEvent proposal_event(search::ProposalNumber number, const ProposalResult& result,
                           const std::string& agent_name);

/// Stores the final result of a proposal that no agent reports, and counts it. Gives the event to
/// be appended.
StoredEvent store_proposal(pqxx::work& transaction, CampaignId campaign,
                           search::ProposalNumber number, const ProposalResult& result,
                           const std::string& agent_name);

}  // namespace cambrian::coordinator::postgres
