#include "coordinator/adapters/postgres/access_store.hpp"

#include "coordinator/adapters/postgres/codec.hpp"

namespace cambrian::coordinator::postgres {
namespace {

/// Every coordinator holds all tokens in memory.
constexpr std::int64_t kTokensMax = 10'000;

// The columns of token_of; constant text put together at compile time, values only by params.
#define TOKEN_COLUMNS                                                                  \
  "SELECT id, name, role, sha256, (extract(epoch FROM created_at) * 1000000)::bigint," \
  " (extract(epoch FROM expires_at) * 1000000)::bigint,"                               \
  " (extract(epoch FROM last_used_at) * 1000000)::bigint,"                             \
  " (extract(epoch FROM revoked_at) * 1000000)::bigint,"                               \
  " (extract(epoch FROM expires_at - now()) * 1000)::bigint FROM access_token "
constexpr const char* kListTokens = TOKEN_COLUMNS "ORDER BY created_at DESC, id LIMIT $1";
constexpr const char* kFindTokens = TOKEN_COLUMNS "WHERE id = $1";
constexpr const char* kFindAny = TOKEN_COLUMNS "WHERE id = $1 OR name = $1 ORDER BY id";
#undef TOKEN_COLUMNS

constexpr const char* kInsertToken =
    "INSERT INTO access_token (id, name, role, sha256, expires_at)"
    " SELECT $1, $2, $3, $4,"
    " CASE WHEN $5::bigint > 0 THEN now() + $5::bigint * interval '1 millisecond' END"
    " WHERE (SELECT count(*) FROM access_token) < $6::bigint ON CONFLICT DO NOTHING";
constexpr const char* kRevoke =
    "UPDATE access_token SET revoked_at = now()"
    " WHERE (id = $1 OR name = $1) AND revoked_at IS NULL";
constexpr const char* kNoteUsed =
    "UPDATE access_token SET last_used_at = now() WHERE id = ANY($1::text[])"
    " AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')";

constexpr const char* kAddEntry =
    "INSERT INTO audit_entry (who, role, token_id, peer, method, object, outcome)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id";
constexpr const char* kSetOutcome = "UPDATE audit_entry SET outcome = $2 WHERE id = $1";
constexpr const char* kListEntries =
    "SELECT id, (extract(epoch FROM created_at) * 1000000)::bigint, who, role, token_id, peer,"
    " method, object, outcome FROM audit_entry WHERE ($1::bigint = 0 OR id < $1::bigint)"
    " ORDER BY id DESC LIMIT $2";

TokenRecord token_of(const pqxx::row& row) {
  TokenRecord record;
  record.id = row[0].as<std::string>();
  record.name = row[1].as<std::string>();
  record.role = known_word<Role>(row[2].view());
  record.sha256 = row[3].as<std::string>();
  record.created_at = instant_of(row[4]);
  record.expires_at = optional_instant_of(row[5]);
  record.last_used_at = optional_instant_of(row[6]);
  record.revoked_at = optional_instant_of(row[7]);
  if (const auto left = optional_of<std::int64_t>(row[8])) record.time_left = milliseconds(*left);
  return record;
}

Result<TokenRecord> create_token(pqxx::work& transaction, const TokenDefinition& definition) {
  const std::int64_t lifetime_ms = definition.lifetime ? definition.lifetime->count() : 0;
  transaction.exec(kInsertToken, pqxx::params{definition.id, definition.name, word(definition.role),
                                              definition.sha256, lifetime_ms, kTokensMax});
  const auto rows = transaction.exec(kFindTokens, pqxx::params{definition.id});
  if (rows.empty()) {
    return fail(Errc::exhausted, "there are too many tokens: count=" + std::to_string(kTokensMax));
  }
  auto record = token_of(rows[0]);
  if (record.sha256 == definition.sha256 && record.name == definition.name &&
      record.role == definition.role) {
    return record;
  }
  return fail(Errc::already_exists, "another token has this id: id=" + definition.id);
}

}  // namespace

awaitable<Result<TokenRecord>> PostgresTokenStore::create(TokenDefinition definition) {
  auto body = [definition = std::move(definition)](pqxx::work& transaction) {
    return create_token(transaction, definition);
  };
  co_return co_await database_.run(Lane::user, "token_create", std::move(body));
}

awaitable<Result<std::vector<TokenRecord>>> PostgresTokenStore::list() {
  auto body = [](pqxx::work& transaction) -> Result<std::vector<TokenRecord>> {
    std::vector<TokenRecord> records;
    for (const auto& row : transaction.exec(kListTokens, pqxx::params{kTokensMax})) {
      records.push_back(token_of(row));
    }
    return records;
  };
  co_return co_await database_.run(Lane::agent, "token_list", body);
}

awaitable<Result<std::vector<TokenRecord>>> PostgresTokenStore::revoke(std::string id_or_name) {
  auto body = [id_or_name = std::move(id_or_name)](
                  pqxx::work& transaction) -> Result<std::vector<TokenRecord>> {
    transaction.exec(kRevoke, pqxx::params{id_or_name});
    std::vector<TokenRecord> records;
    for (const auto& row : transaction.exec(kFindAny, pqxx::params{id_or_name})) {
      records.push_back(token_of(row));
    }
    if (records.empty()) return fail(Errc::not_found, "no such token: token=" + id_or_name);
    return records;
  };
  co_return co_await database_.run(Lane::user, "token_revoke", std::move(body));
}

awaitable<Status> PostgresTokenStore::note_used(std::vector<std::string> ids) {
  auto body = [array = text_array(ids)](pqxx::work& transaction) -> Status {
    transaction.exec(kNoteUsed, pqxx::params{array});
    return {};
  };
  co_return co_await database_.run(Lane::driver, "token_note_used", std::move(body));
}

awaitable<Result<std::int64_t>> PostgresAuditStore::add(AuditEntry entry, std::string outcome) {
  auto body = [entry = std::move(entry),
               outcome = std::move(outcome)](pqxx::work& transaction) -> Result<std::int64_t> {
    const auto row = transaction.exec(
        kAddEntry, pqxx::params{entry.caller.name, word(entry.caller.role), entry.caller.token_id,
                                entry.peer, entry.method, entry.object, outcome});
    return row[0][0].as<std::int64_t>();
  };
  co_return co_await database_.run(Lane::user, "audit_add", std::move(body));
}

awaitable<Status> PostgresAuditStore::set_outcome(std::int64_t id, std::string outcome) {
  auto body = [id, outcome = std::move(outcome)](pqxx::work& transaction) -> Status {
    transaction.exec(kSetOutcome, pqxx::params{id, outcome});
    return {};
  };
  co_return co_await database_.run(Lane::user, "audit_set_outcome", std::move(body));
}

awaitable<Result<std::vector<AuditRecord>>> PostgresAuditStore::list(std::int64_t before,
                                                                     int count) {
  auto body = [=](pqxx::work& transaction) -> Result<std::vector<AuditRecord>> {
    std::vector<AuditRecord> records;
    for (const auto& row : transaction.exec(kListEntries, pqxx::params{before, count})) {
      AuditRecord record;
      record.id = row[0].as<std::int64_t>();
      record.created_at = instant_of(row[1]);
      record.entry.caller = {.name = row[2].as<std::string>(),
                             .role = known_word<Role>(row[3].view()),
                             .token_id = row[4].as<std::string>()};
      record.entry.peer = row[5].as<std::string>();
      record.entry.method = row[6].as<std::string>();
      record.entry.object = row[7].as<std::string>();
      record.outcome = row[8].as<std::string>();
      records.push_back(std::move(record));
    }
    return records;
  };
  co_return co_await database_.run(Lane::user, "audit_list", body);
}

}  // namespace cambrian::coordinator::postgres
