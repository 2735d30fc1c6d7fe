#include "coordinator/app/access_desk.hpp"

#include <utility>

#include "common/digest/token.hpp"
#include "common/log/log.hpp"

namespace cambrian::coordinator {
namespace {

constexpr milliseconds kRefreshInterval{1'000};
/// Between two looks for tokens that are not known: guessing gets no faster than this, and costs
/// the database no more.
constexpr milliseconds kTokenLookInterval{100};
constexpr milliseconds kLookPause{10};
/// How often the uses of tokens are noted.
constexpr milliseconds kNoteInterval{60'000};

/// Counts one more as long as it lives.
class Counted {
 public:
  explicit Counted(int& count) : count_(count) { ++count_; }
  ~Counted() { --count_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  int& count_;
};

}  // namespace

awaitable<Result<Identity>> AccessDesk::identify(Secret token) {
  if (!requires_tokens_) co_return Identity{};
  if (token.is_empty()) co_return Identity{TokenProblem::missing, {}};
  const auto id = token_id(token.reveal());
  if (!id) co_return Identity{TokenProblem::malformed, {}};
  if (!entries_.contains(*id)) CAMBRIAN_CO_TRY_STATUS(co_await look_again());
  const auto found = entries_.find(*id);
  if (found == entries_.end() ||
      !is_same_digest(found->second.record.sha256, token_digest(token.reveal()))) {
    co_return Identity{TokenProblem::unknown, {}};
  }
  const auto& record = found->second.record;
  const auto problem = problem_of(found->second);
  if (problem == TokenProblem::none) used_.insert(record.id);
  co_return Identity{problem, {.name = record.name, .role = record.role, .token_id = record.id}};
}

TokenProblem AccessDesk::problem_of(const Caller& caller) const {
  if (!requires_tokens_) return TokenProblem::none;
  const auto found = entries_.find(caller.token_id);
  return found == entries_.end() ? TokenProblem::unknown : problem_of(found->second);
}

TokenProblem AccessDesk::problem_of(const Entry& entry) {
  if (entry.record.revoked_at) return TokenProblem::revoked;
  if (entry.ends_at && Clock::now() >= *entry.ends_at) return TokenProblem::expired;
  return TokenProblem::none;
}

awaitable<void> AccessDesk::refresh() {
  const auto status = co_await look_again();
  if (!status) log::debug("token_look_failed", {{"reason", status.error().message}});
}

awaitable<void> AccessDesk::run_refresh() {
  auto noted_at = Clock::now();
  while (requires_tokens_ && !hub_.is_closed()) {
    co_await refresh();
    if (!used_.empty() && Clock::now() - noted_at >= kNoteInterval) {
      noted_at = Clock::now();
      std::vector<std::string> ids(used_.begin(), used_.end());
      const auto noted = co_await tokens_.note_used(std::move(ids));
      if (noted) used_.clear();
    }
    co_await hub_.pause(kRefreshInterval);
  }
}

awaitable<Status> AccessDesk::look_again() {
  if (lookers_ >= kLookersMax) {
    co_return fail(Errc::exhausted, "too many calls with unknown tokens at once");
  }
  const Counted looker(lookers_);
  const auto came_at = Clock::now();
  while (seen_at_ < came_at && !hub_.is_closed()) {
    if (is_loading_ || Clock::now() - tried_at_ < kTokenLookInterval) {
      co_await hub_.pause(kLookPause);
    } else {
      CAMBRIAN_CO_TRY_STATUS(co_await load());
    }
  }
  // Not "unknown": an agent that hears this of its good token ends for good.
  if (seen_at_ < came_at) co_return fail(Errc::unavailable, "the coordinator is shutting down");
  co_return Status();
}

awaitable<Status> AccessDesk::load() {
  const auto begun_at = Clock::now();
  is_loading_ = true;
  auto records = co_await tokens_.list();
  is_loading_ = false;
  tried_at_ = Clock::now();
  if (!records) co_return fail(records.error());
  take(std::move(*records), begun_at);
  co_return Status();
}

void AccessDesk::take(std::vector<TokenRecord> records, Clock::time_point begun_at) {
  bool has_fewer = false;
  std::map<std::string, Entry> entries;
  for (auto& record : records) {
    std::optional<Clock::time_point> ends_at;
    if (record.time_left) ends_at = begun_at + *record.time_left;
    auto id = record.id;
    const auto known = entries_.find(id);
    has_fewer = has_fewer ||
                (record.revoked_at && known != entries_.end() && !known->second.record.revoked_at);
    entries.insert_or_assign(std::move(id), Entry{std::move(record), ends_at});
  }
  entries_ = std::move(entries);
  seen_at_ = begun_at;
  if (!has_fewer) return;
  log::info("tokens_revoked");
  // Who waits for work with one of them must not wait on. Revocations are rare: all may wake.
  for (const auto kind : {WorkKind::evaluation, WorkKind::proposal}) {
    hub_.notify(Topic::work(kind));
  }
}

}  // namespace cambrian::coordinator
