#pragma once

#include <map>
#include <string>
#include <variant>

#include "coordinator/adapters/postgres/database.hpp"
#include "coordinator/adapters/postgres/gather.hpp"
#include "coordinator/adapters/postgres/noted_agents.hpp"
#include "coordinator/ports/agent_store.hpp"
#include "coordinator/ports/content_store.hpp"

namespace cambrian::coordinator::postgres {

/// A content within a transaction. Errors: as BlobStore's.
Result<std::string> read_blob(pqxx::work& transaction, const std::string& sha256);
/// Stores a content under its digest, for good. Again: no change.
void put_blob(pqxx::work& transaction, const std::string& sha256, const std::string& content);
/// The same for some small ones at once, by their digests.
void put_blobs(pqxx::work& transaction, const std::map<std::string, std::string>& contents);

/// Errors: not_found.
Status check_task(pqxx::work& transaction, const std::string& digest);

/// Puts of several callers share transactions (`Gather`). One thread.
class PostgresBlobStore final : public BlobStore {
 public:
  explicit PostgresBlobStore(Database& database);

  awaitable<Result<std::vector<std::string>>> find_missing(
      std::vector<std::string> digests) override;
  awaitable<Status> put(std::string sha256, std::string content) override;
  awaitable<Status> put_checkpoint(std::string sha256, std::string content) override;
  awaitable<Result<std::string>> get(std::string sha256) override;

 private:
  struct Content {
    std::string sha256;
    std::string content;
  };

  awaitable<Result<std::vector<std::monostate>>> put_all(std::vector<Content> contents);

  Database& database_;
  Gather<Content, std::monostate> puts_;
};

class PostgresTaskStore final : public TaskStore {
 public:
  explicit PostgresTaskStore(Database& database) : database_(database) {}

  awaitable<Result<TaskRecord>> add(std::string digest, std::string name,
                                    std::string bundle) override;
  awaitable<Result<TaskRecord>> get(std::string digest) override;
  awaitable<Result<std::vector<TaskRecord>>> list(std::int64_t before, int count) override;

 private:
  Database& database_;
};

class PostgresAgentStore final : public AgentStore {
 public:
  PostgresAgentStore(Database& database, NotedAgents& noted) : database_(database), noted_(noted) {}

  awaitable<Result<std::vector<AgentRecord>>> list(bool with_lost, milliseconds lease) override;
  awaitable<Result<AgentRecord>> drain(std::string agent, milliseconds lease) override;
  awaitable<Result<std::string>> release(std::string worker) override;
  awaitable<Result<std::vector<ModelUsage>>> usage(std::string campaign) override;
  awaitable<Result<Overview>> overview(milliseconds lease) override;

 private:
  Database& database_;
  NotedAgents& noted_;
};

}  // namespace cambrian::coordinator::postgres
