#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <set>

#include "common/blob/blob_client.hpp"
#include "tests/integration/coordinator/replay_check.hpp"

using namespace cambrian;
using namespace cambrian::test;

namespace {

constexpr const char* kSeed = "double answer() { return 0.5 * 1.25 + 3; }  // 0.75\n";

/// Half of the proposals tune.
spec::v1::CampaignSpec make_tuning_spec(Service& service, const std::string& name,
                                        int evaluations) {
  service.user.register_task(kSeed);
  auto spec = service.user.make_spec(name, evaluations);
  for (const auto kind : {spec::v1::OPERATOR_DIFF, spec::v1::OPERATOR_TUNE}) {
    auto* share = spec.mutable_search()->add_operators();
    share->set_kind(kind);
    share->set_weight(0.5);
  }
  return spec;
}

std::string source_of(Service& service, const user::v1::Variant& variant) {
  BlobClient blobs(service.coordinator.channel(), nullptr);
  REQUIRE(variant.files_size() == 1);
  const auto source = blobs.download(variant.files(0).sha256());
  REQUIRE(source);
  return *source;
}

std::vector<user::v1::Variant> tuned_variants(Service& service, const std::string& name) {
  auto variants = service.user.variants(name);
  std::erase_if(variants,
                [](const auto& one) { return one.operator_() != spec::v1::OPERATOR_TUNE; });
  return variants;
}

}  // namespace

TEST_CASE("coordinator: tune makes variants of its own accord, within the budget",
          "[integration][coordinator]") {
  Service service;
  const auto spec = make_tuning_spec(service, "tuned", 40);
  CHECK(service.user.create(spec).spec().search().tune_evaluations() == 40);
  REQUIRE(work_until_ended(service.user, "tuned", service.worker, service.codegen));
  const auto campaign = service.user.get("tuned");
  CHECK(campaign.state() == user::v1::CAMPAIGN_STATE_SUCCEEDED);
  CHECK(campaign.consumption().evaluations() == 40);
  const auto tuned = tuned_variants(service, "tuned");
  REQUIRE(tuned.size() >= 6);  // The first generation at least.
  std::set<std::string> sources;
  for (const auto& variant : tuned) {
    CAPTURE(variant.number());
    REQUIRE(variant.parents_size() == 1);
    CHECK(variant.parents(0) == 0);  // Sources of scripted clients are nowhere: they have none.
    CHECK(variant.rationale().starts_with("constants 0.5 1.25 to "));
    const auto source = source_of(service, variant);
    sources.insert(source);
    CHECK(source.starts_with("// EVOLVE-BLOCK-START\ndouble answer() { return "));
    CHECK(source.ends_with(" + 3; }  // 0.75\n// EVOLVE-BLOCK-END\n"));
  }
  CHECK(sources.size() == tuned.size());
  // They cost no tokens, and every variant that was asked for of a client did.
  const auto proposals =
      query_number(service.database,
                   "SELECT count(*) FROM work_item WHERE kind = 'proposal' AND state = 'done'");
  CHECK(campaign.consumption().tokens() == 100 * proposals);
  CHECK(campaign.consumption().proposals() ==
        query_number(service.database, "SELECT count(*) FROM proposal WHERE outcome IS NOT NULL"));
  CHECK(query_number(service.database,
                     "SELECT count(*) FROM proposal p JOIN work_item w USING (campaign_id, number)"
                     " WHERE w.kind = 'proposal' AND p.operator = 'tune'") == 0);
  check_replay(service.user, "tuned");
}

TEST_CASE("coordinator: tune goes on where a coordinator died", "[integration][coordinator]") {
  Service service;
  service.user.create(make_tuning_spec(service, "tuned", 30));
  for (int round = 0; round < 3; ++round) {
    // By the database: the first call to a new coordinator may still meet the old one's address.
    REQUIRE(eventually([&] {
      work_once(service.worker, service.codegen);
      return query_number(service.database,
                          "SELECT count(*) FROM variant WHERE operator = 'tune'") > 2 * round ||
             query_number(service.database,
                          "SELECT count(*) FROM campaign WHERE ended_at IS NOT NULL") > 0;
    }));
    service.crash_and_restart();
  }
  REQUIRE(work_until_ended(service.user, "tuned", service.worker, service.codegen));
  CHECK(service.user.get("tuned").consumption().evaluations() == 30);
  check_replay(service.user, "tuned");
}
