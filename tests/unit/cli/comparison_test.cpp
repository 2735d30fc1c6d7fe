#include "cli/comparison/comparison.hpp"

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include "cli/comparison/report.hpp"

namespace cambrian::cli {
namespace {

using Catch::Approx;

/// Runs whose score falls from 10 to an end, `evaluations` long.
Arm arm_of(const std::string& label, const std::vector<double>& ends,
           std::size_t evaluations = 20) {
  Arm arm{label, {}};
  for (std::size_t i = 0; i < ends.size(); ++i) {
    Run run{label + "-" + std::to_string(i + 1), i + 1, {}, ends[i] + 0.5};
    for (std::size_t k = 1; k <= evaluations; ++k) {
      run.curve.push_back(k < 10 ? 10 : ends[i]);
    }
    arm.runs.push_back(std::move(run));
  }
  return arm;
}

Arms two_arms(const std::vector<double>& first, const std::vector<double>& second) {
  return {"packing", "excess", false, {arm_of("a", first), arm_of("b", second)}};
}

TEST_CASE("compare: shows a difference that is there", "[unit][cli]") {
  const auto arms = two_arms({1, 1.1, 1.2, 1.3, 1.4}, {2, 2.1, 2.2, 2.3, 2.4});
  const auto comparison = compare(arms, {.target = 1.25});
  REQUIRE(comparison);
  CHECK(comparison->evaluations == 20);
  CHECK(comparison->arms[0].median == 1.2);
  CHECK(comparison->arms[0].sealed == Approx(1.7));
  CHECK(comparison->arms[0].interval->low >= 1);
  CHECK(comparison->arms[0].interval->high <= 1.4);
  CHECK(comparison->arms[0].area == Approx((9 * 10 + 11 * 1.2) / 20));
  CHECK(comparison->arms[0].target->rate.ratio == 0.6);
  // Three runs need 10, two all 20: 70 evaluations for three successes.
  CHECK(comparison->arms[0].target->expected_evaluations == Approx(70.0 / 3));
  CHECK_FALSE(comparison->arms[1].target->expected_evaluations);
  REQUIRE(comparison->contrasts.size() == 2);  // In the search's and in the sealed score.
  for (const Contrast& contrast : comparison->contrasts) {
    CHECK(contrast.test.p == Approx(2.0 / 252));
    CHECK(contrast.probability_better == 1);  // Lower is better.
    CHECK(contrast.is_shown);
    CHECK(contrast.verdict == "a is better than b");
  }
  CHECK(comparison->notes.empty());
}

TEST_CASE("compare: says so when no difference is shown", "[unit][cli]") {
  const auto arms = two_arms({1, 1.4, 1.2, 1.3, 1.1}, {1.05, 1.45, 1.25, 1.35, 1.15});
  const auto comparison = compare(arms, {});
  REQUIRE(comparison);
  CHECK_FALSE(comparison->contrasts[0].is_shown);
  CHECK(comparison->contrasts[0].verdict == "no difference shown between a and b");
  CHECK(comparison_text(arms, *comparison, false).find("no difference shown") != std::string::npos);
}

TEST_CASE("compare: warns of too few runs, unequal budgets and flattering scores", "[unit][cli]") {
  auto arms = two_arms({1, 1.1, 1.2}, {2, 2.1, 2.2});
  arms.arms[1] = arm_of("b", {2, 2.1, 2.2}, 30);
  arms.arms[1].runs[0].sealed.reset();
  const auto comparison = compare(arms, {});
  REQUIRE(comparison);
  REQUIRE(comparison->notes.size() == 3);
  CHECK(comparison->notes[0].find("up to 30") != std::string::npos);
  CHECK(comparison->notes[1].find("too few runs") != std::string::npos);
  CHECK(comparison->notes[2].find("flattering") != std::string::npos);
  CHECK_FALSE(comparison->contrasts[0].is_shown);
  CHECK(comparison->contrasts.size() == 1);
  CHECK_FALSE(comparison->arms[1].sealed);
}

TEST_CASE("compare: corrects for the number of pairs", "[unit][cli]") {
  auto arms = two_arms({1, 1.1, 1.2, 1.3}, {2, 2.1, 2.2, 2.3});
  CHECK(compare(arms, {})->contrasts[0].is_shown);  // p = 2/70.
  arms.arms.push_back(arm_of("c", {1.05, 1.15, 1.25, 1.35}));
  const auto comparison = compare(arms, {});
  REQUIRE(comparison);
  CHECK(comparison->contrasts[0].test.p == Approx(2.0 / 70));
  CHECK(comparison->contrasts[0].p_adjusted == Approx(6.0 / 70));
  CHECK_FALSE(comparison->contrasts[0].is_shown);
}

TEST_CASE("compare: orients by the goal", "[unit][cli]") {
  auto arms = two_arms({1, 1.1, 1.2, 1.3}, {2, 2.1, 2.2, 2.3});
  arms.is_maximized = true;
  const auto comparison = compare(arms, {});
  CHECK(comparison->contrasts[0].verdict == "b is better than a");
  CHECK(comparison->contrasts[0].probability_better == 0);
}

TEST_CASE("compare: refuses what cannot be compared", "[unit][cli]") {
  auto arms = two_arms({1}, {2});
  arms.arms.pop_back();
  CHECK_FALSE(compare(arms, {}));
  arms.arms.push_back({"b", {}});
  CHECK_FALSE(compare(arms, {}));
  arms.arms[1] = arm_of("a", {2});
  CHECK_FALSE(compare(arms, {}));
  arms.arms[1] = arm_of("b", {2});
  arms.arms[1].runs[0].curve.clear();
  CHECK_FALSE(compare(arms, {}));
}

TEST_CASE("comparison_json: can be read back and compared again", "[unit][cli]") {
  const auto arms = two_arms({1, 1.1, 1.2, 1.3, 1.4}, {2, 2.1, 2.2, 2.3, 2.4});
  const CompareOptions options{.target = 1.25};
  const auto comparison = compare(arms, options);
  REQUIRE(comparison);
  const auto json = comparison_json(arms, *comparison, options);
  CHECK(json["arms"][0]["median"] == 1.2);
  CHECK(json["comparisons"][0]["first"] == "a");
  CHECK(json["comparisons"][0]["effect"] == "large");
  const auto back = read_arms(json.dump());
  REQUIRE(back);
  const auto again = compare(*back, options);
  REQUIRE(again);
  CHECK(comparison_json(*back, *again, options) == json);
  CHECK_FALSE(read_arms("{"));
  CHECK_FALSE(read_arms(R"({"arms": []})"));
  const auto brief =
      read_arms(R"({"is_maximized": true, "arms": [{"label": "x", "runs": [{"best": 3}]}]})");
  REQUIRE(brief);
  CHECK(brief->arms[0].runs[0].curve == std::vector<double>{3});
}

TEST_CASE("curves_svg: draws every arm, with labels that cannot break out", "[unit][cli]") {
  auto arms = two_arms({1, 1.1}, {2, 2.1});
  arms.arms[0].label = "<b>&\"";
  const auto comparison = compare(arms, {});
  REQUIRE(comparison);
  for (const std::string& svg : {curves_svg(arms, *comparison), finals_svg(arms, *comparison)}) {
    CHECK(svg.starts_with("<svg "));
    CHECK(svg.ends_with("</svg>\n"));
    CHECK(svg.find("&lt;b&gt;&amp;&quot;") != std::string::npos);
    CHECK(svg.find("<b>") == std::string::npos);
    CHECK(svg.find("nan") == std::string::npos);
    CHECK(svg.find("inf") == std::string::npos);
  }
  // All scores equal: an axis needs some width all the same.
  const auto flat = two_arms({10, 10}, {10, 10});
  CHECK(curves_svg(flat, *compare(flat, {})).find("nan") == std::string::npos);
}

}  // namespace
}  // namespace cambrian::cli
