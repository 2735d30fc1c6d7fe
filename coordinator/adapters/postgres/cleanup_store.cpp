#include "coordinator/adapters/postgres/cleanup_store.hpp"

#include "common/log/log.hpp"

namespace cambrian::coordinator::postgres {
namespace {

// The lock keeps a second coordinator from the same rows: it takes another campaign.
constexpr const char* kFindDeleting =
    "SELECT id FROM campaign WHERE is_deleting ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED";
// Items first: without its item nobody adds anything to an evaluation. The attempts of an item,
// which go with it, are few. By ctid, as an array: no statement walks a table.
constexpr std::array kPurges = {
    "DELETE FROM work_item WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM work_item WHERE campaign_id = $1 LIMIT $2))",
    "DELETE FROM result WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM result WHERE campaign_id = $1 LIMIT $2))",
    "DELETE FROM rung WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM rung WHERE campaign_id = $1 LIMIT $2))",
    "DELETE FROM control WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM control WHERE campaign_id = $1 LIMIT $2))",
    "DELETE FROM evaluation WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM evaluation WHERE campaign_id = $1 LIMIT $2))",
    "DELETE FROM variant WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM variant WHERE campaign_id = $1 LIMIT $2))",
    "DELETE FROM proposal WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM proposal WHERE campaign_id = $1 LIMIT $2))",
    "DELETE FROM model_call WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM model_call WHERE campaign_id = $1 LIMIT $2))",
    "DELETE FROM event WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM event WHERE campaign_id = $1 LIMIT $2))",
    "DELETE FROM campaign_request WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM campaign_request WHERE campaign_id = $1 LIMIT $2))"};
constexpr const char* kDelete = "DELETE FROM campaign WHERE id = $1";
// One at a time, as above. Nobody waits for it but who reports to a campaign that ended long ago.
constexpr const char* kFindOld =
    "SELECT id, name, compacted_to FROM campaign WHERE ended_at IS NOT NULL AND NOT is_compacted"
    " AND ended_at < now() - $1 * interval '1 millisecond' AND NOT is_deleting"
    " ORDER BY ended_at LIMIT 1 FOR UPDATE SKIP LOCKED";
constexpr const char* kDropItems =
    "DELETE FROM work_item WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM work_item WHERE campaign_id = $1 LIMIT $2))";
// By their numbers, which are dense but for controls: what is done is not looked at again.
constexpr const char* kDropOutputs =
    "UPDATE evaluation SET log = '', diagnostics = '' WHERE campaign_id = $1 AND number > $2"
    " AND number <= $2 + $3 AND (log <> '' OR diagnostics <> '')";
constexpr const char* kDropAnswers =
    "UPDATE proposal SET result_variants = '[]', rejections = '[]' WHERE campaign_id = $1"
    " AND number > $2 AND number <= $2 + $3"
    " AND (result_variants <> '[]' OR rejections <> '[]')";
constexpr const char* kNoteCompacted =
    "UPDATE campaign SET compacted_to = $2, is_compacted = $2 >= greatest("
    " (SELECT coalesce(max(number), 0) FROM evaluation WHERE campaign_id = $1"
    "  AND number < 1000000000000),"
    " (SELECT coalesce(max(number), 0) FROM proposal WHERE campaign_id = $1))"
    " WHERE id = $1 RETURNING is_compacted";
constexpr const char* kForgetAgents =
    "DELETE FROM agent WHERE last_sync_at < now() - interval '7 days'";
constexpr const char* kForgetDeletions =
    "DELETE FROM campaign_deletion WHERE created_at < now() - interval '1 day'";
constexpr const char* kForgetTokens =
    "DELETE FROM access_token WHERE revoked_at < now() - interval '90 days'"
    " OR expires_at < now() - interval '90 days'";
// By age alone: whoever could push out entries by making others could hide what it did. Some of
// them each hour, looked for among the oldest.
constexpr const char* kForgetAudit =
    "DELETE FROM audit_entry WHERE id = ANY(ARRAY(SELECT id FROM"
    " (SELECT id, created_at FROM audit_entry ORDER BY id LIMIT 100000) oldest"
    " WHERE created_at < now() - interval '365 days'))";
// What was just uploaded is about to be named by the release that comes behind it.
constexpr const char* kForgetCheckpoints =
    "DELETE FROM blob b WHERE b.is_checkpoint AND b.created_at < now() - interval '1 hour'"
    " AND NOT EXISTS (SELECT 1 FROM work_item w WHERE w.checkpoint = b.sha256"
    "  AND w.state IN ('ready', 'leased'))";
// Nor are those found that are being made: their evaluations have keys with the salt of before.
constexpr const char* kDisownResults = "UPDATE result_salt SET value = value + 1";
constexpr const char* kForgetRepeatability =
    "UPDATE task SET repeatability = 'unknown' WHERE repeatability <> 'unknown'";
// Keys that nobody looks for any more; the evaluations stay.
constexpr const char* kDeleteKeys = "DELETE FROM result";

}  // namespace

awaitable<Result<bool>> PostgresCleanupStore::purge(int count) {
  auto body = [count](pqxx::work& transaction) -> Result<bool> {
    const auto found = transaction.exec(kFindDeleting);
    if (found.empty()) return false;
    const auto campaign = found[0][0].as<std::int64_t>();
    for (const auto* sql : kPurges) {
      if (transaction.exec(sql, pqxx::params{campaign, count}).affected_rows() > 0) return true;
    }
    transaction.exec(kDelete, pqxx::params{campaign});
    return true;
  };
  co_return co_await database_.run(Lane::user, "campaign_purge", body);
}

awaitable<Result<bool>> PostgresCleanupStore::compact(milliseconds age, int count) {
  auto body = [age, count](pqxx::work& transaction) -> Result<bool> {
    const auto found = transaction.exec(kFindOld, pqxx::params{age.count()});
    if (found.empty()) return false;
    const auto campaign = found[0][0].as<std::int64_t>();
    if (transaction.exec(kDropItems, pqxx::params{campaign, count}).affected_rows() > 0) {
      return true;
    }
    const auto done = found[0][2].as<std::int64_t>();
    transaction.exec(kDropOutputs, pqxx::params{campaign, done, count});
    transaction.exec(kDropAnswers, pqxx::params{campaign, done, count});
    const auto row =
        transaction.exec(kNoteCompacted, pqxx::params{campaign, done + count}).one_row();
    if (row[0].as<bool>()) {
      log::info("campaign_compacted", {{"campaign", found[0][1].as<std::string>()}});
    }
    return true;
  };
  co_return co_await database_.run(Lane::user, "campaign_compact", body);
}

awaitable<Status> PostgresCleanupStore::forget() {
  auto body = [](pqxx::work& transaction) -> Status {
    transaction.exec(kForgetAgents);
    transaction.exec(kForgetDeletions);
    transaction.exec(kForgetTokens);
    transaction.exec(kForgetAudit);
    transaction.exec(kForgetCheckpoints);
    return {};
  };
  co_return co_await database_.run(Lane::driver, "forget", body);
}

awaitable<Result<std::int64_t>> PostgresCleanupStore::disown_results() {
  auto body = [](pqxx::work& transaction) -> Result<std::int64_t> {
    transaction.exec(kDisownResults);
    transaction.exec(kForgetRepeatability);
    return transaction.exec(kDeleteKeys).affected_rows();
  };
  co_return co_await database_.run(Lane::user, "results_disown", body);
}

}  // namespace cambrian::coordinator::postgres
