#include "coordinator/adapters/postgres/driver_store.hpp"

#include <limits>

#include "coordinator/adapters/postgres/driver_step.hpp"

namespace cambrian::coordinator::postgres {
namespace {

constexpr const char* kAcquire =
    "UPDATE campaign SET driver_id = $1, driver_epoch = driver_epoch + 1,"
    " driver_expires_at = now() + $2 * interval '1 millisecond', accrued_at = now()"
    " WHERE id = ANY(ARRAY(SELECT id FROM campaign"
    "  WHERE state IN ('running', 'paused', 'draining', 'finalizing')"
    "  AND (driver_id IS NULL OR driver_expires_at < now())"
    "  ORDER BY id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED)) RETURNING id, driver_epoch";
// Running time is what drivers saw: a gap between two renewals counts up to one lease, so that a
// coordinator that was away does not use up the campaign's wall time.
constexpr const char* kRenewDrive =
    "UPDATE campaign c SET driver_expires_at = now() + $3 * interval '1 millisecond',"
    " running_ms = running_ms + CASE WHEN c.state = 'running' THEN"
    "  least(extract(epoch FROM now() - coalesce(accrued_at, now())) * 1000, $3)::bigint"
    "  ELSE 0 END, accrued_at = now()"
    " FROM unnest($1::bigint[], $2::bigint[]) AS l (id, epoch)"
    " WHERE c.id = l.id AND c.driver_epoch = l.epoch"
    " AND c.state IN ('running', 'paused', 'draining', 'finalizing')"
    " RETURNING c.id, c.driver_epoch, c.running_ms";
constexpr const char* kLoad =
    "SELECT name, definition, applied_sequence FROM campaign WHERE id = $1";
constexpr const char* kReadInputs =
    "SELECT sequence, type, payload FROM event WHERE campaign_id = $1 AND sequence > $2"
    " AND sequence <= $3 AND is_input ORDER BY sequence LIMIT $4";
constexpr const char* kApplied =
    "SELECT applied_sequence FROM campaign WHERE id = $1 AND driver_epoch = $2";
constexpr const char* kIsDriver =
    "SELECT 1 FROM campaign WHERE id = $1 AND driver_epoch = $2 FOR NO KEY UPDATE";
constexpr const char* kGiveUp =
    "UPDATE campaign c SET driver_id = NULL, driver_expires_at = NULL"
    " FROM unnest($1::bigint[], $2::bigint[]) AS l (id, epoch)"
    " WHERE c.id = l.id AND c.driver_epoch = l.epoch";

std::string campaign_array(const std::vector<DriverLease>& leases) {
  std::vector<std::int64_t> ids;
  for (const auto& lease : leases) ids.push_back(lease.campaign.value);
  return number_array(ids);
}

std::string epoch_array(const std::vector<DriverLease>& leases) {
  std::vector<std::int64_t> epochs;
  for (const auto& lease : leases) epochs.push_back(lease.epoch);
  return number_array(epochs);
}

std::vector<Input> inputs_of(pqxx::work& transaction, CampaignId campaign, std::int64_t after,
                             std::int64_t until, int count) {
  std::vector<Input> inputs;
  for (const auto& row :
       execute(transaction, kReadInputs, pqxx::params{campaign.value, after, until, count})) {
    inputs.push_back({row[0].as<std::int64_t>(), event_from_json(row[1].view(), json_of(row[2]))});
  }
  return inputs;
}

}  // namespace

awaitable<Result<std::vector<DriverLease>>> PostgresDriverStore::acquire(std::string driver,
                                                                         milliseconds duration,
                                                                         int count) {
  auto body = [driver = std::move(driver), duration,
               count](pqxx::work& transaction) -> Result<std::vector<DriverLease>> {
    std::vector<DriverLease> leases;
    for (const auto& row :
         execute(transaction, kAcquire, pqxx::params{driver, duration.count(), count})) {
      leases.push_back({CampaignId{row[0].as<std::int64_t>()}, row[1].as<std::int64_t>()});
    }
    return leases;
  };
  co_return co_await database_.run(Lane::driver, "driver_acquire", std::move(body),
                                   InDoubt::report);
}

awaitable<Result<std::vector<RenewedDriver>>> PostgresDriverStore::renew(
    std::vector<DriverLease> leases, milliseconds duration) {
  auto body = [leases = std::move(leases),
               duration](pqxx::work& transaction) -> Result<std::vector<RenewedDriver>> {
    std::vector<RenewedDriver> renewed;
    for (const auto& row :
         execute(transaction, kRenewDrive,
                 pqxx::params{campaign_array(leases), epoch_array(leases), duration.count()})) {
      renewed.push_back({{CampaignId{row[0].as<std::int64_t>()}, row[1].as<std::int64_t>()},
                         row[2].as<std::int64_t>()});
    }
    return renewed;
  };
  co_return co_await database_.run(Lane::driver, "driver_renew", std::move(body));
}

awaitable<Result<DrivenCampaign>> PostgresDriverStore::load(CampaignId campaign) {
  auto body = [campaign](pqxx::work& transaction) -> Result<DrivenCampaign> {
    const auto rows = execute(transaction, kLoad, pqxx::params{campaign.value});
    if (rows.empty()) {
      return fail(Errc::not_found, "no such campaign: id=" + std::to_string(campaign.value));
    }
    const auto row = rows[0];
    return DrivenCampaign{.name = row[0].as<std::string>(),
                          .settings = definition_from_json(json_of(row[1])).settings,
                          .applied_sequence = row[2].as<std::int64_t>()};
  };
  co_return co_await database_.run(Lane::driver, "driver_load", std::move(body));
}

awaitable<Result<std::vector<Input>>> PostgresDriverStore::read_inputs(CampaignId campaign,
                                                                       std::int64_t after,
                                                                       std::int64_t until,
                                                                       int count) {
  auto body = [=](pqxx::work& transaction) -> Result<std::vector<Input>> {
    return inputs_of(transaction, campaign, after, until, count);
  };
  co_return co_await database_.run(Lane::driver, "driver_read_inputs", std::move(body));
}

awaitable<Result<std::vector<Input>>> PostgresDriverStore::next_inputs(DriverLease lease,
                                                                       std::int64_t applied,
                                                                       int count) {
  auto body = [=](pqxx::work& transaction) -> Result<std::vector<Input>> {
    const auto rows =
        execute(transaction, kApplied, pqxx::params{lease.campaign.value, lease.epoch});
    if (rows.empty()) return fail(Errc::conflict, "another coordinator drives the campaign");
    // A database that came back from a failover may have forgotten what it had acknowledged.
    if (rows[0][0].as<std::int64_t>() != applied) return fail(applied_differs(rows[0][0]));
    return inputs_of(transaction, lease.campaign, applied, std::numeric_limits<std::int64_t>::max(),
                     count);
  };
  co_return co_await database_.run(Lane::driver, "driver_next_inputs", std::move(body));
}

awaitable<Result<StepState>> PostgresDriverStore::commit(DriverStep step) {
  auto body = [step = std::move(step)](pqxx::work& transaction) {
    return carry_out(transaction, step);
  };
  co_return co_await database_.run(Lane::driver, "driver_commit", std::move(body), InDoubt::report);
}

awaitable<Status> PostgresDriverStore::append_time(DriverLease lease, std::int64_t running_ms) {
  auto body = [=](pqxx::work& transaction) -> Status {
    if (execute(transaction, kIsDriver, pqxx::params{lease.campaign.value, lease.epoch}).empty()) {
      return fail(Errc::conflict, "another coordinator drives the campaign");
    }
    append_event(transaction, lease.campaign,
                 make_input(search::TimePassed{running_ms},
                            "has run for " + std::to_string(running_ms / 1000) + " s"));
    return {};
  };
  co_return co_await database_.run(Lane::driver, "driver_append_time", std::move(body),
                                   InDoubt::report);
}

awaitable<Status> PostgresDriverStore::give_up(std::vector<DriverLease> leases) {
  auto body = [leases = std::move(leases)](pqxx::work& transaction) -> Status {
    execute(transaction, kGiveUp, pqxx::params{campaign_array(leases), epoch_array(leases)});
    return {};
  };
  co_return co_await database_.run(Lane::driver, "driver_give_up", std::move(body));
}

}  // namespace cambrian::coordinator::postgres
