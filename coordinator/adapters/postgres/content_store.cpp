#include "coordinator/adapters/postgres/content_store.hpp"

#include <zstd.h>

#include <algorithm>
#include <set>

#include "common/digest/sha256.hpp"
#include "coordinator/adapters/postgres/codec.hpp"

namespace cambrian::coordinator::postgres {
namespace {

// Sources compress to a quarter at this level in well under a millisecond each.
constexpr int kCompressionLevel = 3;
/// Contents up to this size share transactions. Most are sources of some kilobytes.
constexpr std::size_t kSmallBytes = 64 * 1024;
constexpr std::size_t kPutsTogether = 32;
constexpr std::size_t kPutsParallel = 2;
/// What a row may claim to unpack to; the same limit as on the wire.
constexpr std::int64_t kContentBytesMax = 64 * 1024 * 1024;

constexpr const char* kFindPresent =
    "SELECT sha256 FROM blob WHERE sha256 = ANY($1::text[]) AND NOT is_checkpoint";
constexpr const char* kPut =
    "INSERT INTO blob (sha256, size_bytes, content) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
// In the order of the digests: two of these never wait for each other in a circle.
constexpr const char* kPutAll =
    "INSERT INTO blob (sha256, size_bytes, content) SELECT r.* FROM"
    " unnest($1::text[], $2::bigint[], $3::bytea[]) AS r (sha256, size_bytes, content)"
    " ORDER BY sha256 ON CONFLICT DO NOTHING";
// A content that somebody needs for good is no checkpoint any more.
constexpr const char* kKeep =
    "UPDATE blob SET is_checkpoint = false WHERE sha256 = ANY($1::text[]) AND is_checkpoint";
constexpr const char* kSumCheckpoints =
    "SELECT coalesce(sum(size_bytes), 0)::bigint FROM blob WHERE is_checkpoint";
// What is kept for good stays so; what is stored again is young again.
constexpr const char* kPutCheckpoint =
    "INSERT INTO blob (sha256, size_bytes, content, is_checkpoint) VALUES ($1, $2, $3, true)"
    " ON CONFLICT (sha256) DO UPDATE SET created_at = now() WHERE blob.is_checkpoint";
constexpr const char* kGetContent = "SELECT size_bytes, content FROM blob WHERE sha256 = $1";
constexpr const char* kTaskExists = "SELECT 1 FROM task WHERE digest = $1";
constexpr const char* kAddTask =
    "INSERT INTO task (digest, name) VALUES ($1, $2) ON CONFLICT DO NOTHING";
constexpr const char* kGetTask =
    "SELECT t.id, t.digest, (extract(epoch FROM t.created_at) * 1000000)::bigint,"
    " b.size_bytes, b.content FROM task t JOIN blob b ON b.sha256 = t.digest WHERE t.digest = $1";
constexpr const char* kListTasks =
    "SELECT t.id, t.digest, (extract(epoch FROM t.created_at) * 1000000)::bigint,"
    " b.size_bytes, b.content FROM task t JOIN blob b ON b.sha256 = t.digest"
    " WHERE $1 = 0 OR t.id < $1 ORDER BY t.id DESC LIMIT $2";

std::string compress(const std::string& content) {
  std::string packed(ZSTD_compressBound(content.size()), '\0');
  const auto size = ZSTD_compress(packed.data(), packed.size(), content.data(), content.size(),
                                  kCompressionLevel);
  CAMBRIAN_ASSERT(ZSTD_isError(size) == 0);  // Only a too small target fails.
  packed.resize(size);
  return packed;
}

Result<std::string> unpack(const pqxx::field& size_field, const pqxx::field& content,
                           const std::string& sha256) {
  const auto size_bytes = size_field.as<std::int64_t>();
  const auto packed = content.as<pqxx::bytes>();
  if (size_bytes > kContentBytesMax) {
    return fail(Errc::internal, "stored content is too large: sha256=" + sha256);
  }
  std::string text(static_cast<std::size_t>(size_bytes), '\0');
  const auto size = ZSTD_decompress(text.data(), text.size(), packed.data(), packed.size());
  if (ZSTD_isError(size) != 0 || size != text.size() || sha256_hex(text) != sha256) {
    return fail(Errc::internal, "stored content is damaged: sha256=" + sha256);
  }
  return text;
}

Result<TaskRecord> task_of(const pqxx::row& row) {
  TaskRecord record{.id = row[0].as<std::int64_t>(),
                    .digest = row[1].as<std::string>(),
                    .bundle = "",
                    .created_at = instant_of(row[2])};
  CAMBRIAN_TRY(record.bundle, unpack(row[3], row[4], record.digest));
  return record;
}

Result<TaskRecord> find_task(pqxx::work& transaction, const std::string& digest) {
  const auto rows = transaction.exec(kGetTask, pqxx::params{digest});
  if (rows.empty()) return fail(Errc::not_found, "no such task: digest=" + digest);
  return task_of(rows[0]);
}

}  // namespace

void put_blob(pqxx::work& transaction, const std::string& sha256, const std::string& content) {
  const auto stored = execute(transaction, kPut,
                              pqxx::params{sha256, static_cast<std::int64_t>(content.size()),
                                           pqxx::binary_cast(compress(content))});
  if (stored.affected_rows() == 0) {
    execute(transaction, kKeep, pqxx::params{text_array(std::vector{sha256})});
  }
}

void put_blobs(pqxx::work& transaction, const std::map<std::string, std::string>& contents) {
  if (contents.empty()) return;
  std::vector<std::string> digests;
  std::vector<std::int64_t> sizes;
  std::vector<std::string> packed;
  for (const auto& [sha256, content] : contents) {
    digests.push_back(sha256);
    sizes.push_back(static_cast<std::int64_t>(content.size()));
    const auto bytes = compress(content);
    packed.push_back(transaction.conn().esc_raw(pqxx::binary_cast(bytes)));
  }
  const auto stored =
      execute(transaction, kPutAll,
              pqxx::params{text_array(digests), number_array(sizes), text_array(packed)});
  if (static_cast<std::size_t>(stored.affected_rows()) < contents.size()) {
    execute(transaction, kKeep, pqxx::params{text_array(digests)});
  }
}

Status check_task(pqxx::work& transaction, const std::string& digest) {
  if (!execute(transaction, kTaskExists, pqxx::params{digest}).empty()) return {};
  return fail(Errc::not_found, "no such task: digest=" + digest);
}

Result<std::string> read_blob(pqxx::work& transaction, const std::string& sha256) {
  const auto rows = execute(transaction, kGetContent, pqxx::params{sha256});
  if (rows.empty()) return fail(Errc::not_found, "no such content: sha256=" + sha256);
  return unpack(rows[0][0], rows[0][1], sha256);
}

awaitable<Result<std::vector<std::string>>> PostgresBlobStore::find_missing(
    std::vector<std::string> digests) {
  auto body =
      [digests = std::move(digests)](pqxx::work& transaction) -> Result<std::vector<std::string>> {
    std::vector<std::string> missing = digests;
    std::set<std::string, std::less<>> present;
    for (const auto& row : execute(transaction, kFindPresent, pqxx::params{text_array(digests)})) {
      present.insert(row[0].as<std::string>());
    }
    std::erase_if(missing, [&](const std::string& one) { return present.contains(one); });
    return missing;
  };
  co_return co_await database_.run(Lane::user, "blob_find_missing", std::move(body));
}

PostgresBlobStore::PostgresBlobStore(Database& database)
    : database_(database),
      puts_({.parallel = kPutsParallel, .together = kPutsTogether},
            [this](std::vector<Content> contents) { return put_all(std::move(contents)); }) {}

awaitable<Result<std::vector<std::monostate>>> PostgresBlobStore::put_all(
    std::vector<Content> contents) {
  const auto count = contents.size();
  std::map<std::string, std::string> by_digest;
  for (auto& one : contents) by_digest[std::move(one.sha256)] = std::move(one.content);
  auto body = [by_digest = std::move(by_digest),
               count](pqxx::work& transaction) -> Result<std::vector<std::monostate>> {
    put_blobs(transaction, by_digest);
    return std::vector<std::monostate>(count);
  };
  co_return co_await database_.run(Lane::blob, "blob_put", std::move(body));
}

awaitable<Status> PostgresBlobStore::put(std::string sha256, std::string content) {
  Content one{.sha256 = std::move(sha256), .content = std::move(content)};
  if (one.content.size() <= kSmallBytes) {
    CAMBRIAN_CO_TRY_STATUS(co_await puts_.ask(std::move(one)));
  } else {
    std::vector<Content> alone;
    alone.push_back(std::move(one));
    CAMBRIAN_CO_TRY_STATUS(co_await put_all(std::move(alone)));
  }
  co_return Status();
}

awaitable<Status> PostgresBlobStore::put_checkpoint(std::string sha256, std::string content) {
  auto body = [sha256 = std::move(sha256),
               content = std::move(content)](pqxx::work& transaction) -> Status {
    const auto size = static_cast<std::int64_t>(content.size());
    const auto stored = transaction.exec(kSumCheckpoints).one_row()[0].as<std::int64_t>();
    if (stored + size > kCheckpointBytesMax) {
      return fail(Errc::exhausted,
                  "too many checkpoints are kept: bytes=" + std::to_string(stored) +
                      " bytes_max=" + std::to_string(kCheckpointBytesMax));
    }
    transaction.exec(kPutCheckpoint,
                     pqxx::params{sha256, size, pqxx::binary_cast(compress(content))});
    return {};
  };
  co_return co_await database_.run(Lane::blob, "blob_put_checkpoint", std::move(body));
}

awaitable<Result<std::string>> PostgresBlobStore::get(std::string sha256) {
  auto body = [sha256 = std::move(sha256)](pqxx::work& transaction) {
    return read_blob(transaction, sha256);
  };
  co_return co_await database_.run(Lane::blob, "blob_get", std::move(body));
}

awaitable<Result<TaskRecord>> PostgresTaskStore::add(std::string digest, std::string name,
                                                     std::string bundle) {
  auto body = [=](pqxx::work& transaction) -> Result<TaskRecord> {
    put_blob(transaction, digest, bundle);
    transaction.exec(kAddTask, pqxx::params{digest, name});
    return find_task(transaction, digest);
  };
  co_return co_await database_.run(Lane::user, "task_add", std::move(body));
}

awaitable<Result<TaskRecord>> PostgresTaskStore::get(std::string digest) {
  auto body = [digest = std::move(digest)](pqxx::work& transaction) {
    return find_task(transaction, digest);
  };
  co_return co_await database_.run(Lane::user, "task_get", std::move(body));
}

awaitable<Result<std::vector<TaskRecord>>> PostgresTaskStore::list(std::int64_t before, int count) {
  auto body = [=](pqxx::work& transaction) -> Result<std::vector<TaskRecord>> {
    std::vector<TaskRecord> records;
    for (const auto& row : transaction.exec(kListTasks, pqxx::params{before, count})) {
      CAMBRIAN_TRY(auto record, task_of(row));
      records.push_back(std::move(record));
    }
    return records;
  };
  co_return co_await database_.run(Lane::user, "task_list", body);
}

}  // namespace cambrian::coordinator::postgres
