#include <catch2/catch_test_macros.hpp>

#include "tests/unit/coordinator/search_driver.hpp"

namespace cambrian::search {
namespace {

Settings repairing_settings() {
  Settings settings = settings_of(PolicyKind::islands);
  settings.islands = 1;
  settings.operators = {{Operator::diff, 1e-9}, {Operator::repair, 1}};
  settings.budget.evaluations = 60;
  return settings;
}

}  // namespace

TEST_CASE("repair: what failed is mended, and its child is one of the variant it came from",
          "[unit][search]") {
  Driver driver(repairing_settings());
  driver.start_with_seed(0.5);
  CHECK(driver.last_proposal().operation == Operator::diff);  // Nothing has failed yet.
  driver.answer(1, {"broken"});
  driver.fail(2);
  const RequestProposal repair = driver.last_proposal();
  CHECK(repair.operation == Operator::repair);
  CHECK(repair.parents == std::vector<VariantNumber>{{1}});
  CHECK(repair.failures == std::vector<VariantNumber>{{1}});
  CHECK(repair.inspirations == std::vector<VariantNumber>{{0}});
  driver.answer(2, {"mended"});
  REQUIRE(driver.last<AddVariant>().size() == 1);
  CHECK(driver.last<AddVariant>()[0].parents == std::vector<VariantNumber>{{1}});
  CHECK(driver.last<AddVariant>()[0].operation == Operator::repair);
  CHECK(driver.last<AddVariant>()[0].generation == 2);
  driver.score(3, 0.6);
  CHECK(driver.search.best() == Scored{VariantNumber{2}, 0.6});
  CHECK(driver.last_proposal().operation == Operator::diff);  // Each failure once.
}

TEST_CASE("repair: what fails again is mended once more, then no more", "[unit][search]") {
  Driver driver(repairing_settings());
  driver.start_with_seed(0.5);
  driver.answer(1, {"broken"});
  driver.fail(2, Outcome::crash);
  for (std::int64_t i = 2; i < 2 + kRepairsMax; ++i) {
    REQUIRE(driver.last_proposal().operation == Operator::repair);
    CHECK(driver.last_proposal().parents == std::vector<VariantNumber>{{i - 1}});
    CHECK(driver.last_proposal().inspirations == std::vector<VariantNumber>{{0}});
    driver.answer(i, {"still broken " + std::to_string(i)});
    driver.fail(i + 1, Outcome::crash);
  }
  CHECK(driver.last_proposal().operation == Operator::diff);
}

TEST_CASE("repair: what is not the program's fault is left alone", "[unit][search]") {
  for (const Outcome outcome : {Outcome::infrastructure, Outcome::stopped_early}) {
    Driver driver(repairing_settings());
    driver.start_with_seed(0.5);
    driver.answer(1, {"a"});
    driver.fail(2, outcome);
    CHECK(driver.last_proposal().operation == Operator::diff);
  }
}

TEST_CASE("repair: leaves the points of tune alone", "[unit][search]") {
  Settings settings = repairing_settings();
  settings.operators = {{Operator::diff, 1e-9}, {Operator::tune, 1e9}, {Operator::repair, 1e-3}};
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.send(ConstantsFound{VariantNumber{0}, {{0.5, 0, 1, false}}});
  while (driver.every<AddVariant>().size() < 30) {
    const auto open = driver.search.open_proposals();
    if (open.empty()) {
      driver.fail(driver.first_open_evaluation());
    } else {
      driver.answer(open[0].value, {"digest " + std::to_string(open[0].value)});
    }
  }
  int repairs = 0;
  for (const RequestProposal& request : driver.every<RequestProposal>()) {
    if (request.operation != Operator::repair) continue;
    ++repairs;
    const auto added = driver.every<AddVariant>();
    const auto number = static_cast<std::size_t>(request.parents[0].value);
    CHECK(added.at(number).operation != Operator::tune);
  }
  CHECK(repairs > 0);
}

TEST_CASE("repair: for the policy a mended variant is a child of the one the broken came from",
          "[unit][search]") {
  // clade chooses parents by their children: a repair and a second child of the seed are the same.
  const auto parents_after = [](bool is_repaired) {
    Settings settings = settings_of(PolicyKind::clade);
    settings.budget.evaluations = 200;
    settings.operators = {{Operator::diff, 1}};
    if (is_repaired) settings.operators.push_back({Operator::repair, 1e9});
    Driver driver(settings);
    driver.start_with_seed(0.5);
    for (std::int64_t i = 1; i <= kRepairsMax; ++i) {
      driver.answer(i, {"broken " + std::to_string(i)});
      driver.fail(i + 1);
      CHECK((driver.last_proposal().operation == Operator::repair) == is_repaired);
    }
    driver.answer(kRepairsMax + 1, {"fine"});
    driver.score(kRepairsMax + 2, 0.6);
    for (int i = 0; i < 150; ++i) driver.make_variant(0.3 + 0.002 * i);
    std::vector<std::vector<VariantNumber>> parents;
    for (const RequestProposal& request : driver.every<RequestProposal>()) {
      if (request.proposal.value > kRepairsMax + 1) parents.push_back(request.parents);
    }
    return parents;
  };
  CHECK(parents_after(true) == parents_after(false));
}

TEST_CASE("repair: an island mends its own failures", "[unit][search]") {
  Settings settings = repairing_settings();
  settings.islands = 2;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.answer(1, {"broken"});  // Of island 1.
  driver.fail(2);
  CHECK(driver.last_proposal().proposal == ProposalNumber{2});
  CHECK(driver.last_proposal().operation == Operator::diff);
  driver.answer(2, {"fine"});
  driver.score(3, 0.4);
  CHECK(driver.last_proposal().proposal == ProposalNumber{3});
  CHECK(driver.last_proposal().operation == Operator::repair);
  driver.answer(3, {"mended"});
  CHECK(driver.last<AddVariant>()[0].island == 1);
}

}  // namespace cambrian::search
