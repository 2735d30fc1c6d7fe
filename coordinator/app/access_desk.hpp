#pragma once

#include <chrono>
#include <map>
#include <set>

#include "coordinator/app/hub.hpp"
#include "coordinator/ports/access_api.hpp"

namespace cambrian::coordinator {

/// Knows whose token it is. Holds all tokens in memory, as digests, and looks at the database every
/// second: calls cost no query, a revocation counts within seconds, and agents are known through an
/// outage of the database. Lives on the app's single thread.
class AccessDesk final : public AccessApi {
 public:
  AccessDesk(TokenStore& tokens, Hub& hub, bool requires_tokens)
      : tokens_(tokens), hub_(hub), requires_tokens_(requires_tokens) {}

  awaitable<Result<Identity>> identify(Secret token) override;
  TokenProblem problem_of(const Caller& caller) const override;
  awaitable<void> refresh() override;

  /// Runs until the hub closes.
  awaitable<void> run_refresh();

  /// Calls with unknown tokens that wait for a look at once; more are told to come again.
  static constexpr int kLookersMax = 32;

 private:
  using Clock = std::chrono::steady_clock;
  struct Entry {
    TokenRecord record;
    std::optional<Clock::time_point> ends_at;
  };

  /// Looks at a table that was read after the call came. Many callers share one look.
  awaitable<Status> look_again();
  awaitable<Status> load();
  void take(std::vector<TokenRecord> records, Clock::time_point begun_at);
  static TokenProblem problem_of(const Entry& entry);

  TokenStore& tokens_;
  Hub& hub_;
  bool requires_tokens_;
  std::map<std::string, Entry> entries_;  ///< By id.
  std::set<std::string> used_;            ///< Since they were noted.
  /// When the look began whose entries are here, and when one was last tried.
  Clock::time_point seen_at_{};
  Clock::time_point tried_at_{};
  bool is_loading_ = false;
  int lookers_ = 0;
};

}  // namespace cambrian::coordinator
