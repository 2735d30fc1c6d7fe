#include "coordinator/token_command.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdio>

#include "common/digest/token.hpp"
#include "common/metrics/metrics.hpp"
#include "common/task/names.hpp"
#include "coordinator/adapters/postgres/access_store.hpp"
#include "coordinator/adapters/postgres/migrate.hpp"
#include "coordinator/ports/words.hpp"

namespace cambrian::coordinator {
namespace {

namespace asio = boost::asio;

awaitable<Status> store(TokenStore& tokens, AuditStore& audit, TokenDefinition definition) {
  AuditEntry entry{.caller = {.name = "cambrian-coordinator", .role = Role::admin, .token_id = {}},
                   .peer = "command line",
                   .method = "CreateToken",
                   .object = token_object(definition.name, word(definition.role), definition.id)};
  CAMBRIAN_CO_TRY(const auto id, co_await audit.add(std::move(entry), kAuditBegun));
  CAMBRIAN_CO_TRY_STATUS(co_await tokens.create(std::move(definition)));
  co_return co_await audit.set_outcome(id, "OK");
}

}  // namespace

Status create_token(const Config& config) {
  const auto& command = *config.token_command;
  if (!task::is_resource_name(command.name)) {
    return fail(Errc::invalid_argument,
                "--name must be lower case letters, digits and dashes: name=" + command.name);
  }
  CAMBRIAN_TRY_STATUS(
      postgres::migrate(config.database, postgres::embedded_migrations(), kDatabasePatience));
  metrics::Registry registry;
  postgres::Database database({.connection = config.database, .connections = postgres::kLanes},
                              registry);
  postgres::PostgresTokenStore tokens(database);
  postgres::PostgresAuditStore audit(database);
  const auto token = make_token();
  TokenDefinition definition{.id = token.id,
                             .name = command.name,
                             .role = known_word<Role>(command.role),
                             .sha256 = token.sha256,
                             .lifetime = {}};
  if (command.days > 0) definition.lifetime = std::chrono::days(command.days);
  Status status = fail(Errc::internal, "not run");
  asio::io_context context{1};
  asio::co_spawn(context, store(tokens, audit, std::move(definition)),
                 [&status](const std::exception_ptr& failure, Status stored) {
                   if (failure) std::rethrow_exception(failure);
                   status = std::move(stored);
                 });
  context.run();
  CAMBRIAN_TRY_STATUS(std::move(status));
  std::printf("%s\n", token.text.reveal().c_str());
  std::fprintf(stderr, "This is the only time that it is shown. Keep it in a file of mode 0600.\n");
  return {};
}

}  // namespace cambrian::coordinator
