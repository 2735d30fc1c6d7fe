#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "cambrian/user/v1/campaign_service.pb.h"
#include "cli/output/diff.hpp"
#include "cli/output/document.hpp"
#include "cli/output/eta.hpp"
#include "cli/output/table.hpp"
#include "cli/output/terminal.hpp"
#include "cli/output/text.hpp"
#include "common/base/rng.hpp"
#include "common/config/reader.hpp"

namespace cambrian::cli {
namespace {

using namespace std::chrono_literals;

TEST_CASE("Table: aligns, cuts and hides wide columns", "[unit][cli]") {
  Table table(
      {{.title = "NAME"}, {.title = "N", .is_right = true}, {.title = "MORE", .is_wide = true}});
  table.add({"größe", "7", "x"});
  table.add({"a", "1234", "two\nlines"});
  CHECK(table.render({}) == "NAME      N\ngröße     7\na      1234\n");
  CHECK(table.render({.wide = true}) ==
        "NAME      N  MORE\ngröße     7  x\na      1234  two lines\n");
  CHECK(table.render({.columns = 8}) == "NAME   …\ngröße  …\na      …\n");
}

TEST_CASE("printable: takes away what a terminal would obey", "[unit][cli]") {
  CHECK(printable("a\x1b[31mb\nc\td\x7f") == "a [31mb c d ");
  CHECK(printable("\xc2\x9b"
                  "2J") == " 2J");
  CHECK(printable("größe") == "größe");
  CHECK(printable_lines("a\n\tb\r") == "a\n\tb ");
}

TEST_CASE("format_number: is short and keeps whole numbers whole", "[unit][cli]") {
  CHECK(format_number(0) == "0");
  CHECK(format_number(0.873123) == "0.87312");
  CHECK(format_number(123456) == "123456");
  CHECK(format_number(-1.5) == "-1.5");
  CHECK(format_number(1.2e-5) == "1.2e-05");
  CHECK(format_delta(0.0412) == "+0.0412");
  CHECK(format_delta(-2) == "-2");
  CHECK(format_count(999) == "999");
  CHECK(format_count(12345) == "12.3k");
  CHECK(format_count(4'567'890) == "4.56M");
  CHECK(format_cost(1'250'000) == "$1.25");
  CHECK(format_cost(1500) == "$0.0015");
  CHECK(format_cost(0) == "$0.00");
}

TEST_CASE("format_estimate: shows no digits that the interval makes meaningless", "[unit][cli]") {
  CHECK(format_estimate(0.822331, 0.01793) == "0.822 ±0.018");
  CHECK(format_estimate(0.899600, 0.00392) == "0.8996 ±0.0039");
  CHECK(format_estimate(4252.7, 1990) == "4253 ±1990");
  CHECK(format_estimate(2068.33, 15.2) == "2068 ±15");
  CHECK(format_estimate(7960, 0) == "7960 ±0");
  CHECK(format_estimate(1.5e-11, 2e-12) == "1.5e-11 ±2e-12");
  CHECK(format_delta(0.077267, 0.01793) == "+0.077");
  CHECK(format_delta(-2923.3, 1990) == "-2923");
  CHECK(format_delta(77682, 0) == "+77682");
}

TEST_CASE("format_fields: puts the values below each other and leaves empty ones out",
          "[unit][cli]") {
  CHECK(format_fields({{"name", "a"}, {"reason", ""}, {"a_long_metric_name", "1"}}) ==
        "name                a\na_long_metric_name  1\n");
}

TEST_CASE("format_duration: shows the two largest units", "[unit][cli]") {
  CHECK(format_duration(12ms) == "12ms");
  CHECK(format_duration(950ms) == "0.9s");
  CHECK(format_duration(45s) == "45s");
  CHECK(format_duration(80s) == "1m20s");
  CHECK(format_duration(2h) == "2h");
  CHECK(format_duration(49h) == "2d1h");
  CHECK(format_duration(-5s) == "0.0s");
}

TEST_CASE("short_enum: drops the prefix", "[unit][cli]") {
  CHECK(short_enum("POLICY_HILL_CLIMB", "POLICY_") == "hill_climb");
  CHECK(short_enum("POLICY_UNSPECIFIED", "POLICY_") == "-");
}

TEST_CASE("to_json: is proto3 JSON with the names of the files", "[unit][cli]") {
  user::v1::Campaign campaign;
  campaign.set_name("a");
  campaign.set_best_score(0.5);
  campaign.mutable_create_time()->set_seconds(1'700'000'000);
  const auto json = nlohmann::json::parse(to_json(campaign));
  CHECK(json["best_score"] == 0.5);
  CHECK(json["evaluations_open"] == "0");
  CHECK(json["state"] == "CAMPAIGN_STATE_UNSPECIFIED");
  CHECK(json["create_time"] == "2023-11-14T22:13:20Z");
  CHECK_FALSE(json.contains("end_time"));
  CHECK(to_json(campaign, false).find('\n') == to_json(campaign, false).size() - 1);
}

TEST_CASE("to_yaml: is read back to the same spec", "[unit][cli]") {
  spec::v1::CampaignSpec spec;
  spec.set_api_version("cambrian/v1");
  spec.set_name("yes");
  spec.set_description("first line\n  second: line\n\nlast");
  spec.set_seed(18446744073709551615U);
  spec.mutable_task()->set_digest("0123");
  (*spec.mutable_task()->mutable_parameters())["train_seconds"] = 2.5;
  spec.mutable_search()->set_policy(spec::v1::POLICY_HILL_CLIMB);
  spec.mutable_search()->add_operators()->set_kind(spec::v1::OPERATOR_DIFF);
  spec.mutable_search()->add_operators()->set_weight(0.25);
  spec.mutable_codegen()->set_instructions("- quote \" backslash \\ tab\t#");
  spec.mutable_budget()->mutable_wall_time()->set_seconds(5400);
  const std::string yaml = to_yaml(spec, false);
  spec::v1::CampaignSpec again;
  const auto document = config::read_yaml("x.yaml", yaml, again);
  INFO(yaml << document.render());
  REQUIRE(document.is_ok());
  CHECK(again.SerializeAsString() == spec.SerializeAsString());
}

TEST_CASE("to_yaml: any text survives", "[unit][cli]") {
  Rng rng(3);
  const std::string alphabet = "ab :-#'\"\\\n\t{}[]|>%@!&*?,0.~ é";
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (std::uint64_t j = rng.below(12); j > 0; --j) {
      const char c = alphabet[rng.below(alphabet.size() - 2)];
      text += c;
    }
    spec::v1::CampaignSpec spec;
    spec.set_description(text);
    spec.mutable_codegen()->set_instructions(text);
    spec::v1::CampaignSpec again;
    const std::string yaml = to_yaml(spec, false);
    const auto document = config::read_yaml("x.yaml", yaml, again);
    INFO(yaml << "\n" << document.render());
    if (text.empty()) continue;
    REQUIRE(again.description() == text);
    REQUIRE(again.codegen().instructions() == text);
  }
}

TEST_CASE("unified_diff: prints what patch reads", "[unit][cli]") {
  CHECK(unified_diff("a\n", "a\n", {"x", "y"}).empty());
  CHECK(unified_diff("a\nb\nc\n", "a\nB\nc\n", {"x", "y"}) ==
        "--- x\n+++ y\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
  CHECK(unified_diff("", "a\n", {"x", "y"}) == "--- x\n+++ y\n@@ -0,0 +1 @@\n+a\n");
  CHECK(unified_diff("a", "a\n", {"x", "y"}) ==
        "--- x\n+++ y\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n");
  const std::string far = unified_diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n",
                                       "1\nx\n3\n4\n5\n6\n7\n8\n9\n10\ny\n12\n", {"x", "y"});
  CHECK(far ==
        "--- x\n+++ y\n@@ -1,5 +1,5 @@\n 1\n-2\n+x\n 3\n 4\n 5\n@@ -8,5 +8,5 @@\n 8\n 9\n 10\n-11\n"
        "+y\n 12\n");
  CHECK(diff_size(far).added == 2);
  CHECK(diff_size(far).removed == 2);
}

/// Applies a unified difference: what patch(1) would do.
std::string patched(const std::string& before, const std::string& diff) {
  std::vector<std::string> lines;
  const auto split = [](const std::string& text) {
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < text.size();) {
      const std::size_t end = std::min(text.find('\n', i), text.size() - 1) + 1;
      parts.push_back(text.substr(i, end - i));
      i = end;
    }
    return parts;
  };
  const auto source = split(before);
  std::size_t at = 0;
  std::string result;
  for (const std::string& line : split(diff)) {
    if (line.starts_with("--- ") || line.starts_with("+++ ")) continue;
    if (line.starts_with("@@")) {
      const auto start = static_cast<std::size_t>(std::strtol(line.c_str() + 4, nullptr, 10));
      const bool is_empty = line.find(",0 +") != std::string::npos;
      while (at + (is_empty ? 0 : 1) < start) result += source.at(at++);
    } else if (line[0] == '\\') {
      result.pop_back();
    } else {
      if (line[0] != '+') REQUIRE(source.at(at++) == line.substr(1));
      if (line[0] != '-') result += line.substr(1);
    }
  }
  while (at < source.size()) result += source[at++];
  return result;
}

TEST_CASE("unified_diff: leads from one text to the other", "[unit][cli]") {
  Rng rng(17);
  for (int i = 0; i < 300; ++i) {
    std::string a;
    std::string b;
    for (int j = 0; j < 40; ++j) {
      const std::string line(1, static_cast<char>('a' + rng.below(4)));
      if (!rng.chance(0.1)) a += line + "\n";
      if (!rng.chance(0.1)) b += (rng.chance(0.1) ? "x" : line) + "\n";
    }
    INFO(a << "---\n" << b);
    REQUIRE(patched(a, unified_diff(a, b, {"x", "y"})) == b);
  }
}

TEST_CASE("unified_diff: huge texts stay cheap", "[unit][cli]") {
  std::string a;
  std::string b;
  for (int i = 0; i < 5000; ++i) {
    a += "a" + std::to_string(i) + "\n";
    b += "b" + std::to_string(i) + "\n";
  }
  CHECK(diff_size(unified_diff(a, b, {"x", "y"})).added == 5000);
}

user::v1::Campaign running(std::int64_t evaluations, std::int64_t seconds) {
  user::v1::Campaign campaign;
  campaign.set_state(user::v1::CAMPAIGN_STATE_RUNNING);
  campaign.mutable_spec()->mutable_budget()->set_evaluations(100);
  campaign.mutable_consumption()->set_evaluations(evaluations);
  campaign.mutable_consumption()->mutable_wall_time()->set_seconds(seconds);
  return campaign;
}

TEST_CASE("EtaEstimator: names the budget that ends first", "[unit][cli]") {
  EtaEstimator eta;
  CHECK_FALSE(eta.estimate());
  eta.update(running(10, 20));
  REQUIRE(eta.estimate());
  CHECK(eta.estimate()->remaining == 180s);
  CHECK(eta.estimate()->budget == "evaluations");
  auto limited = running(10, 20);
  limited.mutable_spec()->mutable_budget()->mutable_wall_time()->set_seconds(60);
  EtaEstimator other;
  other.update(limited);
  CHECK(other.estimate()->budget == "wall_time");
  CHECK(other.estimate()->remaining == 40s);
}

TEST_CASE("EtaEstimator: a first look without evaluations does not count for long", "[unit][cli]") {
  EtaEstimator eta;
  eta.update(running(0, 1));
  CHECK_FALSE(eta.estimate());
  eta.update(running(10, 11));
  REQUIRE(eta.estimate());
  CHECK(eta.estimate()->remaining < 110s);
}

TEST_CASE("EtaEstimator: counts down between two evaluations", "[unit][cli]") {
  EtaEstimator eta;
  for (const auto& [evaluations, seconds] : {std::pair(10, 100), {11, 110}, {12, 120}}) {
    eta.update(running(evaluations, seconds));
  }
  const auto before = eta.estimate()->remaining;
  eta.update(running(12, 128));
  CHECK(eta.estimate()->remaining == before - 8s);
  eta.update(running(12, 150));
  CHECK(eta.estimate()->remaining > before);
}

TEST_CASE("EtaEstimator: says nothing before the third evaluation", "[unit][cli]") {
  EtaEstimator eta;
  eta.update(running(2, 50));
  CHECK_FALSE(eta.estimate());
}

TEST_CASE("EtaEstimator: follows the recent pace", "[unit][cli]") {
  EtaEstimator eta;
  eta.update(running(10, 10));
  eta.update(running(10, 610));
  REQUIRE(eta.estimate());
  CHECK(eta.estimate()->remaining > 900s);
  auto paused = running(10, 610);
  paused.set_state(user::v1::CAMPAIGN_STATE_PAUSED);
  eta.update(paused);
  CHECK_FALSE(eta.estimate());
}

TEST_CASE("wants_color: obeys the flag before the environment", "[unit][cli]") {
  REQUIRE(setenv("NO_COLOR", "1", 1) == 0);
  CHECK_FALSE(wants_color("auto", true));
  CHECK(wants_color("always", false));
  REQUIRE(setenv("NO_COLOR", "", 1) == 0);
  REQUIRE(setenv("TERM", "xterm", 1) == 0);
  CHECK(wants_color("auto", true));
  CHECK_FALSE(wants_color("auto", false));
  CHECK_FALSE(wants_color("never", true));
  REQUIRE(setenv("TERM", "dumb", 1) == 0);
  CHECK_FALSE(wants_color("auto", true));
}

}  // namespace
}  // namespace cambrian::cli
