#pragma once

#include <atomic>
#include <functional>
#include <stop_token>
#include <string>
#include <thread>

#include "coordinator/adapters/postgres/database.hpp"
#include "coordinator/adapters/postgres/socket_watch.hpp"
#include "coordinator/ports/neighbours.hpp"

namespace cambrian::coordinator::postgres {

/// Coordinators that hear each other by LISTEN and NOTIFY. A commit that notifies holds a lock of
/// the whole database: so what is told is a transaction of its own, which waits for no disk.
class PostgresNeighbours final : public Neighbours {
 public:
  /// Called on a thread of its own, for what others told.
  using OnNews = std::function<void(News)>;

  /// `name` tells this coordinator from others. `connection` as for Database: one more is used.
  PostgresNeighbours(Database& database, std::string connection, std::string name, OnNews on_news);

  /// Hears no more. The destructor then waits for hardly anything, whatever the database does. Any
  /// thread.
  void stop();

  awaitable<Result<bool>> are_there() override;
  awaitable<Status> tell(News news) override;

 private:
  /// Listens until it is stopped or the connection is lost.
  void listen(const std::stop_token& stop);
  void run(const std::stop_token& stop);

  Database& database_;
  std::string connection_;
  std::string name_;
  OnNews on_news_;
  static constexpr int kNoBackend = 0;
  std::atomic<int> backend_ = kNoBackend;  ///< The server's process that we listen by.
  SocketWatch watch_;
  std::jthread listener_;  // Last: it uses all others.
};

}  // namespace cambrian::coordinator::postgres
