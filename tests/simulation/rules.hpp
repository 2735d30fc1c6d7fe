#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "tests/simulation/memory_database.hpp"

namespace cambrian::coordinator::simulation {

/// A report that an agent was told is stored.
struct Acknowledged {
  Lease lease;
  double stamp = 0;  ///< Of an evaluation: what makes its metrics unlike all others. 0: a proposal.
};

/// What must hold of the database after every transaction, and at the end. Fails the test.
class Rules {
 public:
  explicit Rules(const MemoryDatabase& database) : database_(database) {}

  /// After each transaction.
  void check();
  /// When all is over.
  void check_end(const std::vector<Acknowledged>& acknowledged);

 private:
  struct Seen {
    std::string state;
    std::int64_t epoch = 0;
  };
  struct SeenLog {
    std::size_t length = 0;
    std::int64_t driver_epoch = 0;
    std::int64_t applied = 0;
    std::int64_t evaluations = 0;  ///< As the log tells them.
    std::int64_t finals = 0;
    std::set<std::pair<WorkKind, std::int64_t>> ended;
  };

  void check_item(const MemoryItem& item);
  void check_campaign(const MemoryCampaign& campaign);
  static void check_replay(const MemoryCampaign& campaign);
  void check_budget(const MemoryCampaign& campaign, const SeenLog& seen) const;

  const MemoryDatabase& database_;
  std::map<ItemId, Seen> items_;
  std::map<CampaignId, SeenLog> campaigns_;
};

}  // namespace cambrian::coordinator::simulation
