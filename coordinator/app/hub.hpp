#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <compare>
#include <cstdint>
#include <list>
#include <map>
#include <utility>

#include "coordinator/app/clock.hpp"
#include "coordinator/ports/neighbours.hpp"

namespace cambrian::coordinator {

/// What somebody may wait for.
struct Topic {
  enum class Kind {
    work,      ///< Items of one WorkKind became ready.
    campaign,  ///< A campaign got events.
    drivers,   ///< A campaign may need a driver.
    news,      ///< There is something to tell other coordinators.
  };
  Kind kind = Kind::work;
  std::int64_t id = 0;
  friend auto operator<=>(const Topic&, const Topic&) = default;

  static Topic work(WorkKind kind) { return {Kind::work, static_cast<std::int64_t>(kind)}; }
  static Topic campaign(CampaignId id) { return {Kind::campaign, id.value}; }
  static Topic drivers() { return {Kind::drivers, 0}; }
  static Topic news() { return {Kind::news, 0}; }
};

/// Where long polls, watchers and drivers sleep. Lives on the app's single thread; so do all its
/// callers. A notice is only a hint: who wakes looks into the database again.
class Hub {
 public:
  Hub() = default;
  /// With another time than the real one.
  explicit Hub(Clock& clock) : clock_(clock) {}
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  Clock::Time now() const { return clock_.now(); }

  /// The number of notices so far. Take it before looking, and give it to `wait`: a notice in
  /// between is not missed.
  std::uint64_t version(Topic topic) { return state_of(topic).version; }

  /// Returns at the first notice behind `seen`, after `time`, or when the hub closes.
  boost::asio::awaitable<void> wait(Topic topic, std::uint64_t seen, milliseconds time);

  /// Returns after `time`, or when the hub closes.
  boost::asio::awaitable<void> pause(milliseconds time);

  /// Wakes everybody who waits for the topic.
  void notify(Topic topic);

  /// So many items became ready: wakes as many of those who have waited longest, and some more, as
  /// not everybody can do the work at hand.
  void offer(WorkKind kind, std::size_t count);

  /// Wakes as the two above do, for what others did.
  void hear(const News& news);
  /// What happened here since the last time, for others to hear.
  News take_news() { return std::exchange(news_, {}); }

  /// Wakes everybody for good.
  void close();
  bool is_closed() const { return is_closed_; }

  std::size_t waiting(Topic topic) const;
  /// Topics that are remembered: beside those that somebody waits for at most `kTopicsMax`.
  std::size_t topics() const { return topics_.size(); }

  static constexpr std::size_t kTopicsMax = 4'096;
  /// Of the campaigns that there is news of; others hear of more by their polls.
  static constexpr std::size_t kNewsMax = 256;
  /// At least so many are woken by an offer.
  static constexpr std::size_t kWokenMin = 16;

 private:
  using Waiters = std::list<boost::asio::steady_timer*>;
  struct State {
    std::uint64_t version = 0;
    Waiters waiters;
  };
  static constexpr std::size_t kEverybody = static_cast<std::size_t>(-1);

  State& state_of(Topic topic);
  void wake(Topic topic, std::size_t count);
  boost::asio::awaitable<void> park(Waiters& waiters, milliseconds time);

  Clock real_clock_;
  Clock& clock_ = real_clock_;
  std::map<Topic, State> topics_;
  Waiters sleepers_;
  News news_;
  /// Notices of all topics: the version of one that was forgotten never comes again.
  std::uint64_t notices_ = 0;
  bool is_closed_ = false;
};

}  // namespace cambrian::coordinator
