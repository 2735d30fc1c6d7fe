#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <compare>
#include <cstdint>
#include <list>
#include <map>

#include "coordinator/ports/work.hpp"

namespace cambrian::coordinator {

/// What somebody may wait for.
struct Topic {
  enum class Kind {
    work,      ///< Items of one WorkKind became ready.
    campaign,  ///< A campaign got events.
    drivers,   ///< A campaign may need a driver.
  };
  Kind kind = Kind::work;
  std::int64_t id = 0;
  friend auto operator<=>(const Topic&, const Topic&) = default;

  static Topic work(WorkKind kind) { return {Kind::work, static_cast<std::int64_t>(kind)}; }
  static Topic campaign(CampaignId id) { return {Kind::campaign, id.value}; }
  static Topic drivers() { return {Kind::drivers, 0}; }
};

/// Where long polls, watchers and drivers sleep. Lives on the app's single thread; so do all its
/// callers. A notice is only a hint: who wakes looks into the database again.
class Hub {
 public:
  /// The number of notices so far. Take it before looking, and give it to `wait`: a notice in
  /// between is not missed.
  std::uint64_t version(Topic topic) { return topics_[topic].version; }

  /// Returns at the first notice behind `seen`, after `time`, or when the hub closes.
  boost::asio::awaitable<void> wait(Topic topic, std::uint64_t seen, milliseconds time);

  /// Wakes the `count` who have waited longest; all of them by default.
  void notify(Topic topic, std::size_t count = kEverybody);

  /// Wakes everybody for good.
  void close();
  bool is_closed() const { return is_closed_; }

  std::size_t waiting(Topic topic) { return topics_[topic].waiters.size(); }

  static constexpr std::size_t kEverybody = static_cast<std::size_t>(-1);

 private:
  struct State {
    std::uint64_t version = 0;
    std::list<boost::asio::steady_timer*> waiters;
  };
  std::map<Topic, State> topics_;
  bool is_closed_ = false;
};

}  // namespace cambrian::coordinator
