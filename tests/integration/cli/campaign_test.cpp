#include <signal.h>

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "tests/integration/cli/command_line.hpp"

namespace cambrian::cli::testing {
namespace {

using nlohmann::json;

TEST_CASE("campaign: from a file to a winner that can be looked at", "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const Folder folder;
  const std::string file = folder.write("first.yaml", campaign_text("first", 8));
  const Run submitted = cambrian.run({"campaign", "submit", file});
  INFO(submitted.err);
  REQUIRE(submitted.code == 0);
  CHECK(submitted.out == "submitted campaign first\n");
  CHECK(submitted.err.find("cambrian campaign watch first") != std::string::npos);
  REQUIRE(cambrian.run({"campaign", "wait", "first", "--for", "120s"}).code == 0);

  const auto campaign = json::parse(cambrian.run({"campaign", "get", "first", "--json"}).out);
  CHECK(campaign["state"] == "CAMPAIGN_STATE_SUCCEEDED");
  CHECK(campaign["consumption"]["evaluations"] == "8");
  CHECK(campaign["final_best"]["sealed"]["excess_percent"]["values"].size() == 2);

  const auto variants = json::parse(cambrian.run({"variant", "list", "first", "--json"}).out);
  const auto confirmations = [&](const char* kind) {
    return std::stoul(campaign["jumps"].value(kind, "0"));
  };
  CHECK(variants["variants"].size() + confirmations("confirmed") + confirmations("disputed") >= 8);
  CHECK(cambrian.run({"variant", "get", "first", "0"}).out.find(" seed\n") != std::string::npos);
  const Run lineage = cambrian.run({"variant", "lineage", "first", "best", "-o", "name"});
  CHECK(lineage.out.ends_with("0\n"));

  const Run source = cambrian.run({"variant", "source", "first", "seed"});
  CHECK(source.out == read_file(CAMBRIAN_SOURCE_DIR "/tasks/online-bin-packing/seed/priority.cpp"));
  const Run diff = cambrian.run({"variant", "diff", "first", "seed", "1"});
  CHECK(diff.out.starts_with("--- priority.cpp (variant 0)\n+++ priority.cpp (variant 1)\n@@ -"));
  CHECK(cambrian.run({"variant", "diff", "first", "seed"}).code == 2);
  CHECK(cambrian.run({"variant", "get", "first", "999"}).code == 5);

  const Run exported =
      cambrian.run({"campaign", "export", "first", "--to", (folder.path() / "out").string()});
  INFO(exported.err);
  REQUIRE(exported.code == 0);
  CHECK(read_file(folder.path() / "out/variants/0/source/priority.cpp") == source.out);
  CHECK(json::parse(read_file(folder.path() / "out/campaign.json"))["name"] == "first");
  std::istringstream events(read_file(folder.path() / "out/events.jsonl"));
  std::int64_t sequence = 0;
  for (std::string line; std::getline(events, line);) {
    CHECK(json::parse(line)["sequence"] == std::to_string(++sequence));
  }
  CHECK(campaign["last_sequence"] == std::to_string(sequence));
  CHECK(cambrian.run({"campaign", "export", "first", "--to", (folder.path() / "out").string()})
            .code == 1);
  const Run replayed = cambrian.run({"campaign", "replay", "first"});
  INFO(replayed.out);
  CHECK(replayed.code == 0);
  CHECK(replayed.out.ends_with(" derived events: identical\n"));
  const std::string log = (folder.path() / "out/events.jsonl").string();
  CHECK(cambrian.run({"--endpoint", "127.0.0.1:1", "campaign", "replay", "--file", log}).code == 0);
  std::string changed = read_file(log);
  const auto place = changed.rfind("best_changed");
  const std::string field = "variant\\\": ";
  changed.insert(changed.find(field, place) + field.size(), "9");
  const std::string changed_log = folder.write("changed.jsonl", changed);
  const Run differs = cambrian.run({"campaign", "replay", "--file", changed_log, "--json"});
  INFO(differs.out << differs.err);
  CHECK(differs.code == 1);
  CHECK(json::parse(differs.out)["difference"]["recorded"].get<std::string>().starts_with(
      "best_changed"));
  // What was exported can be submitted again, under another name.
  CHECK(cambrian
            .run({"campaign", "validate", (folder.path() / "out/campaign.yaml").string(), "--name",
                  "again", "--server"})
            .code == 0);
}

TEST_CASE("campaign: a plan says what one like it has used", "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const Folder folder;
  const std::string file = folder.write("planned.yaml", campaign_text("planned", 4));
  REQUIRE(cambrian.run({"campaign", "submit", file}).code == 0);
  REQUIRE(cambrian.run({"campaign", "wait", "planned", "--for", "120s"}).code == 0);
  const Run plan = cambrian.run({"campaign", "plan", file, "--name", "later", "--json"});
  INFO(plan.err);
  REQUIRE(plan.code == 0);
  const auto planned = json::parse(plan.out);
  CHECK(planned["is_same_task"] == true);
  CHECK(planned["ended_by"] == "evaluations");
  CHECK(planned["uses"][0]["all"] == 4);
  CHECK(planned["uses"][2]["all"] > 0);
  CHECK(cambrian.run({"campaign", "plan", file}).out.find("ends it") != std::string::npos);
}

TEST_CASE("campaign: an export is imported whole into another installation, or not at all",
          "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const Folder folder;
  const std::string out = (folder.path() / "moved").string();
  std::string text = campaign_text("moved", 12);
  text.replace(text.find("policy: hill_climb"), 18,
               "policy: islands\n  operators: [{kind: diff, weight: 1}, {kind: tune, weight: 1}]");
  text.replace(text.find("final_repeats: 2"), 16, "final_repeats: 2, noise_repeats: 2");
  REQUIRE(cambrian.run({"campaign", "submit", folder.write("moved.yaml", text)}).code == 0);
  REQUIRE(cambrian.run({"campaign", "wait", "moved", "--for", "120s"}).code == 0);
  const std::string details = cambrian.run({"campaign", "get", "moved"}).out;
  INFO(details);
  CHECK(details.find("one evaluation of the seed varies by ") != std::string::npos);
  CHECK(details.find(" in the search, ") != std::string::npos);
  REQUIRE(cambrian.run({"campaign", "export", "moved", "--to", out}).code == 0);
  // One that fails leaves nothing behind.
  const auto nothing = folder.path() / "nothing";
  CHECK(cambrian.run({"campaign", "export", "nobody", "--to", nothing.string()}).code == 5);
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    CHECK(entry.path().filename().string().find("nothing") == std::string::npos);
  }

  const Environment other;
  const std::string variant = out + "/variants/1/variant.json";
  const std::string good = read_file(variant);
  std::string bad = good;
  bad.insert(bad.find("\"generation\": ") + 14, "1");
  folder.write("moved/variants/1/variant.json", bad);
  const Run refused = other.run({"campaign", "import", out});
  CHECK(refused.code == 3);
  CHECK(refused.err.find("does not verify: the log knows another variant 1") != std::string::npos);
  CHECK(other.run({"campaign", "list", "-o", "name"}).out.empty());
  folder.write("moved/variants/1/variant.json", good);
  const std::string source = read_file(out + "/variants/0/source/priority.cpp");
  folder.write("moved/variants/0/source/priority.cpp", source + " ");
  CHECK(other.run({"campaign", "import", out}).err.find("does not fit its digest") !=
        std::string::npos);
  folder.write("moved/variants/0/source/priority.cpp", source);

  const Run imported = other.run({"campaign", "import", out});
  INFO(imported.err);
  REQUIRE(imported.code == 0);
  CHECK(imported.out.starts_with("imported campaign moved: "));
  CHECK(other.run({"campaign", "import", out}).out == imported.out);  // The same request.
  CHECK(other.run({"campaign", "import", out, "--request-id", "another"}).code == 1);
  CHECK(other.run({"campaign", "import", out, "--name", "moved-again"}).code == 0);

  const Run replayed = other.run({"campaign", "replay", "moved"});
  CHECK(replayed.out == cambrian.run({"campaign", "replay", "moved"}).out);
  CHECK(replayed.out.ends_with(" derived events: identical\n"));
  const auto same = [&](const std::vector<std::string>& arguments) {
    const Run here = cambrian.run(arguments);
    const Run there = other.run(arguments);
    CHECK(here.code == 0);
    CHECK(json::parse(here.out) == json::parse(there.out));
  };
  same({"campaign", "get", "moved", "--json"});
  same({"variant", "list", "moved", "--best", "--json"});
  same({"variant", "get", "moved", "best", "--json"});
  same({"variant", "lineage", "moved", "best", "--json"});
  CHECK(cambrian.run({"variant", "source", "moved", "best"}).out ==
        other.run({"variant", "source", "moved", "best"}).out);
  CHECK(cambrian.run({"campaign", "watch", "moved", "--json"}).out ==
        other.run({"campaign", "watch", "moved", "--json"}).out);
  REQUIRE(other.run({"campaign", "delete", "moved", "--yes"}).code == 0);
  CHECK(other.run({"campaign", "import", out}).code == 0);
}

TEST_CASE("campaign: a clone is the same search with another seed, and knows equal results",
          "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const Folder folder;
  REQUIRE(
      cambrian.run({"campaign", "submit", folder.write("source.yaml", campaign_text("source", 5))})
          .code == 0);
  REQUIRE(cambrian.run({"campaign", "wait", "source", "--for", "120s"}).code == 0);
  const auto get = [&](const std::string& name) {
    return json::parse(cambrian.run({"campaign", "get", name, "--json"}).out);
  };
  for (const std::string seed : {"8", "9"}) {
    const Run cloned = cambrian.run({"campaign", "clone", "source", "--seed", seed});
    INFO(cloned.err);
    REQUIRE(cloned.code == 0);
    CHECK(cloned.out == "campaign source-" + seed + " is source with seed " + seed + "\n");
    REQUIRE(cambrian.run({"campaign", "wait", "source-" + seed, "--for", "120s"}).code == 0);
  }
  const auto source = get("source");
  auto spec = get("source-9")["spec"];
  CHECK(spec["seed"] == "9");
  spec["seed"] = source["spec"]["seed"];
  spec["name"] = "source";
  CHECK(spec == source["spec"]);
  // The seed program was evaluated twice by now, to the same end.
  const auto used = get("source-9")["consumption"];
  CHECK(used["evaluations"] == "5");
  REQUIRE(used.contains("evaluations_reused"));
  CHECK(std::stoi(used["evaluations_reused"].get<std::string>()) >= 1);
  CHECK(cambrian.run({"campaign", "replay", "source-9"}).code == 0);
  CHECK(cambrian.run({"campaign", "clone", "nobody", "--seed", "1"}).code == 5);
  CHECK(cambrian.run({"campaign", "clone", "source"}).code == 2);
}

TEST_CASE("compare: arms of real campaigns, with plots, and again from its own JSON",
          "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const Folder folder;
  for (const std::string policy : {"random", "hill_climb"}) {
    for (const std::string seed : {"1", "2"}) {
      const std::string name = "arm-" + policy.substr(0, 4) + "-" + seed;
      std::string text = campaign_text(name, 5);
      text.replace(text.find("hill_climb"), 10, policy);
      text.replace(text.find("seed: 7"), 7, "seed: " + seed);
      REQUIRE(cambrian.run({"campaign", "submit", folder.write(name + ".yaml", text)}).code == 0);
    }
  }
  for (const std::string name : {"arm-rand-1", "arm-rand-2", "arm-hill-1", "arm-hill-2"}) {
    REQUIRE(cambrian.run({"campaign", "wait", name, "--for", "120s"}).code == 0);
  }
  const std::string plots = (folder.path() / "plots").string();
  const Run compared = cambrian.run({"compare", "random=arm-rand-1,arm-rand-2",
                                     "hill_climb=arm-hill-1,arm-hill-2", "--svg", plots, "--json"});
  INFO(compared.err);
  REQUIRE(compared.code == 0);
  const auto comparison = json::parse(compared.out);
  CHECK(comparison["evaluations"] == 5);
  CHECK(comparison["arms"][0]["label"] == "random");
  const auto& run = comparison["arms"][1]["runs"][1];
  CHECK(run["curve"].size() == 5);
  const auto campaign = json::parse(cambrian.run({"campaign", "get", run["name"], "--json"}).out);
  CHECK(run["curve"][0] == campaign["seed_score"]);
  CHECK(run["curve"][4] == campaign["best_score"]);
  const auto& winner = campaign[campaign.contains("final_best") ? "final_best" : "final_seed"];
  CHECK(run["sealed"] == winner["sealed"]["excess_percent"]["mean"]);
  CHECK(comparison["comparisons"][0]["is_shown"] == false);  // Two runs cannot show anything.
  CHECK(comparison["notes"].dump().find("too few runs") != std::string::npos);
  CHECK(read_file(folder.path() / "plots/curves.svg").ends_with("</svg>\n"));
  CHECK(read_file(folder.path() / "plots/finals.svg").ends_with("</svg>\n"));

  const std::string file = folder.write("again.json", compared.out);
  CHECK(json::parse(cambrian.run({"compare", "--file", file, "--json"}).out) == comparison);
  CHECK(cambrian.run({"compare", "--file", file}).out.find("no difference shown") !=
        std::string::npos);
  CHECK(cambrian.run({"compare", "random=arm-rand-1", "hill_climb"}).code == 3);
  CHECK(cambrian.run({"compare", "random=arm-rand-1", "other=unheard-of"}).code == 5);
  CHECK(cambrian.run({"compare"}).code == 2);
}

TEST_CASE("campaign: pause, resume, stop and delete", "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const Folder folder;
  const std::string file = folder.write("second.yaml", campaign_text("second", 500));
  REQUIRE(cambrian.run({"campaign", "submit", file}).code == 0);
  CHECK(cambrian.run({"campaign", "submit", file, "-o", "name"}).out == "second\n");
  CHECK(cambrian.run({"campaign", "pause", "second"}).out == "campaign second is paused\n");
  CHECK(cambrian.run({"campaign", "wait", "second", "--for", "1s"}).code == 7);
  CHECK(cambrian.run({"campaign", "hint", "second", "it is odd"}).out ==
        "proposals of campaign second have the hint from now on\n");
  CHECK(cambrian.run({"campaign", "get", "second"}).out.find("it is odd") != std::string::npos);
  CHECK(cambrian.run({"campaign", "hint", "second"}).code == 2);
  CHECK(cambrian.run({"campaign", "hint", "second", "--clear"}).out ==
        "campaign second has no hint any more\n");
  CHECK(cambrian.run({"campaign", "resume", "second"}).out == "campaign second is running\n");
  CHECK(cambrian.run({"campaign", "delete", "second", "--yes"}).code == 1);
  CHECK(cambrian.run({"campaign", "delete", "second"}).code == 2);
  CHECK(cambrian.run({"campaign", "stop", "second"}).code == 0);
  CHECK(cambrian.run({"campaign", "wait", "second", "--for", "60s"}).code == 0);
  CHECK(cambrian.run({"campaign", "delete", "second", "--yes"}).code == 0);
  CHECK(cambrian.run({"campaign", "get", "second"}).code == 5);
}

TEST_CASE("campaign: another spec under a name that is taken is refused", "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const Folder folder;
  const std::string file = folder.write("third.yaml", campaign_text("third", 1));
  REQUIRE(cambrian.run({"campaign", "submit", file}).code == 0);
  folder.write("third.yaml", campaign_text("third", 2));
  const Run refused = cambrian.run({"campaign", "submit", file});
  CHECK(refused.code == 1);
  CHECK(refused.err.find("--name") != std::string::npos);
}

TEST_CASE("campaign: a file with problems is refused before anything is sent",
          "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const Folder folder;
  std::string text = campaign_text("bad", 5);
  text.replace(text.find("hill_climb"), 10, "hil_climb");
  const std::string file = folder.write("bad.yaml", text + "  evaluatons: 7\n");
  const Run refused = cambrian.run({"--endpoint", "127.0.0.1:1", "campaign", "submit", file});
  CHECK(refused.code == 3);
  CHECK(refused.out.empty());
  CHECK(refused.err.find(file + ":9:11") != std::string::npos);
  CHECK(refused.err.find("did you mean \"hill_climb\"?") != std::string::npos);
  CHECK(refused.err.find("did you mean \"evaluations\"?") != std::string::npos);
  CHECK(refused.err.ends_with("2 errors, nothing was submitted\n"));
}

TEST_CASE("campaign: prompts come from files beside the campaign file", "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const Folder folder;
  folder.write("diff.md", "Change one number.\n");
  const std::string file =
      folder.write("own.yaml", campaign_text("own", 5) +
                                   "codegen:\n  prompts:\n  - {operator: diff, file: diff.md}\n");
  const Run validated = cambrian.run({"campaign", "validate", file, "--server", "--json"});
  INFO(validated.err);
  REQUIRE(validated.code == 0);
  const auto prompt = json::parse(validated.out)["codegen"]["prompts"][0];
  CHECK(prompt["text"] == "Change one number.\n");
  CHECK(prompt["file"] == "");
  const std::string missing =
      folder.write("missing.yaml", campaign_text("own", 5) +
                                       "codegen:\n  prompts:\n  - {operator: diff, file: no.md}\n");
  const Run refused = cambrian.run({"campaign", "validate", missing});
  CHECK(refused.code == 3);
  CHECK(refused.err.find(missing + ":15:28") != std::string::npos);
}

TEST_CASE("campaign: the server's problems point to lines of the file", "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const Folder folder;
  const std::string file = folder.write(
      "unknown.yaml", "api_version: cambrian/v1\nkind: Campaign\nname: unknown\ntask:\n  digest: " +
                          std::string(64, 'a') + "\nbudget: {evaluations: 3}\n");
  const Run refused = cambrian.run({"campaign", "submit", file});
  CHECK(refused.code == 3);
  CHECK(refused.err.find(file + ":5:11") != std::string::npos);
}

TEST_CASE("worker list: shows both kinds of agent", "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const auto workers = json::parse(cambrian.run({"worker", "list", "--json"}).out);
  CHECK(workers["workers"].size() == 2);
  CHECK(cambrian.run({"worker", "list", "-o", "wide"}).out.find("cpp,process") !=
        std::string::npos);
  CHECK(cambrian.run({"worker", "list", "-o", "name"}).out.find("worker-1\n") != std::string::npos);
}

TEST_CASE("session: a dead endpoint is told quickly, with what to do", "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const auto begin = std::chrono::steady_clock::now();
  const Run dead = cambrian.run({"--endpoint", "127.0.0.1:1", "campaign", "list"});
  CHECK(dead.code == 6);
  CHECK(dead.out.empty());
  CHECK(dead.err.find("127.0.0.1:1 (--endpoint)") != std::string::npos);
  CHECK(dead.err.find("cambrian dev up") != std::string::npos);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
}

TEST_CASE("campaign watch: goes on behind the last event after a restart", "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const Folder folder;
  const std::string file = folder.write("watched.yaml", campaign_text("watched", 30));
  REQUIRE(cambrian.run({"campaign", "submit", file}).code == 0);
  const auto output = folder.path() / "events";
  const pid_t watch = cambrian.start({"campaign", "watch", "watched", "--json"}, output);
  std::this_thread::sleep_for(std::chrono::seconds(2));
  kill(cambrian.pid_of("coordinator"), SIGKILL);
  CHECK(wait_for_exit(watch, 180) == 0);
  std::istringstream events(read_file(output));
  std::int64_t sequence = 0;
  std::string last;
  for (std::string line; std::getline(events, line);) {
    const auto event = json::parse(line);
    REQUIRE(event["sequence"] == std::to_string(++sequence));
    last = event["message"];
  }
  CHECK(last.find("succeeded") != std::string::npos);
  const auto campaign = json::parse(cambrian.run({"campaign", "get", "watched", "--json"}).out);
  CHECK(campaign["consumption"]["evaluations"] == "30");
  CHECK(campaign["last_sequence"] == std::to_string(sequence));
  CHECK(read_file(output.string() + ".err").find("connection lost") != std::string::npos);
}

TEST_CASE("campaign watch: Ctrl-C ends the view, not the campaign", "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const Folder folder;
  const std::string file = folder.write("long.yaml", campaign_text("long", 500));
  REQUIRE(cambrian.run({"campaign", "submit", file}).code == 0);
  const pid_t watch = cambrian.start({"campaign", "watch", "long"}, folder.path() / "out");
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  kill(watch, SIGINT);
  CHECK(wait_for_exit(watch, 10) == 130);
  const auto campaign = json::parse(cambrian.run({"campaign", "get", "long", "--json"}).out);
  CHECK(campaign["state"] == "CAMPAIGN_STATE_RUNNING");
  CHECK(cambrian.run({"campaign", "stop", "long"}).code == 0);
  CHECK(cambrian.run({"campaign", "wait", "long", "--for", "60s"}).code == 0);
}

TEST_CASE("campaign watch: never draws more than the terminal holds", "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const Folder folder;
  const std::string file = folder.write("small.yaml", campaign_text("small", 3));
  REQUIRE(cambrian.run({"campaign", "submit", file}).code == 0);
  constexpr int kRows = 9;
  constexpr std::size_t kColumns = 40;
  const std::string text =
      cambrian.run_on_terminal({"campaign", "watch", "small"}, kRows, kColumns);
  int drawn = 0;
  for (std::size_t at = text.find("\x1b["); at != std::string::npos;
       at = text.find("\x1b[", at + 1)) {
    int up = 0;
    if (std::sscanf(text.c_str() + at + 2, "%dA", &up) == 1 && text.find('A', at) < at + 5) {
      CHECK(up < kRows);
      ++drawn;
    }
  }
  CHECK(drawn > 0);
  CHECK(text.find("succeeded") != std::string::npos);
}

TEST_CASE("output: with --json a change prints one document, too", "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const Folder folder;
  const std::string file = folder.write("changes.yaml", campaign_text("changes", 1));
  const auto document = [&](std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    const Run run = cambrian.run(arguments);
    INFO(arguments[0] << " " << arguments[1] << ": " << run.err);
    REQUIRE(run.code == 0);
    return json::parse(run.out);
  };
  CHECK(document({"campaign", "validate", file})["name"] == "changes");
  CHECK(cambrian.run({"campaign", "validate", file, "-o", "name"}).out == "changes\n");
  REQUIRE(cambrian.run({"campaign", "submit", file}).code == 0);
  REQUIRE(cambrian.run({"campaign", "wait", "changes", "--for", "60s"}).code == 0);
  const std::string sources = (folder.path() / "sources").string();
  CHECK(document({"variant", "source", "changes", "seed", "--to", sources})["files"] ==
        json::array({"priority.cpp"}));
  const std::string to = (folder.path() / "export").string();
  CHECK(document({"campaign", "export", "changes", "--to", to})["variants"].get<int>() >= 1);
  CHECK(document({"campaign", "delete", "changes", "--yes"})["is_deleted"] == true);
  CHECK(document({"dev", "down", "--directory",
                  (folder.path() / "none").string()})["was_running"] == false);
  CHECK(document({"config", "set-context", "lab", "--endpoint",
                  "h:1"})["contexts"]["lab"]["endpoint"] == "h:1");
  CHECK(document({"config", "use-context"})["current_context"] == "");
}

TEST_CASE("output: a mistake heeds --color", "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  CHECK(cambrian.run({"--color=always", "campaing"}).err.starts_with("\x1b["));
  CHECK(cambrian.run({"--color", "always", "campaign", "list", "--what"}).err.starts_with("\x1b["));
  CHECK(cambrian.run({"campaing"}).err.starts_with("error:"));
}

TEST_CASE("task run: evaluates a source without a server", "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const std::string task = CAMBRIAN_SOURCE_DIR "/tasks/online-bin-packing";
  const Run good = cambrian.run(
      {"--endpoint", "127.0.0.1:1", "task", "run", task, "--set", "items=300", "--json"});
  INFO(good.err);
  REQUIRE(good.code == 0);
  const auto result = json::parse(good.out);
  CHECK(result["outcome"] == "success");
  CHECK(result["metrics"]["excess_percent"].get<double>() >= 0);
  const Folder folder;
  const std::string broken =
      folder.write("priority.cpp", "// EVOLVE-BLOCK-START\nint x = ;\n// EVOLVE-BLOCK-END\n");
  const Run failed = cambrian.run({"task", "run", task, "--source", broken});
  CHECK(failed.code == 0);
  CHECK(failed.out.find("compile_error") != std::string::npos);
  CHECK(failed.out.find("priority.cpp") != std::string::npos);
  CHECK(cambrian.run({"task", "run", task, "--source", "/nonexistent"}).code == 5);
}

TEST_CASE("task run: leaves no worker behind when it is ended", "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const Folder folder;
  const std::string source =
      folder.write("priority.cpp",
                   "#include \"priority.hpp\"\n// EVOLVE-BLOCK-START\n"
                   "std::vector<double> priority(double, const std::vector<double>& bins) {\n"
                   "  for (volatile int i = 0; i >= 0;) i = 0;\n  return bins;\n}\n"
                   "// EVOLVE-BLOCK-END\n");
  const auto is_worker_there = [&] {
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string command = read_file(entry.path() / "cmdline");
      if (command.find("cambrian-worker") != std::string::npos &&
          command.find(source) != std::string::npos) {
        return true;
      }
    }
    return false;
  };
  const pid_t run = cambrian.start(
      {"task", "run", CAMBRIAN_SOURCE_DIR "/tasks/online-bin-packing", "--source", source},
      folder.path() / "out");
  for (int i = 0; i < 600 && !is_worker_there(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  REQUIRE(is_worker_there());
  kill(run, SIGTERM);
  CHECK(wait_for_exit(run, 60) == 130);
  CHECK_FALSE(is_worker_there());
}

TEST_CASE("completion: knows the campaigns of the server", "[integration][cli]") {
  const Environment& cambrian = shared_environment();
  const Folder folder;
  const std::string file = folder.write("known.yaml", campaign_text("known-name", 1));
  REQUIRE(cambrian.run({"campaign", "submit", file}).code == 0);
  CHECK(cambrian.run({"__complete", "--", "campaign", "get", "known"}).out == "known-name\n");
  CHECK(cambrian.run({"__complete", "--", "campaign", "wa"}).out == "wait\nwatch\n");
  CHECK(cambrian.run({"--endpoint", "127.0.0.1:1", "__complete", "--", "campaign", "get", ""})
            .out.empty());
}

TEST_CASE("completion: its script completes in bash, for a program that is not in PATH",
          "[integration][cli]") {
  const Folder folder;
  const std::string program = std::string(CAMBRIAN_BINARY_DIR) + "/bin/cambrian";
  const std::string output = (folder.path() / "words").string();
  const std::string script = folder.write("complete.bash", "set -eu\nsource <(" + program +
                                                               " completion bash)\n"
                                                               "COMP_WORDS=(" +
                                                               program +
                                                               " campaign wa) COMP_CWORD=2\n"
                                                               "_cambrian " +
                                                               program +
                                                               " wa campaign\n"
                                                               "echo \"${COMPREPLY[*]}\" >" +
                                                               output + "\n");
  REQUIRE(std::system(("env PATH=/usr/bin:/bin bash " + script).c_str()) == 0);
  CHECK(read_file(output) == "wait watch\n");
}

TEST_CASE("completion: its script completes in zsh, in a terminal", "[integration][cli]") {
  const Folder folder;
  const std::string program = std::string(CAMBRIAN_BINARY_DIR) + "/bin/cambrian";
  // What a user has: the completion system on, and the script sourced. zpty types, with a Tab.
  const std::string text = R"(zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1=; autoload -U compinit; compinit -u -D; source <($PROGRAM completion zsh)'
zpty -w shell 'compdef _cambrian $PROGRAM; print rea""dy'
zpty -r -m shell answer '*ready*' || exit 1
zpty -w -n shell "$PROGRAM campaign wa"$'\t'
zpty -r -m shell answer '*wait*watch*' || exit 1
zpty -d shell
)";
  const std::string script = folder.write("complete.zsh", text);
  CHECK(std::system(("env PATH=/usr/bin:/bin PROGRAM=" + program + " timeout 30 zsh -f " + script)
                        .c_str()) == 0);
}

}  // namespace
}  // namespace cambrian::cli::testing
