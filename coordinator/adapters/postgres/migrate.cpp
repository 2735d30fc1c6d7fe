#include "coordinator/adapters/postgres/migrate.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <pqxx/pqxx>

#include "common/digest/sha256.hpp"
#include "common/failpoint/failpoint.hpp"
#include "common/log/log.hpp"
#include "coordinator/adapters/postgres/session.hpp"

namespace cambrian::coordinator::postgres {
namespace {

// Any constant will do; it must only be the same in every release.
constexpr std::int64_t kAdvisoryLock = 0x63616d627269616e;
constexpr std::chrono::milliseconds kRetryInterval{500};

constexpr const char* kCreateTable =
    "CREATE TABLE IF NOT EXISTS schema_migration ("
    " version integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,"
    " applied_at timestamptz NOT NULL DEFAULT now())";

/// One migration, or the check that it is the one applied before.
Status apply(pqxx::connection& connection, const Migration& migration) {
  const auto checksum = sha256_hex(migration.sql);
  pqxx::work transaction(connection);
  transaction.exec("SELECT pg_advisory_xact_lock($1)", pqxx::params{kAdvisoryLock});
  transaction.exec(kCreateTable);
  const auto known = transaction.exec("SELECT sha256 FROM schema_migration WHERE version = $1",
                                      pqxx::params{migration.version});
  if (!known.empty()) {
    if (known[0][0].as<std::string>() == checksum) return {};
    return fail(Errc::conflict,
                "migration was applied with another checksum, use the release that "
                "made this database or a new database: migration=" +
                    std::string(migration.name));
  }
  transaction.exec(migration.sql);
  transaction.exec("INSERT INTO schema_migration (version, name, sha256) VALUES ($1, $2, $3)",
                   pqxx::params{migration.version, std::string(migration.name), checksum});
  CAMBRIAN_FAILPOINT("migration", "before_commit");
  transaction.commit();
  CAMBRIAN_FAILPOINT("migration", "after_commit");
  log::info("migration_applied", {{"migration", migration.name}});
  return {};
}

Status check_version(pqxx::connection& connection) {
  if (connection.server_version() >= 150000) return {};
  return fail(Errc::conflict, "PostgreSQL 15 or later is needed: server_version=" +
                                  std::to_string(connection.server_version()));
}

Status migrate_once(const std::string& address, std::span<const Migration> migrations) {
  try {
    pqxx::connection connection(address);
    CAMBRIAN_TRY_STATUS(check_version(connection));
    pqxx::nontransaction(connection).exec("SET client_min_messages = warning");
    for (const auto& migration : migrations) CAMBRIAN_TRY_STATUS(apply(connection, migration));
    return {};
  } catch (const pqxx::in_doubt_error& error) {
    return fail(Errc::unavailable, first_line(error.what()));  // The next look tells.
  } catch (const pqxx::broken_connection& error) {
    return fail(Errc::unavailable, first_line(error.what()));
  } catch (const pqxx::sql_error& error) {
    // Away, or a step that wants whole tables stood in the way of others, or they in its way.
    const auto& state = error.sqlstate();
    const bool is_passing = state.starts_with("57P") || state == "40P01" || state == "55P03";
    return fail(is_passing ? Errc::unavailable : Errc::internal, first_line(error.what()));
  } catch (const std::exception& error) {
    return fail(Errc::internal, first_line(error.what()));
  }
}

}  // namespace

Status migrate(const std::string& connection, std::span<const Migration> migrations,
               std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  bool has_warned = false;
  while (true) {
    auto status = migrate_once(connection, migrations);
    if (status || status.error().code != Errc::unavailable) return status;
    if (std::chrono::steady_clock::now() >= deadline) {
      return fail(Errc::unavailable, "no connection to PostgreSQL: " + status.error().message);
    }
    if (!has_warned) log::warn("database_awaited", {{"reason", status.error().message}});
    has_warned = true;
    boost::asio::io_context context;
    boost::asio::steady_timer(context, kRetryInterval).wait();
  }
}

}  // namespace cambrian::coordinator::postgres
