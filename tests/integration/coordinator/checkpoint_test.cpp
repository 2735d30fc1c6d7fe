// Checkpoints of interrupted trainings: who may leave one, who gets it, and when it goes.
#include <catch2/catch_test_macros.hpp>
#include <pqxx/pqxx>

#include "common/blob/blob_client.hpp"
#include "common/digest/sha256.hpp"
#include "common/rpc/channel.hpp"
#include "tests/integration/coordinator/fixture.hpp"

using namespace cambrian;
using namespace cambrian::test;

namespace {

constexpr auto kShutdown = agent::v1::RELEASE_REASON_SHUTDOWN;
constexpr milliseconds kUploadTime{20'000};

std::string upload_checkpoint(const std::shared_ptr<grpc::Channel>& channel,
                              const std::string& content) {
  const auto digest = BlobClient(channel, nullptr).upload_checkpoint(content, kUploadTime);
  REQUIRE(digest);
  return *digest;
}

agent::v1::Assignment claim_one(ScriptedAgent& worker) {
  auto claimed = worker.claim(1);
  REQUIRE(claimed.size() == 1);
  return claimed.front();
}

void execute(const std::string& database, const std::string& sql) {
  pqxx::connection connection(database);
  pqxx::work transaction(connection);
  transaction.exec(sql);
  transaction.commit();
}

std::int64_t count_blobs(const Service& service, const std::string& digest) {
  return query_number(service.database,
                      "SELECT count(*) FROM blob WHERE sha256 = '" + digest + "'");
}

/// Makes all checkpoints old enough to go, and waits for the housekeeping of a new coordinator.
void clean_up(Service& service) {
  execute(service.database, "UPDATE blob SET created_at = now() - interval '2 hours'");
  const std::string marker = upload_checkpoint(service.coordinator.channel(), "marker");
  execute(service.database, "UPDATE blob SET created_at = now() - interval '2 hours'");
  service.crash_and_restart();
  REQUIRE(eventually([&] { return count_blobs(service, marker) == 0; }));
}

}  // namespace

TEST_CASE("checkpoint: the next lease of the item carries it until there is a newer one",
          "[integration][coordinator]") {
  Service service;
  auto lease = service.start_and_claim_seed("resumed");
  CHECK(lease.evaluation().checkpoint().empty());
  const std::string first = upload_checkpoint(service.coordinator.channel(), "at step 10");
  REQUIRE(service.worker.release(lease.lease(), kShutdown, first).ok());
  auto other = service.make_worker("other");
  lease = claim_one(other);
  CHECK(lease.evaluation().checkpoint() == first);
  // Preempted before it had begun: what is known stays.
  REQUIRE(other.release(lease.lease(), kShutdown).ok());
  lease = claim_one(service.worker);
  CHECK(lease.evaluation().checkpoint() == first);
  const std::string second = upload_checkpoint(service.coordinator.channel(), "at step 20");
  REQUIRE(service.worker.release(lease.lease(), kShutdown, second).ok());
  lease = claim_one(other);
  CHECK(lease.evaluation().checkpoint() == second);
  // It may have been the checkpoint that made it fail.
  REQUIRE(other.finish(lease.lease(), failure(agent::v1::EVALUATION_OUTCOME_INFRASTRUCTURE)).ok());
  lease = claim_one(other);
  CHECK(lease.evaluation().checkpoint().empty());

  auto result = success(1);
  result.set_is_resumed(true);
  REQUIRE(other.finish(lease.lease(), result).ok());
  const auto variant =
      service.user.variant("resumed", service.user.variants("resumed").at(0).number());
  REQUIRE(variant.evaluations_size() == 1);
  CHECK(variant.evaluations(0).result().is_resumed());
  CHECK(variant.evaluations(0).attempts() == 5);
}

TEST_CASE("checkpoint: of a lost lease, of nobody, or of what is none, it is ignored",
          "[integration][coordinator]") {
  Service service;
  const auto stale = service.start_and_claim_seed("ignored");
  const std::string good = upload_checkpoint(service.coordinator.channel(), "good");
  const std::string forged = upload_checkpoint(service.coordinator.channel(), "forged");
  auto other = service.make_worker("other");
  // Somebody else's lease.
  REQUIRE(other.release(stale.lease(), kShutdown, forged).ok());
  REQUIRE(service.worker.release(stale.lease(), kShutdown, good).ok());
  auto lease = claim_one(other);
  CHECK(lease.evaluation().checkpoint() == good);
  // A lease of before.
  REQUIRE(service.worker.release(stale.lease(), kShutdown, forged).ok());
  CHECK(query_number(service.database,
                     "SELECT count(*) FROM work_item WHERE state = 'leased'"
                     " AND checkpoint = '" +
                         good + "'") == 1);
  // What nobody uploaded, and what is kept for good: the source of a variant.
  const std::string source = lease.evaluation().files(0).sha256();
  for (const std::string& digest : {std::string(64, 'a'), source}) {
    REQUIRE(other.release(lease.lease(), kShutdown, digest).ok());
    lease = claim_one(other);
    CHECK(lease.evaluation().checkpoint() == good);
  }
  CHECK(other.release(lease.lease(), kShutdown, "no digest").error_code() ==
        grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_CASE("checkpoint: it goes when its item has ended, and nothing else goes with it",
          "[integration][coordinator]") {
  Service service;
  auto lease = service.start_and_claim_seed("cleaned");
  const std::string checkpoint = upload_checkpoint(service.coordinator.channel(), "for a while");
  REQUIRE(service.worker.release(lease.lease(), kShutdown, checkpoint).ok());
  const std::string kept = upload_checkpoint(service.coordinator.channel(), "for good");
  REQUIRE(BlobClient(service.coordinator.channel(), nullptr).upload({"for good"}));
  // A source that somebody calls a checkpoint is none.
  const std::string source = lease.evaluation().files(0).sha256();
  const auto text = BlobClient(service.coordinator.channel(), nullptr).download(source);
  REQUIRE(text);
  CHECK(upload_checkpoint(service.coordinator.channel(), *text) == source);

  clean_up(service);
  CHECK(count_blobs(service, checkpoint) == 1);
  lease = claim_one(service.worker);
  CHECK(lease.evaluation().checkpoint() == checkpoint);
  REQUIRE(service.worker.finish(lease.lease(), success(1)).ok());
  clean_up(service);
  CHECK(count_blobs(service, checkpoint) == 0);
  CHECK(count_blobs(service, kept) == 1);
  CHECK(count_blobs(service, source) == 1);
}

TEST_CASE("checkpoint: all together take no more than a limit", "[integration][coordinator]") {
  Service service;
  upload_checkpoint(service.coordinator.channel(), "small");
  execute(service.database, "UPDATE blob SET size_bytes = 4294967290 WHERE is_checkpoint");
  const auto refused = BlobClient(service.coordinator.channel(), nullptr)
                           .upload_checkpoint("one byte too much", kUploadTime);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::exhausted);
}
