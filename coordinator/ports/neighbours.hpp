#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <set>

#include "common/base/result.hpp"
#include "coordinator/ports/work.hpp"

namespace cambrian::coordinator {

using boost::asio::awaitable;

/// What happened at one coordinator that agents, drivers and watchers at others may wait for.
struct News {
  std::map<WorkKind, std::size_t> ready;  ///< Items that became ready.
  std::set<CampaignId> campaigns;         ///< They got events.
  bool is_empty() const { return ready.empty() && campaigns.empty(); }
  friend bool operator==(const News&, const News&) = default;
};

/// The other coordinators of one database. All that is told is a hint and may get lost: each polls
/// for itself, too. Any executor; never blocks the caller. Errors: those of every store.
class Neighbours {
 public:
  virtual ~Neighbours() = default;

  /// True where another one listens.
  virtual awaitable<Result<bool>> are_there() = 0;

  /// What is too much for one message is left out.
  virtual awaitable<Status> tell(News news) = 0;
};

}  // namespace cambrian::coordinator
