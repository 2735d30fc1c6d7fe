#pragma once

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/assert.hpp"
#include "common/base/result.hpp"

namespace cambrian::coordinator::postgres {

/// Calls of one kind that share transactions. The first goes at once, alone; those that come while
/// as many transactions run as may wait for one of them to end, and as long again as it took, and
/// then go together. So nobody waits for company when there is little to do, and the more calls
/// there are, the fewer transactions each one costs.
///
/// One thread: that of the callers' executor. Lives as long as its callers.
template <class Request, class Answer>
class Gather {
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kRestMax{20};

 public:
  /// Carries out all requests or none, and answers in their order.
  using Run =
      std::function<boost::asio::awaitable<Result<std::vector<Answer>>>(std::vector<Request>)>;
  struct Limits {
    std::size_t parallel = 1;  ///< Transactions at once.
    std::size_t together = 64;
    std::size_t waiting = 16'384;
    /// Another transaction begins only when all others have run for so long. 0: at once.
    std::chrono::milliseconds patience{0};
    /// How long a transaction waits for others to join it, in times of what the last one took,
    /// behind the end of that one; never longer than `kRestMax`, and not once there are `together`.
    double rest = 0;
  };

  Gather(Limits limits, Run run) : limits_(limits), run_(std::move(run)) {}

  /// Errors: `exhausted` when too many wait; else those of `run`. A failure that one request may be
  /// to blame for does not become that of the others: each is then carried out alone.
  boost::asio::awaitable<Result<Answer>> ask(Request request) {
    const auto entry =
        std::make_shared<Entry>(co_await boost::asio::this_coro::executor, std::move(request));
    if (!may_start() && waiting_.size() >= limits_.waiting) {
      co_return fail(Errc::exhausted, "too many calls wait for a transaction");
    }
    waiting_.push_back(entry);
    if (may_start()) appoint_leader();
    while (entry->waits) {
      co_await wait(*entry, next_start());
      if (entry->waits && may_start()) appoint_leader();
    }
    if (entry->leads) {
      co_await lead(entry);
    } else if (!entry->answer) {
      co_await wait(*entry, Clock::time_point::max());
    }
    CAMBRIAN_ASSERT(entry->answer.has_value());
    co_return std::move(*entry->answer);
  }

 private:
  /// Shared by the call that made it and by the one that carries it out.
  struct Entry {
    Entry(const boost::asio::any_io_executor& executor, Request asked)
        : request(std::move(asked)),
          woken(executor, boost::asio::steady_timer::time_point::max()) {}
    Request request;
    boost::asio::steady_timer woken;
    bool waits = true;  // Nobody carries it out yet.
    bool leads = false;
    Clock::time_point started;                   // Of a leader.
    std::vector<std::shared_ptr<Entry>> others;  // Whom it carries out beside itself.
    std::optional<Result<Answer>> answer;
  };
  using EntryPtr = std::shared_ptr<Entry>;

  bool may_start() const {
    return waiting_.size() >= limits_.together ? running_.size() < limits_.parallel
                                               : Clock::now() >= next_start();
  }

  /// When the next transaction may begin although none ends.
  Clock::time_point next_start() const {
    if (running_.empty()) return rested_at_;
    if (running_.size() >= limits_.parallel) return Clock::time_point::max();
    return std::ranges::max(running_) + limits_.patience;
  }

  /// Until then, or until somebody wakes it.
  static boost::asio::awaitable<void> wait(Entry& entry, Clock::time_point end) {
    entry.woken.expires_at(end);
    co_await entry.woken.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  }

  boost::asio::awaitable<void> lead(EntryPtr leader) {
    auto batch = std::move(leader->others);
    batch.insert(batch.begin(), leader);
    std::vector<Request> requests;
    for (const auto& entry : batch) requests.push_back(entry->request);
    auto answers = co_await run_(std::move(requests));
    if (!answers && batch.size() > 1 && may_be_of_one(answers.error().code)) {
      for (const auto& entry : batch) {
        std::vector<Request> one(1, entry->request);
        auto alone = co_await run_(std::move(one));
        entry->answer = answer_of(alone, 0);
      }
    } else {
      for (std::size_t i = 0; i < batch.size(); ++i) batch[i]->answer = answer_of(answers, i);
    }
    for (const auto& entry : batch) entry->woken.cancel();
    running_.erase(std::ranges::find(running_, leader->started));
    const auto now = Clock::now();
    const auto took = std::chrono::duration<double>(now - leader->started);
    rested_at_ = now + std::min(std::chrono::duration_cast<Clock::duration>(took * limits_.rest),
                                Clock::duration(kRestMax));
    if (waiting_.empty()) co_return;
    if (may_start()) {
      appoint_leader();
    } else {
      waiting_.front()->woken.cancel();  // Its turn may come sooner now.
    }
  }

  static bool may_be_of_one(Errc code) {
    return code != Errc::unavailable && code != Errc::exhausted && code != Errc::outcome_unknown;
  }

  static Result<Answer> answer_of(Result<std::vector<Answer>>& answers, std::size_t place) {
    if (!answers) return fail(answers.error());
    return std::move((*answers)[place]);
  }

  /// Those who wait go next, in the order in which they came.
  void appoint_leader() {
    const auto leader = waiting_.front();
    const auto count = std::min(limits_.together, waiting_.size());
    const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(count);
    leader->leads = true;
    leader->started = Clock::now();
    running_.push_back(leader->started);
    leader->others.assign(waiting_.begin() + 1, end);
    for (auto entry = waiting_.begin(); entry != end; ++entry) (*entry)->waits = false;
    waiting_.erase(waiting_.begin(), end);
    leader->woken.cancel();
  }

  Limits limits_;
  Run run_;
  std::vector<Clock::time_point> running_;  // When they started.
  Clock::time_point rested_at_{};
  std::deque<EntryPtr> waiting_;
};

}  // namespace cambrian::coordinator::postgres
