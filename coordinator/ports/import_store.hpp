#pragma once

#include "coordinator/ports/campaign.hpp"
#include "coordinator/ports/work_store.hpp"

namespace cambrian::coordinator {

/// A campaign as another installation exported it.
struct CampaignArchive {
  CampaignRecord record;
  std::vector<EventRecord> events;      ///< All of them, in order.
  std::vector<VariantRecord> variants;  ///< All of them by number, with their evaluations.
};

/// Takes in what another installation exported. Any executor; never blocks the caller. May fail
/// with `unavailable`, `exhausted` or `deadline_exceeded`.
class ImportStore {
 public:
  virtual ~ImportStore() = default;

  /// Stores an ended campaign with its events, variants, evaluations and proposals under ids of
  /// this service, in one transaction, after the log was replayed and everything was compared with
  /// it. `definition` is made of the archive's spec; what the log says of the settings goes first.
  /// The same request id gives the campaign that is there. Errors: `invalid_argument` names what
  /// does not fit the log; `already_exists` for a name that is taken; `not_found` when the task is
  /// not registered or a content is missing.
  virtual awaitable<Result<CampaignRecord>> import_campaign(CampaignDefinition definition,
                                                            CampaignArchive archive,
                                                            std::string request_id) = 0;
};

}  // namespace cambrian::coordinator
