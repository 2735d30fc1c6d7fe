#pragma once

#include "coordinator/ports/campaign.hpp"
#include "coordinator/ports/work_store.hpp"

namespace cambrian::coordinator {

enum class UserAction { pause, resume, stop };

/// On whose behalf a campaign is changed.
struct Requester {
  std::string request_id;      ///< Makes the request repeatable. Empty: it is not.
  std::string name{};          ///< Owner of what is created; empty: nobody.
  bool has_all_rights = true;  ///< May change campaigns of others. Without, they do not exist.
  int campaigns_max = 0;       ///< Of one owner, that have not ended; 0: any number.
};

/// Some events of a campaign and how it stands.
struct EventPage {
  CampaignId campaign;
  bool has_ended = false;
  std::int64_t last_sequence = 0;
  std::vector<EventRecord> events;
};

struct CampaignPage {
  std::int64_t before = 0;  ///< Ids below this one; 0: all.
  int count = 100;
  bool only_active = false;  ///< Those that have not ended.
};

/// Campaigns for their users. Any executor; never blocks the caller. Every method may fail with
/// `unavailable`, `exhausted` or `deadline_exceeded`, as WorkStore's.
class CampaignStore {
 public:
  virtual ~CampaignStore() = default;

  /// Stores a campaign with its first event. The same request id, or the same name with the same
  /// spec, gives the campaign that is there. Errors: `already_exists` for another spec or another
  /// owner; `not_found` when the task is not registered.
  virtual awaitable<Result<CampaignRecord>> create(CampaignDefinition definition,
                                                   Requester requester) = 0;

  /// Errors: `not_found`.
  virtual awaitable<Result<CampaignRecord>> get(std::string name) = 0;

  /// Newest first.
  virtual awaitable<Result<std::vector<CampaignRecord>>> list(CampaignPage page) = 0;

  /// Appends the user's wish to the log and returns its sequence; 0 when there is nothing to do.
  /// Errors: `not_found`; `conflict` when the campaign has ended.
  virtual awaitable<Result<std::int64_t>> request(std::string name, UserAction action,
                                                  Requester requester) = 0;

  /// Proposals that are handed out from now on have this text behind the instructions, instead of
  /// the one before. Errors: `not_found`; `conflict` when the campaign has ended.
  virtual awaitable<Status> hint(std::string name, std::string text, Requester requester) = 0;

  /// The campaign is gone for its users and its name is free; CleanupStore takes its rows away. A
  /// request id that has removed a campaign of this name changes nothing any more. Errors:
  /// `not_found`; `conflict` while it has not ended; `outcome_unknown` without a request id.
  virtual awaitable<Status> remove(std::string name, Requester requester) = 0;

  /// Events behind `after`, at most `count`, in order. Errors: `not_found`.
  virtual awaitable<Result<EventPage>> read_events(std::string name, std::int64_t after,
                                                   int count) = 0;

  /// The last sequence of every campaign that has not ended, or ended within the last minute.
  virtual awaitable<Result<std::map<CampaignId, std::int64_t>>> last_sequences() = 0;
};

enum class VariantOrder { number, score };

struct VariantPage {
  VariantOrder order = VariantOrder::number;
  std::int64_t offset = 0;
  int count = 100;
};

/// Variants for their users. Errors as above, and `not_found`.
class VariantStore {
 public:
  virtual ~VariantStore() = default;

  virtual awaitable<Result<std::vector<VariantRecord>>> list(std::string campaign,
                                                             VariantPage page) = 0;
  /// With its evaluations.
  virtual awaitable<Result<VariantRecord>> get(std::string campaign, std::int64_t number) = 0;
  /// The variant and its first parents towards the seed, youngest first, at most `count`.
  virtual awaitable<Result<std::vector<VariantRecord>>> lineage(std::string campaign,
                                                                std::int64_t number, int count) = 0;
};

}  // namespace cambrian::coordinator
