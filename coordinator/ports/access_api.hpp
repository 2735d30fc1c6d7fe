#pragma once

#include <vector>

#include "common/base/secret.hpp"
#include "coordinator/ports/access.hpp"
#include "coordinator/ports/work_store.hpp"

namespace cambrian::coordinator {

/// Any executor; never blocks the caller. Every method may fail with `unavailable`, `exhausted` or
/// `deadline_exceeded`.
class TokenStore {
 public:
  virtual ~TokenStore() = default;

  /// Repeating it changes nothing. Errors: `already_exists` when the id is another token's;
  /// `exhausted` when there are too many.
  virtual awaitable<Result<TokenRecord>> create(TokenDefinition definition) = 0;

  /// All, newest first, ended ones too.
  virtual awaitable<Result<std::vector<TokenRecord>>> list() = 0;

  /// The token of this id, or all of this name. Repeating it changes nothing. Errors: `not_found`.
  virtual awaitable<Result<std::vector<TokenRecord>>> revoke(std::string id_or_name) = 0;

  /// Notes that they were used now.
  virtual awaitable<Status> note_used(std::vector<std::string> ids) = 0;
};

/// As TokenStore.
class AuditStore {
 public:
  virtual ~AuditStore() = default;

  /// Stores an entry and returns its id.
  virtual awaitable<Result<std::int64_t>> add(AuditEntry entry, std::string outcome) = 0;
  virtual awaitable<Status> set_outcome(std::int64_t id, std::string outcome) = 0;
  /// Entries with ids below `before` (0: all), newest first.
  virtual awaitable<Result<std::vector<AuditRecord>>> list(std::int64_t before, int count) = 0;
};

/// What the app offers to the server: who calls. On the app's thread.
class AccessApi {
 public:
  virtual ~AccessApi() = default;

  /// Whose token it is; empty: there was none. Where no tokens are required, everybody is an
  /// administrator without a name. Errors: `unavailable`, `exhausted`.
  virtual awaitable<Result<Identity>> identify(Secret token) = 0;

  /// Whether the caller's token is still good, from memory: for calls that last.
  virtual TokenProblem problem_of(const Caller& caller) const = 0;

  /// Tokens were changed here: looks at them at once.
  virtual awaitable<void> refresh() = 0;
};

}  // namespace cambrian::coordinator
