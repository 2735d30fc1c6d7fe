#pragma once

#include <optional>
#include <string>

#include "coordinator/ports/work.hpp"

/// Who may call, and who changed what.
namespace cambrian::coordinator {

enum class Role { admin, user, worker, codegen, viewer };

/// A token as it is stored: nothing here gives the token back.
struct TokenRecord {
  std::string id;
  std::string name;  ///< Whose it is.
  Role role = Role::viewer;
  std::string sha256;
  Instant created_at;
  std::optional<Instant> expires_at;
  std::optional<Instant> last_used_at;  ///< To about a minute.
  std::optional<Instant> revoked_at;
  /// Until `expires_at`, by the database's clock; negative behind it.
  std::optional<milliseconds> time_left;
};

/// A token to be stored.
struct TokenDefinition {
  std::string id;
  std::string name;
  Role role = Role::viewer;
  std::string sha256;
  std::optional<milliseconds> lifetime;  ///< Empty: until it is revoked.
};

/// Whose call it is. The default is that of a coordinator that requires no tokens.
struct Caller {
  std::string name;
  Role role = Role::admin;
  std::string token_id;  ///< Empty: no token was required.
};

enum class TokenProblem { none, missing, malformed, unknown, expired, revoked };

struct Identity {
  TokenProblem problem = TokenProblem::none;
  Caller caller;  ///< Only where there is no problem, or the token was good once.
};

/// A change, or one that was refused.
struct AuditEntry {
  Caller caller;
  std::string peer;    ///< Address from which the call came.
  std::string method;  ///< Name of the RPC.
  std::string object;  ///< What it was about.
};

struct AuditRecord {
  std::int64_t id = 0;
  Instant created_at;
  AuditEntry entry;
  std::string outcome;
};

/// What an entry of a new token is about.
inline std::string token_object(const std::string& name, const std::string& role,
                                const std::string& id) {
  return name + " role=" + role + " id=" + id;
}

/// Of an entry whose call has not ended, or ended with its coordinator.
inline constexpr const char* kAuditBegun = "BEGUN";

}  // namespace cambrian::coordinator
