#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace cambrian::coordinator::postgres {

struct Migration {
  int version;
  std::string_view name;
  std::string_view sql;
};

/// The files of coordinator/migrations in order, as they were at build time.
std::span<const Migration> embedded_migrations();

/// Brings the schema up to date: each migration in one transaction, under an advisory lock, so that
/// several coordinators may start at once. Waits up to `patience` for a server that is away.
/// Blocks; for start-up. Errors: `unavailable` when no connection came about; `conflict` when a
/// migration that was applied has another checksum now; `internal` when one fails.
Status migrate(const std::string& connection, std::span<const Migration> migrations,
               std::chrono::milliseconds patience);

}  // namespace cambrian::coordinator::postgres
