#pragma once

#include <memory>
#include <string>

#include "tests/integration/coordinator/fixture.hpp"
#include "tests/support/postgres.hpp"

namespace cambrian::bench {

/// A private PostgreSQL with its durable defaults, and a coordinator on it. Everything lies in
/// temporary folders and ends with this object.
class Stage {
 public:
  Stage();

  const std::string& database() const { return database_; }
  test::CoordinatorProcess& coordinator() { return *coordinator_; }
  test::User& user() { return *user_; }

  /// Makes the campaign of the queue's parts, which nobody drives: what is measured is the queue
  /// alone, and its items are those of `add_ready`. With a history of finished work of another
  /// campaign in all tables that a claim or a report touches.
  void fill(std::int64_t finished_rows);
  /// Evaluations that wait for an agent, each of a variant of its own.
  void add_ready(std::int64_t count);
  /// Evaluations that are leased to `agents` agents, FIRST-0 to FIRST-(n-1), each under epoch 1,
  /// for an hour. Returns the id of the first item; the others follow.
  std::int64_t add_leased(std::int64_t count, const std::string& first);
  /// Withdraws what is open, and clears up behind the part before.
  void clear();

  void execute(const std::string& sql);
  std::int64_t number(const std::string& sql) { return test::query_number(database_, sql); }

 private:
  void add_items(std::int64_t count, const std::string& columns, const std::string& values);

  test::PrivatePostgres postgres_;
  std::string database_;
  std::unique_ptr<test::CoordinatorProcess> coordinator_;
  std::unique_ptr<test::User> user_;
  std::int64_t next_number_ = 10'000;
};

}  // namespace cambrian::bench
