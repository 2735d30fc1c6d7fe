#include <catch2/catch_test_macros.hpp>

#include "cambrian/config/v1/config.pb.h"
#include "cambrian/spec/v1/campaign.pb.h"
#include "cambrian/spec/v1/task.pb.h"
#include "common/base/rng.hpp"
#include "common/config/reader.hpp"
#include "common/config/yaml_tree.hpp"

namespace cambrian::config {
namespace {

using spec::v1::CampaignSpec;
using spec::v1::TaskManifest;

template <class T = CampaignSpec>
Document read(std::string text, T& message) {
  return read_yaml("campaign.yaml", std::move(text), message);
}

std::string problems_of(std::string text) {
  CampaignSpec spec;
  return read(std::move(text), spec).render();
}

constexpr const char* kCampaign = R"(api_version: cambrian/v1
kind: Campaign
name: no           # a name, not a boolean
seed: 18446744073709551615
task:
  source: ./fashion-mnist
  parameters: {train_seconds: 5, share: 25%}
search:
  policy: Islands
  migration_fraction: 10%
  features:
    - {metric: parameters, bins: 8, minimum: 100, maximum: 1e6, logarithmic: true}
  operators:
    - {kind: diff, weight: 0.7}
    - {kind: OPERATOR_CROSSOVER, weight: 0.3}
evaluation:
  # everything commented out
codegen:
  models: [{model: "0123"}]
budget:
  evaluations: 60
  wall_time: 1h30m
)";

TEST_CASE("read_yaml: reads every kind of field by its type", "[unit][config]") {
  CampaignSpec spec;
  const Document document = read(kCampaign, spec);
  INFO(document.render());
  REQUIRE(document.is_ok());
  CHECK(spec.name() == "no");
  CHECK(spec.seed() == 18446744073709551615U);
  CHECK(spec.task().parameters().at("share") == 0.25);
  CHECK(spec.search().policy() == spec::v1::POLICY_ISLANDS);
  CHECK(spec.search().features(0).logarithmic());
  CHECK(spec.search().features(0).maximum() == 1e6);
  CHECK(spec.search().operators(1).kind() == spec::v1::OPERATOR_CROSSOVER);
  CHECK_FALSE(spec.has_evaluation());
  CHECK(spec.codegen().models(0).model() == "0123");
  CHECK(spec.budget().evaluations() == 60);
  CHECK(spec.budget().wall_time().seconds() == 5400);
}

TEST_CASE("read_yaml: reads sizes in fields that end with _bytes", "[unit][config]") {
  TaskManifest task;
  const Document document = read<TaskManifest>("limits: {memory_bytes: 2GiB, cpus: 1}\n", task);
  REQUIRE(document.is_ok());
  CHECK(task.limits().memory_bytes() == std::int64_t{2} << 30);
}

TEST_CASE("read_yaml: accepts JSON as the command line prints it", "[unit][config]") {
  CampaignSpec spec;
  const Document document = read(
      "{\"name\": \"a\", \"seed\": \"7\", \"search\": {\"policy\": \"POLICY_RANDOM\"},\n"
      " \"budget\": {\"evaluations\": \"60\", \"wall_time\": \"90.5s\", \"cost_usd\": 1.5}}",
      spec);
  INFO(document.render());
  REQUIRE(document.is_ok());
  CHECK(spec.seed() == 7);
  CHECK(spec.search().policy() == spec::v1::POLICY_RANDOM);
  CHECK(spec.budget().wall_time().nanos() == 500'000'000);
}

TEST_CASE("read_yaml: shows an unknown field with its line and what was meant", "[unit][config]") {
  CHECK(problems_of("name: a\nbudget:\n  cost_usd: 12\n  evaluatons: 5000\n") ==
        R"(error: unknown field "evaluatons" in budget
  --> campaign.yaml:4:3
3 |   cost_usd: 12
4 |   evaluatons: 5000
  |   ^^^^^^^^^^ did you mean "evaluations"?
)");
  CHECK(problems_of("name: a\nbudget:\n  zzz: 1\n") ==
        R"(error: unknown field "zzz" in budget
  --> campaign.yaml:3:3
2 | budget:
3 |   zzz: 1
  |   ^^^ known fields: evaluations, tokens, cost_usd, gpu_time, wall_time
)");
}

TEST_CASE("read_yaml: reports all problems at once, in the order of the file", "[unit][config]") {
  CHECK(problems_of("search:\n  policy: ilands\n  islands: many\nname: b\nname: c\n"
                    "budget: {wall_time: 90, evaluations: 1.5}\npriority: 99999999999\n") ==
        R"(error: search.policy cannot be "ilands"
  --> campaign.yaml:2:11
1 | search:
2 |   policy: ilands
  |           ^^^^^^ did you mean "islands"?
error: search.islands cannot be "many"
  --> campaign.yaml:3:12
2 |   policy: ilands
3 |   islands: many
  |            ^^^^ write a whole number
error: duplicate key "name"
  --> campaign.yaml:5:1
4 | name: b
5 | name: c
  | ^^^^ remove one of the two
error: budget.wall_time cannot be "90"
  --> campaign.yaml:6:21
5 | name: c
6 | budget: {wall_time: 90, evaluations: 1.5}
  |                     ^^ write a time with a unit such as 90s, 10m or 1h30m
error: budget.evaluations cannot be "1.5"
  --> campaign.yaml:6:38
5 | name: c
6 | budget: {wall_time: 90, evaluations: 1.5}
  |                                      ^^^ write a whole number
error: priority cannot be "99999999999"
  --> campaign.yaml:7:11
6 | budget: {wall_time: 90, evaluations: 1.5}
7 | priority: 99999999999
  |           ^^^^^^^^^^^ write a whole number
)");
}

TEST_CASE("read_yaml: refuses what hides its meaning", "[unit][config]") {
  const auto first = [](std::string text) {
    CampaignSpec spec;
    const Document document = read(std::move(text), spec);
    return document.is_ok() ? std::string("none") : document.problems().front().message;
  };
  CHECK(first("name: &a x\ndescription: *a\n") == "anchors are not accepted");
  CHECK(first("name: !!str x\n") == "tags are not accepted: tag:yaml.org,2002:str");
  CHECK(first("name: x\n---\nname: y\n") == "a second document in the file");
  CHECK(first("name:\n") == "name has no value");
  CHECK(first("name: [x]\n") == "name must be a text, not a list");
  CHECK(first("budget: 5\n") == "budget must be a map, not \"5\"");
  CHECK(first("search: {operators: diff}\n") == "search.operators must be a list, not \"diff\"");
  CHECK(first("task: {parameters: {a: 1, a: 2}}\n") == "duplicate key \"a\" in task.parameters");
  CHECK(first("task: {parameters: {a: .nan}}\n") == "task.parameters.a cannot be \".nan\"");
  CHECK(first("? [a]\n: b\n") == "a key must be a word, not a list");
  CHECK(first("- a\n- b\n") == "the file must be a map, not a list");
  CHECK(first("search: {policy: unspecified}\n") == "search.policy cannot be \"unspecified\"");
  CHECK(first("search:\n\tpolicy: random\n") == "a tab in the indentation");
  CHECK(first("search:\n  islands: 2\n\tpolicy: random\n") == "a tab in the indentation");
  CHECK(first("name: a\n kind: b\n") == "a name with a value cannot stand here");
  CHECK(first("name: [unclosed\n") == "a [ is never closed");
  CHECK(first("name: 'un''closed\nkind: x\n") == "a quote is never closed");
  CHECK(first("name: \"un\\\"closed\n") == "a quote is never closed");
  CHECK(first("name: 'it''s'\ndescription: \"a \\\" b\"\n") == "none");
  CHECK(first(std::string(100, '[') + std::string(100, ']')) == "nested more than 64 levels deep");
  CHECK(first(std::string((std::size_t{1} << 20) + 1, ' ')) == "larger than 1048576 bytes");
  CHECK(first("") == "none");
  CHECK(first("name: x\ndescription: \"\xff\xfe\"\n") == "not UTF-8, or with a NUL in it");
  CHECK(first("description: \"a\\0b\"\n") == "not UTF-8, or with a NUL in it");
  // Not taken for UTF-16.
  CHECK(first(std::string("\0n\0a\0m\0e", 8)) == "not UTF-8, or with a NUL in it");
  CHECK(first("description: \"\xc3\xa4\"\n") == "none");
}

TEST_CASE("read_yaml: an alias bomb costs nothing", "[unit][config]") {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 30; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before + ", " + before +
            ", " + before + ", " + before + "]\n";
  }
  CampaignSpec spec;
  CHECK_FALSE(read(text, spec).is_ok());
}

TEST_CASE("Document: maps the server's field paths back to lines", "[unit][config]") {
  CampaignSpec spec;
  Document document = read(kCampaign, spec);
  REQUIRE(document.is_ok());
  CHECK(document.find_place("spec.budget.evaluations") == Place{21, 16, 2});
  CHECK(document.find_place("spec.task.parameters[\"share\"]") == Place{7, 41, 3});
  CHECK(document.find_place("search.operators[1].weight") == Place{15, 42, 3});
  CHECK(document.find_place("search.operators[1].missing").line == 15);
  CHECK(document.find_place("budget.tokens") == Place{20, 1, 6});
  CHECK(document.find_place("unheard.of") == Place{});
  document.add_field_problem("spec.budget.evaluations", "60 is fewer than the islands", "use 100");
  CHECK(document.render() == R"(error: 60 is fewer than the islands
  --> campaign.yaml:21:16
20 | budget:
21 |   evaluations: 60
   |                ^^ use 100
)");
}

TEST_CASE("render_problems: counts characters, keeps tabs, cuts long lines", "[unit][config]") {
  const std::string text = "größe:\t\"zwölf\" x\n";
  const std::vector<Problem> problems{{"", {1, 10, 8}, "not a number", "write 12"}};
  CHECK(render_problems("a.yaml", text, problems) ==
        "error: not a number\n  --> a.yaml:1:10\n1 | größe:\t\"zwölf\" x\n  |       \t^^^^^^^ "
        "write 12\n");
  const std::vector<Problem> far{{"", {1, 900, 3}, "far away", "look right"}};
  CHECK(render_problems("a.yaml", std::string(1000, 'x'), far).size() < 300);
  const std::vector<Problem> nowhere{{"", {}, "no place", "do this"}};
  CHECK(render_problems("a.yaml", "", nowhere) == "error: no place\n  --> a.yaml\n  = do this\n");
  const std::vector<Problem> many(60, nowhere[0]);
  CHECK(render_problems("a.yaml", "", many).ends_with("… and 10 more\n"));
}

TEST_CASE("read_config_file: names the file and the reason", "[unit][config]") {
  const auto missing = read_config_file<cambrian::config::v1::WorkerConfig>("/nonexistent/a.yaml");
  REQUIRE_FALSE(missing);
  CHECK(missing.error() ==
        Error{Errc::not_found, "cannot read /nonexistent/a.yaml: No such file or directory"});
  const auto directory = read_config_file<cambrian::config::v1::WorkerConfig>("/");
  REQUIRE_FALSE(directory);
  CHECK(directory.error().code == Errc::invalid_argument);
  CHECK(read_config_file<cambrian::config::v1::WorkerConfig>("")->slots() == 0);
}

TEST_CASE("read_yaml: survives any bytes", "[unit][config]") {
  const char* seed_text = std::getenv("CAMBRIAN_TEST_SEED");
  const std::uint64_t seed = seed_text == nullptr ? 5 : std::strtoull(seed_text, nullptr, 10);
  INFO("CAMBRIAN_TEST_SEED=" << seed);
  Rng rng(seed);
  const std::string alphabet = "abc: \n\t-[]{}\"'&*!|>%#?,\\~0159.\xc3\xa9\xff";
  for (int i = 0; i < 2000; ++i) {
    std::string text = i % 2 == 0 ? "" : kCampaign;
    for (int j = 0; j < 12; ++j) {
      const char c = alphabet[rng.below(alphabet.size())];
      text.insert(text.begin() + static_cast<std::ptrdiff_t>(rng.below(text.size() + 1)), c);
    }
    CampaignSpec spec;
    const Document document = read(text, spec);
    (void)document.render();
  }
}

}  // namespace
}  // namespace cambrian::config
